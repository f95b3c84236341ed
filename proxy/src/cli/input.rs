//! Reads the documents of the command line: files, directories, standard input.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use portcullis_config::{
    DocumentProblem,
    documents::{self, Document, DocumentContent, LARGEST},
    proto,
};

use crate::cli::{
    exit::{ExitStatus, Failure},
    results::DocumentSource,
};

/// What files hold.
#[derive(Debug, Default)]
pub struct InputFiles {
    /// Resources, with where each was written.
    pub resources: Vec<(proto::Resource, DocumentSource)>,
    /// Documents that are no resources.
    pub refused: Vec<RefusedInput>,
    /// Manifests that are not ours and are skipped.
    pub skipped: Vec<(DocumentProblem, DocumentSource)>,
}

/// A document that is no resource.
#[derive(Debug)]
pub struct RefusedInput {
    /// Whose it is, as far as that can be told.
    pub key: Option<proto::ResourceKey>,
    /// What is wrong.
    pub problems: Vec<DocumentProblem>,
    /// Where it was written.
    pub source: DocumentSource,
}

/// Reads all documents of files, directories and `-`.
///
/// # Errors
/// A file cannot be read, or none of them holds a document.
pub fn read(paths: &[PathBuf]) -> Result<InputFiles, Failure> {
    let mut input = InputFiles::default();
    for path in paths {
        if path.as_os_str() == "-" {
            input.take("-", documents::split(&standard_input()?));
            continue;
        }
        for file in documents::files_of(path).map_err(|error| unreadable(path, &error))? {
            let text = read_file(&file).map_err(|error| unreadable(&file, &error))?;
            input.take(&file.display().to_string(), documents::split(&text));
        }
    }
    if input.resources.is_empty() && input.refused.is_empty() {
        let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(Failure::new(
            ExitStatus::Invalid,
            format!("no document of ours in {}", names.join(", ")),
            "name YAML or JSON files with policies, endpoints, services, CIDR groups or secrets, or a directory of such files",
        ));
    }
    Ok(input)
}

/// The texts of all files of files, directories and `-`, each with its name.
///
/// # Errors
/// A file cannot be read.
pub fn texts<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<Vec<(String, String)>, Failure> {
    let mut texts = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            texts.push(("-".to_owned(), standard_input()?));
            continue;
        }
        for file in documents::files_of(path).map_err(|error| unreadable(path, &error))? {
            let text = read_file(&file).map_err(|error| unreadable(&file, &error))?;
            texts.push((file.display().to_string(), text));
        }
    }
    Ok(texts)
}

impl InputFiles {
    fn take(&mut self, file: &str, documents: Vec<Document>) {
        for document in documents {
            let source = DocumentSource { file: file.to_owned(), line: document.line };
            match document.content {
                Ok(DocumentContent::Resource(resource)) => self.resources.push((*resource, source)),
                Ok(DocumentContent::Foreign(warning)) => self.skipped.push((warning, source)),
                Err(refused) => {
                    self.refused.push(RefusedInput { key: refused.key, problems: refused.problems, source });
                }
            }
        }
    }
}

/// Standard input as text.
pub(super) fn standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    let read = io::stdin().lock().take(LARGEST).read_to_string(&mut text);
    read.map(|_| text).map_err(|error| unreadable(Path::new("-"), &error))
}

fn read_file(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LARGEST {
        return Err(io::Error::other(format!("it has more than {} MiB", LARGEST >> 20)));
    }
    fs::read_to_string(path)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "is the path right?",
        io::ErrorKind::InvalidData => "documents are UTF-8 text",
        _ => "",
    };
    let exit = if error.kind() == io::ErrorKind::InvalidData { ExitStatus::Invalid } else { ExitStatus::Failed };
    Failure::new(exit, format!("cannot read {}: {error}", path.display()), remedy)
}
