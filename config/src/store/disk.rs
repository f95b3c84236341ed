//! The state directory: keeps what is in force over a restart.
//!
//! It has one file for each type of resource, and one for the numbers of endpoints. A file is a sequence of records,
//! each with a mark, its length and its checksum (CRC-32 of IEEE 802.3). A new version is written next to the old one,
//! synced, and renamed in one step.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use prost::Message as _;

use super::{
    key::ResourceKind,
    numbers::EndpointNumbers,
    table::{AcceptedResource, ResourceOrigin, ResourceTable},
};
use crate::proto::ListedResource;

/// Begins every file, and tells the form of the rest.
const HEADER: &[u8] = b"portcullis state 1\n";
/// Begins every record, so that the next one is found behind a damaged one.
const MARK: [u8; 4] = [0xf5, b'P', b'R', 0x01];
/// Mark, length, checksum.
const RECORD_HEADER: usize = 12;
/// Largest file that is read, in bytes.
const LARGEST: u64 = 1 << 30;

/// The state directory.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
}

/// What was found at the start.
#[derive(Debug, Default)]
pub(crate) struct DiskContents {
    pub(crate) resources: Vec<ListedResource>,
    pub(crate) numbers: EndpointNumbers,
    /// What was damaged, for people.
    pub(crate) damages: Vec<String>,
}

impl Disk {
    /// Opens the directory, or makes it.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// Reads everything. What is damaged is set aside and reported; what is sound of a damaged file is taken.
    pub(crate) fn load(&self) -> DiskContents {
        let mut found = DiskContents::default();
        for kind in ResourceKind::ALL {
            let records = self.read(file_name(kind), &mut found.damages);
            let mut broken = 0;
            for record in records {
                match ListedResource::decode(record.as_slice()) {
                    Ok(resource) => found.resources.push(resource),
                    Err(_) => broken += 1,
                }
            }
            if broken > 0 {
                found.damages.push(format!("{}: {broken} records are of another version: left out", file_name(kind)));
            }
        }
        if let Some(record) = self.read(NUMBERS, &mut found.damages).first() {
            match std::str::from_utf8(record).ok().and_then(EndpointNumbers::read) {
                Some(numbers) => found.numbers = numbers,
                None => found.damages.push(format!("{NUMBERS} cannot be read: endpoints get new numbers")),
            }
        }
        found
    }

    /// Writes all of one type. Of secrets only those that were pushed: what files give is read from them again, and no copy
    /// of a value outlives its file.
    ///
    /// # Errors
    /// The old file is still there.
    pub(crate) fn save(&self, kind: ResourceKind, table: &ResourceTable) -> io::Result<()> {
        let kept = |good: &AcceptedResource| kind != ResourceKind::Secret || good.origin == ResourceOrigin::Api;
        let of_kind = table.goods().filter(|(key, good)| key.kind == kind && kept(good));
        let records = of_kind.map(|(key, good)| {
            let listed = ListedResource {
                key: Some(key.to_proto()),
                resource: Some(good.resource.as_ref().clone()),
                origin: good.origin.as_str().to_owned(),
                line: good.line,
                ..ListedResource::default()
            };
            listed.encode_to_vec()
        });
        self.write(file_name(kind), records)?;
        if kind == ResourceKind::Endpoint {
            self.write(NUMBERS, [table.numbers.write().into_bytes()].into_iter())?;
        }
        Ok(())
    }

    fn write(&self, name: &str, records: impl Iterator<Item = Vec<u8>>) -> io::Result<()> {
        let mut bytes = HEADER.to_vec();
        for record in records {
            let length = u32::try_from(record.len()).map_err(io::Error::other)?;
            bytes.extend_from_slice(&MARK);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&crc32fast::hash(&record).to_le_bytes());
            bytes.extend_from_slice(&record);
        }
        let temporary = self.directory.join(format!("{name}.new"));
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        // An older one of the same name may be open to others.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, self.directory.join(name))?;
        File::open(&self.directory)?.sync_all()
    }

    fn read(&self, name: &str, damages: &mut Vec<String>) -> Vec<Vec<u8>> {
        let path = self.directory.join(name);
        let bytes = match read_bounded(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                damages.push(format!("{}: {error}", path.display()));
                self.set_aside(&path, damages);
                return Vec::new();
            }
        };
        let (records, lost) = records(&bytes);
        if lost {
            let count = records.len();
            damages.push(format!("{} is damaged: {count} sound records are taken, the rest is lost", path.display()));
            self.set_aside(&path, damages);
        }
        records
    }

    fn set_aside(&self, path: &Path, damages: &mut Vec<String>) {
        let aside = path.with_extension("damaged");
        match fs::rename(path, &aside) {
            Ok(()) => damages.push(format!("the damaged file is kept as {}", aside.display())),
            Err(error) => damages.push(format!("{} cannot be set aside: {error}", path.display())),
        }
    }
}

const NUMBERS: &str = "numbers.state";

fn file_name(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Policy => "policies.state",
        ResourceKind::NetworkPolicy => "networkpolicies.state",
        ResourceKind::Endpoint => "endpoints.state",
        ResourceKind::Service => "services.state",
        ResourceKind::CidrGroup => "cidrgroups.state",
        ResourceKind::Secret => "secrets.state",
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "is no file, or too large to be ours"));
    }
    fs::read(path)
}

/// The sound records, and whether anything else was there.
fn records(bytes: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut records = Vec::new();
    let (mut rest, mut lost) = match bytes.strip_prefix(HEADER) {
        Some(rest) => (rest, false),
        None => (bytes, true),
    };
    while !rest.is_empty() {
        if let Some((record, next)) = record(rest) {
            records.push(record.to_vec());
            rest = next;
        } else {
            lost = true;
            let next = rest.windows(MARK.len()).skip(1).position(|window| window == MARK);
            rest = next.map_or(&[], |offset| &rest[offset + 1..]);
        }
    }
    (records, lost)
}

fn record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(RECORD_HEADER)?;
    let word = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let length = usize::try_from(word(4)?).ok()?;
    let (record, rest) = rest.split_at_checked(length)?;
    (header.starts_with(&MARK) && word(8)? == crc32fast::hash(record)).then_some((record, rest))
}
