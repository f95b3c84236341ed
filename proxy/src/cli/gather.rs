//! Collects documents for commands that need no node: files and whole directories, with the context of each document.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use portcullis_config::documents::{self, Document, LARGEST};

use crate::cli::{
    exit::{ExitStatus, Failure},
    input,
};

/// Deepest directory that is looked into; deeper ones are a loop of links.
const DEEPEST: usize = 32;

/// One file and its documents.
#[derive(Debug)]
pub struct File {
    /// Its path as it was named, or found below what was named.
    pub path: PathBuf,
    /// Whether it was named itself, and not found in a directory or a stream.
    pub named: bool,
    /// Its text.
    pub text: String,
    /// Its documents; none when it is no YAML of ours.
    pub documents: Vec<Document>,
}

impl File {
    /// The path for people.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }
}

/// Reads files, of directories all documents in them and below, and standard input for `-`.
///
/// # Errors
/// One that is named cannot be read. Of a directory, a file that is no UTF-8 is taken for nobody's.
pub fn gather(paths: &[PathBuf]) -> Result<Vec<File>, Failure> {
    let mut files: Vec<File> = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let text = input::standard_input()?;
            files.push(File { path: path.clone(), named: false, documents: documents::split(&text), text });
            continue;
        }
        let mut found = Vec::new();
        walk(path, 0, &mut found).map_err(|(path, error)| unreadable(&path, &error))?;
        for file in found {
            let named = file == *path;
            match read(&file) {
                Ok(read) => files.push(File { named, ..read }),
                Err(_) if !named && !is_text(&file) => {
                    files.push(File { path: file, named, text: String::new(), documents: Vec::new() });
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    files.dedup_by(|one, other| one.path == other.path);
    Ok(files)
}

fn is_text(path: &Path) -> bool {
    fs::read_to_string(path).err().is_none_or(|error| error.kind() != io::ErrorKind::InvalidData)
}

type GatheredFiles = Result<(), (PathBuf, io::Error)>;

fn walk(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> GatheredFiles {
    let failed = |error: io::Error| (path.to_owned(), error);
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth > DEEPEST {
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort();
    for entry in entries {
        let hidden = entry.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if entry.is_dir() && !hidden {
            walk(&entry, depth + 1, files)?;
        } else if documents::is_document(&entry) && entry.is_file() {
            files.push(entry);
        }
    }
    Ok(())
}

/// Reads one file.
///
/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> Result<File, Failure> {
    let failed = |error: io::Error| unreadable(path, &error);
    if fs::metadata(path).map_err(failed)?.len() > LARGEST {
        return Err(failed(io::Error::other(format!("it has more than {} MiB", LARGEST >> 20))));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let documents = documents::split(&text);
    Ok(File { path: path.to_owned(), named: true, text, documents })
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "is the path right?",
        io::ErrorKind::InvalidData => "documents are UTF-8 text",
        _ => "",
    };
    Failure::new(ExitStatus::Invalid, format!("cannot read {}: {error}", path.display()), remedy)
}
