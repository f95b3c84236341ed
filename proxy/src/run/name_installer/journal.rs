//! The file of learned names: one more line when a name has other addresses or holds longer, and a complete rewrite
//! now and then.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use portcullis_config::names::{NameCache, NameLimits};
use portcullis_rules::world::EndpointId;

/// Name of the file below the state directory.
const FILE: &str = "names";
/// Name of what is written and not yet in its place.
const FRESH: &str = "names.new";
/// Lines that a file may have beyond four for each address before it is written anew.
const SLACK: usize = 4096;

/// The file.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    file: File,
    lines: usize,
    /// The last write failed, and that was said.
    failed: bool,
}

impl Journal {
    /// Reads what is there and begins a file with it.
    pub(super) fn open(directory: &Path, limits: NameLimits, now: u64) -> io::Result<(Self, NameCache)> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let path = directory.join(FILE);
        let cache = match fs::read_to_string(&path) {
            Ok(text) => {
                // A line that was being written when the node was killed has no end.
                let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
                NameCache::from_text(whole, limits, now).unwrap_or_else(|damage| {
                    tracing::error!("{}: {damage}", path.display());
                    NameCache::new(limits)
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => NameCache::new(limits),
            Err(error) => {
                tracing::error!("{}: {error}; names are learned again", path.display());
                NameCache::new(limits)
            }
        };
        let file = write(directory, &cache)?;
        Ok((Self { directory: directory.to_owned(), file, lines: cache.names(), failed: false }, cache))
    }

    /// Notes what endpoints learnt of some names, all in one write.
    pub(super) fn note<'a>(&mut self, names: impl Iterator<Item = (&'a str, EndpointId)>, cache: &NameCache) {
        let mut text = String::new();
        let mut lines = 0;
        for (name, endpoint) in names {
            text.push_str(&cache.lines(name, endpoint));
            lines += 1;
        }
        if text.is_empty() {
            return;
        }
        if self.lines + lines > SLACK + 4 * cache.addresses() {
            return self.rewrite(cache);
        }
        self.lines += lines;
        let written = self.file.write_all(text.as_bytes());
        self.tell(written);
    }

    /// Writes everything anew.
    pub(super) fn rewrite(&mut self, cache: &NameCache) {
        let written = write(&self.directory, cache).map(|file| {
            self.file = file;
            self.lines = cache.names();
        });
        self.tell(written);
    }

    fn tell(&mut self, written: io::Result<()>) {
        match written {
            Ok(()) => self.failed = false,
            Err(_) if self.failed => {}
            Err(error) => {
                self.failed = true;
                let file = self.directory.join(FILE);
                tracing::error!("{}: {error}; learned names will not survive a restart", file.display());
            }
        }
    }
}

/// Writes a name cache beside the file and puts it in its place. What is appended to it goes to the same file.
fn write(directory: &Path, cache: &NameCache) -> io::Result<File> {
    let fresh = directory.join(FRESH);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(cache.to_text().as_bytes())?;
    fs::rename(&fresh, directory.join(FILE))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use portcullis_config::names::NameLookup;

    use super::*;

    const NOW: u64 = 1_000_000;

    fn open(directory: &Path) -> (Journal, NameCache) {
        Journal::open(directory, NameLimits::default(), NOW).unwrap()
    }

    fn learnt(cache: &mut NameCache, journal: &mut Journal, name: &str, address: &str) {
        let addresses = [(address.parse().unwrap(), 300)];
        let origin = crate::run::resolutions::tests::ORIGIN;
        cache.learn(&NameLookup { name, addresses: &addresses, origin, selected: true }, NOW);
        journal.note([(name, origin.endpoint)].into_iter(), cache);
    }

    #[test]
    fn what_was_noted_is_there_again_also_when_the_last_line_is_torn() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, mut cache) = open(directory.path());
        learnt(&mut cache, &mut journal, "a.test.", "192.0.2.1");
        learnt(&mut cache, &mut journal, "b.test.", "192.0.2.2");
        learnt(&mut cache, &mut journal, "a.test.", "192.0.2.3");
        let path = directory.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{{\"name\":\"c.te")).unwrap();
        let (_, again) = open(directory.path());
        assert!(again.list().eq(cache.list()));
        assert_eq!(fs::read_to_string(&path).unwrap(), cache.to_text());
    }

    #[test]
    fn a_file_that_is_no_cache_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "nonsense\n").unwrap();
        let (mut journal, mut cache) = open(directory.path());
        assert_eq!(cache.names(), 0);
        learnt(&mut cache, &mut journal, "a.test.", "192.0.2.1");
        assert_eq!(open(directory.path()).1.names(), 1);
    }

    #[test]
    fn a_file_does_not_grow_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, mut cache) = open(directory.path());
        for _ in 0..3 * SLACK {
            learnt(&mut cache, &mut journal, "a.test.", "192.0.2.1");
        }
        let lines = fs::read_to_string(directory.path().join(FILE)).unwrap().lines().count();
        assert!(lines <= SLACK + 8, "{lines} lines for one name");
    }
}
