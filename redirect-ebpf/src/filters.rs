//! Attaches programs to devices as filters of a `clsact` qdisc (tc-bpf(8)), on kernels without links for them: before
//! Linux 6.6.
//!
//! No process holds a filter: it stays when its process ends, until somebody removes it. Ours are recognised by their
//! name. They run first: they have the lowest priority number and, within it, are added last. The qdisc stays, because
//! others may use it, and it does nothing alone.
//!
//! Every function works on the calling thread's namespace.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    path::Path,
};

use nix::errno::Errno;
use rtnetlink::{
    packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL},
    packet_route::{
        RouteNetlinkMessage,
        tc::{TcAttribute, TcBpfFlags, TcFilterBpfOption, TcHandle, TcHeader, TcMessage, TcOption},
    },
};

use crate::netlink::{ask, attributes, word};

/// Longest name of a filter (net/sched/cls_bpf.c: `CLS_BPF_NAME_LEN`, less the end).
const NAME: usize = 255;
const KIND: &str = "bpf";
const CLSACT: &str = "clsact";
/// `ETH_P_ALL` in network order, as the lower half of `tcm_info` has it.
const EVERYTHING: u32 = 0x0003_u16.to_be() as u32;
/// Length of `struct tcmsg`, and places in it.
const BODY: usize = 20;
const INDEX: usize = 4;
const HANDLE: usize = 8;
const INFO: usize = 16;
/// Attributes (linux/rtnetlink.h, linux/pkt_cls.h).
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_CHAIN: u16 = 11;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_ID: u16 = 11;

/// A side of a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilterSide {
    pub(crate) device: u32,
    pub(crate) ingress: bool,
}

/// A filter of anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    priority: u32,
    protocol: u32,
    handle: u32,
    kind: String,
    /// Its name, if it is a program.
    pub(crate) name: String,
    /// Number of its program; 0 if it is none.
    pub(crate) program: u32,
}

/// What a filter is called whose program is pinned there: the path, of one that is too long the end.
pub(crate) fn name(pin: &Path) -> String {
    let path = pin.to_string_lossy();
    path.char_indices()
        .find(|(at, _)| path.len() - at <= NAME)
        .map_or_else(String::new, |(at, _)| path[at..].to_owned())
}

/// The filters at a side, in the order in which they run.
pub(crate) fn chain(side: FilterSide) -> io::Result<Vec<Filter>> {
    let answers = ask(RouteNetlinkMessage::GetTrafficFilter(message(side, 0, 0)), NLM_F_DUMP)?;
    Ok(answers.iter().filter_map(|(_, body)| filter(body)).collect())
}

fn filter(body: &[u8]) -> Option<Filter> {
    let (handle, info) = (word(body, HANDLE)?, word(body, INFO)?);
    let mut found = Filter {
        priority: info >> 16,
        protocol: info & 0xffff,
        handle,
        kind: String::new(),
        name: String::new(),
        program: 0,
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).trim_end_matches('\0').to_owned();
    for (kind, value) in attributes(body.get(BODY..)?) {
        match kind {
            TCA_KIND => found.kind = text(value),
            // Other chains are gone to from the first one only.
            TCA_CHAIN if word(value, 0) != Some(0) => return None,
            TCA_OPTIONS if found.kind == KIND => {
                for (kind, value) in attributes(value) {
                    match kind {
                        TCA_BPF_NAME => found.name = text(value),
                        TCA_BPF_ID => found.program = word(value, 0)?,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    // The first of each priority stands for all of them, and has no handle.
    (handle != 0).then_some(found)
}

/// Puts a program at a side, before everything: in the place of its predecessor where that is first already, else in front,
/// and the predecessor goes after that. There is no moment without one.
pub(crate) fn put(side: FilterSide, name: &str, program: BorrowedFd<'_>) -> io::Result<()> {
    make_clsact(side)?;
    let before = chain(side)?;
    if let Some(first) = before.first().filter(|first| first.name == name) {
        return write(side, name, program, (first.priority, first.handle), 0);
    }
    let is_other = |filter: &&Filter| filter.kind != KIND || filter.protocol != EVERYTHING;
    let taken: Vec<u32> = before.iter().filter(is_other).map(|filter| filter.priority).collect();
    let priority = (1..).find(|priority| !taken.contains(priority)).unwrap_or(1);
    let of_it = before.iter().filter(|filter| filter.priority == priority);
    let handle = of_it.map(|filter| filter.handle).max().unwrap_or(0) + 1;
    write(side, name, program, (priority, handle), NLM_F_EXCL)?;
    before.iter().filter(|filter| filter.name == name).try_for_each(|filter| delete(side, filter))
}

fn write(
    side: FilterSide,
    name: &str,
    program: BorrowedFd<'_>,
    (priority, handle): (u32, u32),
    flags: u16,
) -> io::Result<()> {
    let mut filter = message(side, handle, priority << 16 | EVERYTHING);
    let options = vec![
        TcOption::Bpf(TcFilterBpfOption::ProgFd(program.as_raw_fd().cast_unsigned())),
        TcOption::Bpf(TcFilterBpfOption::ProgName(name.to_owned())),
        TcOption::Bpf(TcFilterBpfOption::Flags(TcBpfFlags::DirectAction)),
    ];
    filter.attributes = vec![TcAttribute::Kind(KIND.to_owned()), TcAttribute::Options(options)];
    ask(RouteNetlinkMessage::NewTrafficFilter(filter), NLM_F_CREATE | flags).map(drop)
}

/// Takes away all filters of a name; none is fine, and so is no device.
pub(crate) fn remove(side: FilterSide, name: &str) -> io::Result<()> {
    let Ok(chain) = chain(side) else { return Ok(()) };
    chain.iter().filter(|filter| filter.name == name).try_for_each(|filter| delete(side, filter))
}

fn delete(side: FilterSide, filter: &Filter) -> io::Result<()> {
    let mut message = message(side, filter.handle, filter.priority << 16 | filter.protocol);
    message.attributes = vec![TcAttribute::Kind(KIND.to_owned())];
    match ask(RouteNetlinkMessage::DelTrafficFilter(message), 0) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map(drop),
    }
}

fn message(side: FilterSide, handle: u32, info: u32) -> TcMessage {
    let minor = if side.ingress { TcHandle::MIN_INGRESS } else { TcHandle::MIN_EGRESS };
    let mut message = TcMessage::default();
    message.header = TcHeader {
        index: side.device.cast_signed(),
        handle: handle.into(),
        parent: TcHandle { major: TcHandle::CLSACT.major, minor },
        info,
        ..TcHeader::default()
    };
    message
}

fn make_clsact(side: FilterSide) -> io::Result<()> {
    let mut clsact = message(side, 0, 0);
    clsact.header.handle = TcHandle { major: TcHandle::CLSACT.major, minor: 0 };
    clsact.header.parent = TcHandle::CLSACT;
    clsact.attributes = vec![TcAttribute::Kind(CLSACT.to_owned())];
    match ask(RouteNetlinkMessage::NewQueueDiscipline(clsact), NLM_F_CREATE | NLM_F_EXCL) {
        Err(error) if error.raw_os_error() == Some(Errno::EEXIST as i32) => is_clsact(side),
        other => other.map(drop),
    }
}

/// There may be an `ingress` qdisc instead, which takes filters for what leaves and runs them on what comes in.
fn is_clsact(side: FilterSide) -> io::Result<()> {
    let answers = ask(RouteNetlinkMessage::GetQueueDiscipline(message(side, 0, 0)), NLM_F_DUMP)?;
    let is_it = |body: &[u8]| {
        word(body, INDEX) == Some(side.device)
            && attributes(body.get(BODY..).unwrap_or_default())
                .any(|(kind, value)| kind == TCA_KIND && value == b"clsact\0")
    };
    if answers.iter().any(|(_, body)| is_it(body)) {
        return Ok(());
    }
    Err(io::Error::other(
        "the device has an ingress qdisc, which has no side for what leaves; take it away (tc qdisc del)",
    ))
}
