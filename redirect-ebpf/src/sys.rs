//! The only module with unsafe code: system calls that no library offers in the form needed here.
#![allow(unsafe_code, reason = "the one room for raw system calls of this crate")]

use std::{
    ffi::CString,
    io, mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use aya::maps::{MapData, RingBuf};
use tokio::io::unix::AsyncFd;

const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_DELETE_ELEM: libc::c_int = 3;
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_LINK_GET_FD_BY_ID: libc::c_int = 30;
const BPF_LINK_UPDATE: libc::c_int = 29;
const BPF_LINK_DETACH: libc::c_int = 34;
const SO_NETNS_COOKIE: libc::c_int = 71;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// `BPF_OBJ_GET`: opens what is pinned at a path.
pub(crate) fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attributes = [path.as_ptr() as u64, 0];
    // SAFETY: the attributes are live for the call and as long as the size says; the path is NUL-terminated.
    let fd = check(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_OBJ_GET, attributes.as_ptr(), mem::size_of_val(&attributes))
    })?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given us this descriptor; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `BPF_OBJ_PIN`: pins a map or a link at a path where nothing is.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    #[repr(C)]
    struct Attributes {
        path: u64,
        fd: u32,
        flags: u32,
    }
    let attributes = Attributes { path: path.as_ptr() as u64, fd: object.as_raw_fd().cast_unsigned(), flags: 0 };
    // SAFETY: the attributes are live for the call and as long as the size says; the path is NUL-terminated.
    check(unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_PIN, &raw const attributes, mem::size_of::<Attributes>()) })?;
    Ok(())
}

/// `BPF_LINK_CREATE` for a cgroup: attaches a program beside those of others.
pub(crate) fn create_link(program: BorrowedFd<'_>, cgroup: BorrowedFd<'_>, attach_type: i32) -> io::Result<OwnedFd> {
    let attributes = [program.as_raw_fd(), cgroup.as_raw_fd(), attach_type, 0];
    // SAFETY: the attributes are live for the call and as long as the size says.
    let fd = check(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_LINK_CREATE, attributes.as_ptr(), mem::size_of_val(&attributes))
    })?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given us this descriptor; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What the kernel says of a link: the head of `struct bpf_link_info` (linux/bpf.h).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkInfo {
    kind: u32,
    /// Number of the link.
    pub(crate) id: u32,
    /// Number of its program.
    pub(crate) program: u32,
    _padding: u32,
    /// Whereto it is attached: the inode of a namespace, the number of a cgroup or of a device, in the first word or two. 0 once
    /// it is detached.
    target: [u32; 2],
    attach_type: u32,
    _end: u32,
}

impl LinkInfo {
    /// Whether it is attached to anything.
    pub(crate) fn is_attached(&self) -> bool {
        self.target[0] != 0 || (self.kind == LINK_OF_CGROUP && self.target[1] != 0)
    }
}

/// `BPF_LINK_TYPE_CGROUP`. Links of other types have their attach type where this one has the upper half of a number.
const LINK_OF_CGROUP: u32 = 3;

/// `BPF_OBJ_GET_INFO_BY_FD` of a link.
pub(crate) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    #[repr(C)]
    struct Attributes {
        fd: u32,
        length: u32,
        info: u64,
    }
    let mut info = LinkInfo::default();
    let length = u32::try_from(mem::size_of::<LinkInfo>()).unwrap_or_default();
    let attributes = Attributes { fd: link.as_raw_fd().cast_unsigned(), length, info: &raw mut info as u64 };
    // SAFETY: the kernel writes at most `length` bytes into `info`, which is plain data of that size and live for the call.
    check(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &raw const attributes, mem::size_of::<Attributes>())
    })?;
    Ok(info)
}

/// `BPF_LINK_GET_FD_BY_ID`: another descriptor of a link.
pub(crate) fn link_by_id(id: u32) -> io::Result<OwnedFd> {
    let attributes = [id, 0, 0];
    // SAFETY: the attributes are live for the call and as long as the size says.
    let fd = check(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_LINK_GET_FD_BY_ID, attributes.as_ptr(), mem::size_of_val(&attributes))
    })?;
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given us this descriptor; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `BPF_PROG_QUERY`: numbers of the `sk_lookup` programs of a network namespace, in the order in which they run; at most
/// 64, which is the most that the kernel takes.
pub(crate) fn lookup_programs(netns: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    const BPF_SK_LOOKUP: u32 = 36;
    let found = query(netns.as_raw_fd().cast_unsigned(), BPF_SK_LOOKUP, false)?;
    Ok(found.into_iter().map(|(program, _)| program).collect())
}

/// The same for a side of a device of the calling thread's namespace: numbers of program and link, which is 0 where there is
/// none.
pub(crate) fn device_programs(index: u32, ingress: bool) -> io::Result<Vec<(u32, u32)>> {
    const BPF_TCX_INGRESS: u32 = 46;
    query(index, if ingress { BPF_TCX_INGRESS } else { BPF_TCX_INGRESS + 1 }, true)
}

/// Of programs that are attached to a target, in the order in which they run: numbers of the program and, if asked for, of
/// its link.
fn query(target: u32, attach_type: u32, with_links: bool) -> io::Result<Vec<(u32, u32)>> {
    // The whole of `bpf_attr.query`: the kernel writes into its last field for devices.
    #[repr(C)]
    struct Attributes {
        target: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        programs: u64,
        count: u32,
        _padding: u32,
        program_flags: u64,
        links: u64,
        link_flags: u64,
        revision: u64,
    }
    const MOST: usize = 64;
    let (mut programs, mut links) = ([0_u32; MOST], [0_u32; MOST]);
    let mut attributes = Attributes {
        target,
        attach_type,
        query_flags: 0,
        attach_flags: 0,
        programs: programs.as_mut_ptr() as u64,
        count: 64,
        _padding: 0,
        program_flags: 0,
        links: if with_links { links.as_mut_ptr() as u64 } else { 0 },
        link_flags: 0,
        revision: 0,
    };
    // SAFETY: the kernel writes at most `count` numbers into `programs` and `links`, and into the attributes, which are as
    // long as the size says; all are live.
    check(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut attributes, mem::size_of::<Attributes>()) })?;
    let count = usize::try_from(attributes.count).unwrap_or_default().min(MOST);
    Ok(programs.into_iter().zip(links).take(count).collect())
}

/// `BPF_LINK_UPDATE`: swaps the program of a link without a gap. Works for netns and cgroup links.
pub(crate) fn update_link(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = [link.as_raw_fd(), program.as_raw_fd(), 0, 0];
    // SAFETY: the attributes are live for the call and as long as the size says.
    check(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_LINK_UPDATE, attributes.as_ptr(), mem::size_of_val(&attributes))
    })?;
    Ok(())
}

/// `BPF_LINK_DETACH`: takes the program away at once. A link that merely loses its last holder goes some time later.
pub(crate) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let attributes = [link.as_raw_fd(), 0];
    // SAFETY: the attributes are live for the call and as long as the size says.
    check(unsafe {
        libc::syscall(libc::SYS_bpf, BPF_LINK_DETACH, attributes.as_ptr(), mem::size_of_val(&attributes))
    })?;
    Ok(())
}

/// `BPF_MAP_UPDATE_ELEM` with any flags. The kernel serialises; no lock is needed here.
pub(crate) fn update_map<K: aya::Pod, V: aya::Pod>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<()> {
    element(BPF_MAP_UPDATE_ELEM, map, key, std::ptr::from_ref(value) as u64)
}

/// `BPF_MAP_DELETE_ELEM`. A key that is not there is an error of kind `NotFound`.
pub(crate) fn delete_from_map<K: aya::Pod>(map: BorrowedFd<'_>, key: &K) -> io::Result<()> {
    element(BPF_MAP_DELETE_ELEM, map, key, 0)
}

fn element<K: aya::Pod>(command: libc::c_int, map: BorrowedFd<'_>, key: &K, value: u64) -> io::Result<()> {
    #[repr(C)]
    struct Attributes {
        map: u32,
        _padding: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let attributes = Attributes {
        map: map.as_raw_fd().cast_unsigned(),
        _padding: 0,
        key: std::ptr::from_ref(key) as u64,
        value,
        flags: 0,
    };
    // SAFETY: key and value are plain data, live for the call; the caller's types are those of the map.
    check(unsafe { libc::syscall(libc::SYS_bpf, command, &raw const attributes, mem::size_of::<Attributes>()) })?;
    Ok(())
}

/// The cookie of a socket's network namespace: the key that the programs see.
pub(crate) fn netns_cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length: libc::socklen_t = 8;
    // SAFETY: the buffer is as long as `length` says and live for the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    check(result.into())?;
    Ok(cookie)
}

/// Polls the ring of refused flows in the current runtime.
pub(crate) fn poll_ring(ring: RingBuf<MapData>) -> io::Result<AsyncFd<RingBuf<MapData>>> {
    // SAFETY: a ring gives the same descriptor for its whole life, which is the map's that it owns.
    Ok(unsafe { AsyncFd::register(ring) }?)
}
