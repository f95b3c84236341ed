//! Watches the files of resources and signals that they may have changed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

/// Watches each path and the directory it stands in: a file that is replaced and a directory that is mounted anew are
/// events of the latter. What cannot be watched is logged, and read again when told to.
pub(crate) fn watch(paths: &[PathBuf], waker: Arc<Notify>) -> Option<RecommendedWatcher> {
    if paths.is_empty() {
        return None;
    }
    let wanted = paths.to_vec();
    let rung = move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| concerns(&event, &wanted)) {
            waker.notify_one();
        }
    };
    let mut watcher = match notify::recommended_watcher(rung) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::error!(%error, "files of resources are not watched; send SIGHUP after a change");
            return None;
        }
    };
    for path in paths {
        let mut add = |path: &Path| watcher.watch(path, RecursiveMode::NonRecursive);
        let parent = path.parent().map_or(Ok(()), &mut add);
        let itself = if path.is_dir() { add(path) } else { Ok(()) };
        if let Err(error) = parent.and(itself) {
            let path = path.display();
            tracing::warn!(%path, %error, "is not watched; send SIGHUP after a change");
        }
    }
    Some(watcher)
}

fn concerns(event: &Event, wanted: &[PathBuf]) -> bool {
    let only_read = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        EventKind::Access(_) => true,
        _ => false,
    };
    // A mounted ConfigMap is made of links into `..data`, which is swapped.
    let swapped = |path: &Path, one: &Path| path.ends_with("..data") && path.parent() == one.parent();
    let is_ours =
        |path: &PathBuf| wanted.iter().any(|one| path == one || path.parent() == Some(one) || swapped(path, one));
    event.need_rescan() || (!only_read && event.paths.iter().any(is_ours))
}
