//! `admin`: the addresses of the admin endpoints, and what they serve there.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU16,
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

/// Prefix of addresses that are Unix sockets.
const UNIX: &str = "unix:";

/// `admin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// `admin.address`: where it listens; nowhere for `off`.
    pub addresses: AdminAddresses,
    /// `admin.mode`: permission bits of its Unix sockets.
    pub mode: u32,
    /// `admin.group`: group of its Unix sockets; `None` is the process's own.
    pub group: Option<String>,
    /// `admin.tcp: everything`: the dump and changes are to be had by TCP too.
    pub everything_by_tcp: bool,
    /// `admin.connections`: clients at the same time, of each address.
    pub connections: NonZeroU16,
    /// `admin.timeout`: from the moment that a client connects to the last byte of its answer.
    pub timeout: Duration,
}

impl Default for AdminSettings {
    fn default() -> Self {
        let tcp = AdminAddress::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9902));
        Self {
            addresses: AdminAddresses(vec![tcp, AdminAddress::Unix("/run/portcullis/admin.sock".into())]),
            mode: 0o600,
            group: None,
            everything_by_tcp: false,
            connections: NonZeroU16::MIN.saturating_add(63),
            timeout: Duration::from_secs(10),
        }
    }
}

/// One address of `admin.address`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// `ADDRESS:PORT`.
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix(UNIX).map(PathBuf::from) {
            let absolute = path.is_absolute() && !text.contains('\0');
            return if absolute { Ok(Self::Unix(path)) } else { Err("is no absolute path of a socket".to_owned()) };
        }
        text.parse().map(Self::Tcp).map_err(|_| "is no address with a port".to_owned())
    }
}

/// All addresses of `admin.address`; none for `off`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdminAddresses(pub Vec<AdminAddress>);

impl FromStr for AdminAddresses {
    type Err = String;

    /// `off`, or addresses with commas between them, as a command line has them.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::default());
        }
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}
