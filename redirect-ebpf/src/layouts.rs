//! Pins of other layouts of the maps: those of another version of this program, which is gone.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{error::Error, links::remove_link};

/// Detaches and removes what other versions pinned beside a directory. What they attached refuses what they wanted steered,
/// since nobody listens, and judges by old tables; so it goes as soon as ours is attached, and not before.
pub(crate) fn remove_others(directory: &Path) -> Result<(), Error> {
    for other in others(directory) {
        remove(&other).map_err(|source| Error::Bpffs { path: other.clone(), source })?;
        tracing::info!(directory = %other.display(), "what another version attached is detached");
    }
    Ok(())
}

/// The directories beside ours that are named as a layout is: `v` and a number.
fn others(directory: &Path) -> Vec<PathBuf> {
    let entries = directory.parent().and_then(|above| fs::read_dir(above).ok()).into_iter().flatten().flatten();
    let is_layout = |path: &PathBuf| {
        let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix('v'));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    entries.map(|entry| entry.path()).filter(|path| path != directory && path.is_dir() && is_layout(path)).collect()
}

/// A map is no link: of it only the pin goes.
fn remove(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        remove_link(&entry?.path())?;
    }
    fs::remove_dir(directory)
}
