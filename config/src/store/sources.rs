//! Reads the files and directories of `resources` as one update.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    incoming::{Candidate, Incoming},
    table::{ResourceOrigin, ResourceTable},
};
use crate::{
    documents::{self, Document, DocumentContent},
    policy::Language,
    problem::DocumentProblem,
    proto,
};

/// What files say now.
#[derive(Debug)]
pub(crate) struct ReadSources<'a> {
    table: &'a ResourceTable,
    language: Language<'a>,
    /// What their documents become. Each is read as soon as its file is, so that no more than one file is held parsed.
    pub(crate) candidates: Vec<Candidate>,
    /// Files whose last good resources stay, because they could not be read.
    pub(crate) kept: Vec<Arc<str>>,
    /// What could not be read, for people: each names its path.
    pub(crate) faults: Vec<String>,
    /// Files with a fault of no resource in particular, and what it is. Their last good resources stay and say so.
    pub(crate) broken: Vec<(Arc<str>, DocumentProblem)>,
}

/// Reads all files. What cannot be read keeps what it gave last.
pub(crate) fn read<'a>(paths: &[PathBuf], table: &'a ResourceTable, language: Language<'a>) -> ReadSources<'a> {
    let (candidates, kept, faults, broken) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut read = ReadSources { table, language, candidates, kept, faults, broken };
    for path in paths {
        match list(path, table) {
            Ok(files) => files.iter().for_each(|file| read.file(file)),
            Err(fault) => {
                read.faults.push(fault);
                read.kept.extend(given_below(path, table));
            }
        }
    }
    read
}

/// The files of a path. A directory that gave resources and is empty now is more likely not mounted than meant.
fn list(path: &Path, table: &ResourceTable) -> Result<Vec<PathBuf>, String> {
    let shown = path.display();
    let files = documents::files_of(path)
        .map_err(|error| format!("{shown} cannot be read: {error}; what it gave stays in force"))?;
    let given = given_below(path, table).count();
    if files.is_empty() && given > 0 {
        return Err(format!(
            "{shown} is suddenly empty; the {given} files it gave stay in force. To remove them all, leave a file without documents there, or take the path out of resources"
        ));
    }
    Ok(files)
}

/// The files at or in a path that gave resources.
fn given_below<'t>(path: &Path, table: &'t ResourceTable) -> impl Iterator<Item = Arc<str>> + use<'t> {
    let path = path.to_owned();
    let mut given: Vec<Arc<str>> = Vec::new();
    for (_, good) in table.goods() {
        if let ResourceOrigin::File(file) = &good.origin
            && (Path::new(&**file) == path || Path::new(&**file).parent() == Some(&path))
            && !given.contains(file)
        {
            given.push(Arc::clone(file));
        }
    }
    given.into_iter()
}

impl ReadSources<'_> {
    fn file(&mut self, path: &Path) {
        let name: Arc<str> = path.to_string_lossy().into();
        let text = match read_text(path) {
            Ok(text) => text,
            Err(error) => {
                let problem =
                    DocumentProblem::new("", format!("cannot be read: {error}"), "what it gave stays in force");
                self.broken(name, problem);
                return;
            }
        };
        for document in documents::split(&text) {
            self.document(&name, document);
        }
    }

    fn document(&mut self, file: &Arc<str>, document: Document) {
        let (origin, line) = (ResourceOrigin::File(Arc::clone(file)), document.line);
        let (content, parsed) = document.into_parts();
        match content {
            Ok(DocumentContent::Resource(resource)) => {
                self.take(Incoming { resource: *resource, origin, line, parsed: Some(parsed), refused: None });
            }
            Ok(DocumentContent::Foreign(problem)) => {
                tracing::debug!(file = &**file, "{}", problem.in_document_at(line))
            }
            Err(refused) if refused.key.is_some() => {
                let resource = proto::Resource::default();
                let refused = Some((refused.key, refused.problems));
                self.take(Incoming { resource, origin, line, parsed: None, refused });
            }
            Err(refused) => {
                for problem in refused.problems {
                    self.broken(Arc::clone(file), problem.in_document_at(line));
                }
            }
        }
    }

    fn take(&mut self, incoming: Incoming) {
        self.candidates.push(Candidate::read(incoming, self.table, self.language));
    }

    fn broken(&mut self, file: Arc<str>, problem: DocumentProblem) {
        self.faults.push(format!("{file}:{problem}"));
        self.kept.push(Arc::clone(&file));
        self.broken.push((file, problem));
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let length = fs::metadata(path)?.len();
    if length > documents::LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "is larger than 64 MiB"));
    }
    fs::read_to_string(path)
}
