//! Selects the files of a directory that are documents.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Largest file that is read, in bytes.
pub const LARGEST: u64 = 64 << 20;

/// Whether a file of a directory is taken: `*.yaml`, `*.yml`, `*.json`, and not hidden.
#[must_use]
pub fn is_document(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(|extension| extension.to_str());
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}

/// The files that a path stands for: itself, or the documents of a directory, sorted, without those of directories in it.
///
/// # Errors
/// It is not there, or cannot be listed.
pub fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        // Through symbolic links: a mounted ConfigMap is made of them.
        if is_document(&path) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
