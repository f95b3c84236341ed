//! Reports changes of what an endpoint's namespace needs: removed rules and routes of ours, new devices and addresses.
//!
//! One thread waits for all namespaces at once, each through an rtnetlink(7) socket. After a change it ignores that
//! namespace for [`PAUSE`], so that a loop of changes costs a bounded number of repairs.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        eventfd::EventFd,
        socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket},
    },
};
use portcullis_redirect_common::{PREF_LOST, PREF_OUT, TABLE};

use crate::{
    namespace,
    netlink::{attributes, messages, word},
};

/// How long a namespace is let alone after a change.
const PAUSE: Duration = Duration::from_millis(250);
/// Endpoints that may wait for a repair at a time; further ones are reported later.
const WAITING: usize = 256;
/// Groups (linux/rtnetlink.h): links; addresses, routes and rules of both families.
const GROUPS: u32 = 1 | 1 << 4 | 1 << 8 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 18;
/// Message types (linux/rtnetlink.h).
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const DELETE_ROUTE: u16 = 25;
const DELETE_RULE: u16 = 33;
/// Length of `rtmsg` and `fib_rule_hdr`.
const BODY: usize = 12;
/// `RTA_TABLE` and `FRA_TABLE`; `FRA_PRIORITY`.
const ATTRIBUTE_TABLE: u16 = 15;
const ATTRIBUTE_PRIORITY: u16 = 6;
/// The number of no endpoint.
const NOBODY: u32 = 0;
/// What ends the thread, in place of an endpoint's number.
const END: u64 = u64::MAX;

/// Who listens. Ends when dropped.
pub(crate) struct NetlinkWatch {
    shared: Arc<WatchState>,
    thread: Option<JoinHandle<()>>,
}

struct WatchState {
    epoll: Epoll,
    end: EventFd,
    /// By endpoint, with the inode of its namespace.
    sockets: Mutex<BTreeMap<u32, (u64, OwnedFd)>>,
}

impl WatchState {
    fn sockets(&self) -> std::sync::MutexGuard<'_, BTreeMap<u32, (u64, OwnedFd)>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NetlinkWatch {
    /// Listens from now on; the receiver gets the numbers of endpoints that were changed.
    pub(crate) fn begin() -> io::Result<(Self, Receiver<u32>)> {
        let shared = Arc::new(WatchState {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            end: EventFd::new()?,
            sockets: Mutex::default(),
        });
        shared.epoll.add(&shared.end, EpollEvent::new(EpollFlags::EPOLLIN, END))?;
        let (report, reports) = sync_channel(WAITING);
        let listening = Arc::clone(&shared);
        let thread = thread::Builder::new().name("namespaces".into()).spawn(move || listen(&listening, &report))?;
        Ok((Self { shared, thread: Some(thread) }, reports))
    }

    /// Listens to the namespace of an endpoint.
    pub(crate) fn add(&self, id: u32, netns: BorrowedFd<'_>, inode: u64) -> io::Result<()> {
        if self.shared.sockets().get(&id).is_some_and(|(held, _)| *held == inode) {
            return Ok(());
        }
        let opened = namespace::inside(netns, || {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
            bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
            Ok(socket)
        })?;
        self.remove(id);
        let wanted = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, id.into());
        self.shared.epoll.add(&opened, wanted)?;
        self.shared.sockets().insert(id, (inode, opened));
        Ok(())
    }

    /// Listens to it no more.
    pub(crate) fn remove(&self, id: u32) {
        // Closing it takes it out of the set.
        self.shared.sockets().remove(&id);
    }
}

impl Drop for NetlinkWatch {
    fn drop(&mut self) {
        let _ = self.shared.end.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(shared: &WatchState, report: &SyncSender<u32>) {
    let (mut resting, mut due): (Vec<(Instant, u32)>, BTreeSet<u32>) = Default::default();
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let next = resting.iter().map(|(until, _)| until.saturating_duration_since(Instant::now())).min();
        // Rounded up, so that what is due is due when the wait ends.
        let timeout = next.map_or(EpollTimeout::NONE, |wait| {
            EpollTimeout::try_from(wait + Duration::from_millis(1)).unwrap_or(EpollTimeout::ZERO)
        });
        let ready = match shared.epoll.wait(&mut events, timeout) {
            Ok(ready) => ready,
            Err(Errno::EINTR) => 0,
            Err(error) => return tracing::error!(%error, "changes in namespaces are not noticed any more"),
        };
        for event in &events[..ready] {
            let Ok(id) = u32::try_from(event.data()) else { return };
            if drain(shared, id) {
                due.insert(id);
                resting.push((Instant::now() + PAUSE, id));
            } else {
                arm(shared, id);
            }
        }
        while let Some(id) = due.pop_first() {
            match report.try_send(id) {
                Ok(()) => {}
                // Tried again when the next one has rested.
                Err(TrySendError::Full(id)) => {
                    due.insert(id);
                    break;
                }
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
        let now = Instant::now();
        resting.iter().filter(|(until, _)| *until <= now).for_each(|(_, id)| arm(shared, *id));
        resting.retain(|(until, _)| *until > now);
        if !due.is_empty() && resting.is_empty() {
            resting.push((now + PAUSE, NOBODY));
        }
    }
}

fn arm(shared: &WatchState, id: u32) {
    if let Some((_, socket)) = shared.sockets().get(&id) {
        let mut wanted = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT, id.into());
        let _ = shared.epoll.modify(socket, &mut wanted);
    }
}

/// Reads what has come; tells whether something of ours may be gone, or a device or an address has come.
fn drain(shared: &WatchState, id: u32) -> bool {
    let sockets = shared.sockets();
    let Some((_, socket)) = sockets.get(&id) else { return false };
    let (mut buffer, mut matters) = (vec![0; 32 * 1024], false);
    loop {
        match recv(socket.as_fd().as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(0) | Err(Errno::EAGAIN) => return matters,
            Ok(length) => matters |= messages(&buffer[..length]).any(|(kind, body)| is_ours(kind, body)),
            Err(Errno::EINTR) => {}
            // More than there is room for: whatever it was, it is looked after.
            Err(_) => return true,
        }
    }
}

fn is_ours(kind: u16, body: &[u8]) -> bool {
    match kind {
        NEW_LINK | DELETE_LINK | NEW_ADDRESS | DELETE_ADDRESS => true,
        DELETE_ROUTE => attribute(body, ATTRIBUTE_TABLE) == Some(TABLE),
        DELETE_RULE => {
            attribute(body, ATTRIBUTE_PRIORITY).is_some_and(|preference| (PREF_OUT..=PREF_LOST).contains(&preference))
        }
        _ => false,
    }
}

/// An attribute of four bytes.
fn attribute(body: &[u8], wanted: u16) -> Option<u32> {
    attributes(body.get(BODY..)?).find(|(kind, _)| *kind == wanted).and_then(|(_, value)| word(value, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::HEADER;

    fn message(kind: u16, attributes: &[(u16, u32)]) -> Vec<u8> {
        let length = u32::try_from(HEADER + BODY + attributes.len() * 8).unwrap();
        let mut message = [length.to_ne_bytes(), [0; 4]].concat();
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message.resize(HEADER + BODY, 0);
        for (kind, value) in attributes {
            message.extend([8_u16.to_ne_bytes(), kind.to_ne_bytes()].concat());
            message.extend(value.to_ne_bytes());
        }
        message
    }

    #[test]
    fn what_goes_of_ours_and_devices_matter_and_nothing_else() {
        for (kind, attributes, matters) in [
            (DELETE_RULE, vec![(15, 0x5043), (ATTRIBUTE_PRIORITY, 100)], true),
            (DELETE_RULE, vec![(ATTRIBUTE_PRIORITY, 32766)], false),
            (DELETE_ROUTE, vec![(1, 7), (ATTRIBUTE_TABLE, TABLE)], true),
            (DELETE_ROUTE, vec![(ATTRIBUTE_TABLE, 254)], false),
            (24, vec![(ATTRIBUTE_TABLE, TABLE)], false),
            (NEW_LINK, vec![], true),
            (NEW_ADDRESS, vec![], true),
        ] {
            let bytes = message(kind, &attributes);
            let told: Vec<bool> = messages(&bytes).map(|(kind, body)| is_ours(kind, body)).collect();
            assert_eq!(told, [matters], "{kind} {attributes:?}");
        }
    }
}
