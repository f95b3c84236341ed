//! What stands beside policies in a repository: manifests of others, templates, parts of documents, and namespaces that
//! kustomize gives.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use portcullis_config::documents::{self, Document, Kustomization};

use crate::cli::gather::File;

/// Groups of documents of ours, as they stand in a text that cannot be read.
const OURS: [&str; 3] = ["cilium.io/", "portcullis.io/", "networking.k8s.io/"];

/// What was passed over, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// Manifests and other YAML of somebody else.
    pub others: usize,
    /// Templates that have to be rendered first.
    pub templates: usize,
    /// Parts of documents, which kustomize puts into others.
    pub patches: usize,
    /// Files and documents that are no YAML, and do not look like ours.
    pub unreadable: usize,
}

impl PassedOver {
    /// All of them.
    #[must_use]
    pub fn total(self) -> usize {
        self.others + self.templates + self.patches + self.unreadable
    }
}

/// What is known of directories.
#[derive(Debug, Default)]
pub struct Surroundings {
    kustomizations: HashMap<PathBuf, Kustomization>,
    patches: BTreeSet<PathBuf>,
}

impl Surroundings {
    /// Looks for kustomizations among files.
    #[must_use]
    pub fn of(files: &[File]) -> Self {
        let mut known = Self::default();
        for file in files {
            let Some(found) = file.documents.iter().find_map(documents::kustomization) else { continue };
            let directory = directory(file);
            known.patches.extend(found.patches.iter().map(|patch| plain(&directory.join(patch))));
            known.kustomizations.insert(directory, found);
        }
        known
    }

    /// Whether a file is a patch.
    #[must_use]
    pub fn is_patch(&self, file: &File) -> bool {
        self.patches.contains(&plain(&file.path))
    }

    /// Whether the documents of a file's directory are put together by kustomize.
    #[must_use]
    pub fn is_built(&self, file: &File) -> bool {
        self.kustomizations.contains_key(&directory(file))
    }

    /// The namespace that documents of a file are given where they name none, by the nearest kustomization with one.
    #[must_use]
    pub fn namespace(&self, file: &File) -> Option<&str> {
        let directory = directory(file);
        directory.ancestors().find_map(|path| self.kustomizations.get(path)?.namespace.as_deref())
    }
}

/// The directory of a file.
#[must_use]
pub fn directory(file: &File) -> PathBuf {
    plain(file.path.parent().unwrap_or(Path::new("")))
}

/// A path without `.` and `..`, as far as that can be told without looking.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// Passes over a document that is refused and is not meant for us; tells whether it was.
pub fn pass_over(file: &File, document: &Document, counted: &mut PassedOver) -> bool {
    if document.is_readable() {
        let others = document.is_of_others();
        counted.others += usize::from(others);
        return others || pass_over_template(file, document, counted);
    }
    if pass_over_template(file, document, counted) {
        return true;
    }
    let foreign = !file.named && !OURS.iter().any(|group| piece(file, document).any(|line| line.contains(group)));
    counted.unreadable += usize::from(foreign);
    foreign
}

/// Passes over a document that holds what a template engine replaces, unless its file is named itself.
pub fn pass_over_template(file: &File, document: &Document, counted: &mut PassedOver) -> bool {
    let template = !file.named && is_template(file, document);
    counted.templates += usize::from(template);
    template
}

/// Whether a document holds what a template engine replaces.
#[must_use]
pub fn is_template(file: &File, document: &Document) -> bool {
    piece(file, document).any(|line| line.contains("{{") && line.contains("}}"))
}

/// The lines of a document.
fn piece<'f>(file: &'f File, document: &Document) -> impl Iterator<Item = &'f str> {
    let first = usize::try_from(document.line.saturating_sub(1)).unwrap_or_default();
    let next = file.documents.iter().map(|other| other.line).filter(|line| *line > document.line).min();
    let count = next.map_or(usize::MAX, |next| usize::try_from(next - document.line).unwrap_or(usize::MAX));
    file.text.lines().skip(first).take(count)
}

/// The namespaces of policies that name none.
#[derive(Debug, Default)]
pub struct Untold {
    directories: BTreeSet<PathBuf>,
}

impl Untold {
    /// Remembers a directory with such a policy.
    pub fn add(&mut self, directory: PathBuf) {
        self.directories.insert(directory);
    }

    /// A namespace for such a policy that sets it apart from those of other directories: which namespace each is put into
    /// nobody can tell. `None` where there is one directory only.
    #[must_use]
    pub fn apart(&self, directory: &Path) -> Option<String> {
        (self.directories.len() > 1).then(|| format!("default of {}", directory.display()))
    }
}
