//! The devices of a namespace through which packets leave it, and their peers in other namespaces.
//!
//! Every function but [`peer_of`] works on the calling thread's namespace.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::Path,
    sync::Arc,
};

use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::{
    Handle,
    packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        link::{InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage},
        nsid::{NsidAttribute, NsidMessage},
    },
};

use crate::{
    namespace,
    routes::{other, with_netlink},
};

/// The namespace of this process, where most peers are.
const OURS: &str = "/proc/self/ns/net";

/// A device by which packets leave a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// Its number.
    pub(crate) index: u32,
    /// Its other side, if that is a device elsewhere: number, and identifier of its namespace.
    link: Option<(u32, i32)>,
    veth: bool,
}

/// The other side of a device, in another namespace.
#[derive(Debug)]
pub(crate) struct DevicePeer {
    /// Number of the device there.
    pub(crate) index: u32,
    /// The namespace, and its inode.
    pub(crate) netns: Arc<OwnedFd>,
    pub(crate) inode: u64,
    /// By which identifier that one knows the namespace that was asked about.
    pub(crate) within: i32,
}

/// The devices by which packets leave.
pub(crate) fn outward() -> io::Result<Vec<Device>> {
    with_netlink(async |netlink| {
        let links: Vec<LinkMessage> = netlink.link().get().execute().try_collect().await.map_err(other)?;
        Ok(links.iter().filter_map(device).collect())
    })
}

/// A device, unless what it sends stays inside or leaves by another one.
fn device(message: &LinkMessage) -> Option<Device> {
    let find = |wanted: fn(&LinkAttribute) -> Option<i64>| message.attributes.iter().find_map(wanted);
    let link = find(|attribute| match attribute {
        LinkAttribute::Link(index) => Some(i64::from(*index)),
        _ => None,
    });
    let elsewhere = find(|attribute| match attribute {
        LinkAttribute::LinkNetNsId(id) => Some(i64::from(*id)),
        _ => None,
    });
    let kind = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.iter().find_map(|info| match info {
            LinkInfo::Kind(kind) => Some(kind.clone()),
            _ => None,
        }),
        _ => None,
    });
    let leaves = match &kind {
        None => true,
        Some(InfoKind::Veth | InfoKind::Vlan | InfoKind::MacVlan | InfoKind::MacVtap | InfoKind::IpVlan) => {
            elsewhere.is_some()
        }
        Some(InfoKind::Netkit | InfoKind::IpVtap) => elsewhere.is_some(),
        Some(_) => false,
    };
    if message.header.link_layer_type != LinkLayerType::Ether || !leaves {
        return None;
    }
    let link = link.zip(elsewhere).and_then(|(link, id)| Some((u32::try_from(link).ok()?, i32::try_from(id).ok()?)));
    Some(Device { index: message.header.index, link, veth: kind == Some(InfoKind::Veth) })
}

/// The other side of a veth, looked for first in namespaces that are known. `None`: the device is no veth, or its peer is in a
/// namespace that cannot be found.
pub(crate) fn peer_of(netns: BorrowedFd<'_>, device: &Device, known: &[&OwnedFd]) -> io::Result<Option<DevicePeer>> {
    let Some((index, id)) = device.link.filter(|_| device.veth) else { return Ok(None) };
    let ours: Vec<OwnedFd> = File::open(OURS).map(OwnedFd::from).into_iter().collect();
    let near: Vec<&OwnedFd> = ours.iter().chain(known.iter().copied()).collect();
    let found = match named(netns, id, &near)? {
        Some(found) => Some(near[found].try_clone()?),
        None => {
            let mut all = everywhere();
            let far: Vec<&OwnedFd> = all.iter().collect();
            named(netns, id, &far)?.map(|found| all.swap_remove(found))
        }
    };
    let Some(outside) = found else { return Ok(None) };
    let there = namespace::inside(outside.as_fd(), outward)?;
    // It has to be the other side of this very device.
    let back = there.iter().find(|other| other.index == index).and_then(|other| other.link);
    let inode = namespace::inode(outside.as_fd())?;
    Ok(back.filter(|(link, _)| *link == device.index).map(|(_, within)| DevicePeer {
        index,
        netns: Arc::new(outside),
        inode,
        within,
    }))
}

/// Which of these namespaces has an identifier in another one.
fn named(netns: BorrowedFd<'_>, id: i32, candidates: &[&OwnedFd]) -> io::Result<Option<usize>> {
    namespace::inside(netns, || {
        with_netlink(async |netlink| {
            for (index, candidate) in candidates.iter().enumerate() {
                if identifier(&netlink, candidate.as_fd()).await? == Some(id) {
                    return Ok(Some(index));
                }
            }
            Ok(None)
        })
    })
}

/// `RTM_GETNSID`: the identifier of a namespace in the calling thread's one.
async fn identifier(netlink: &Handle, netns: BorrowedFd<'_>) -> io::Result<Option<i32>> {
    let mut about = NsidMessage::default();
    about.attributes.push(NsidAttribute::Fd(netns.as_raw_fd().cast_unsigned()));
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetNsId(about));
    request.header.flags = NLM_F_REQUEST;
    let mut answers = netlink.clone().request(request).map_err(io::Error::other)?;
    while let Some(answer) = answers.next().await {
        if let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNsId(told)) = answer.payload {
            let id = told.attributes.iter().find_map(|attribute| match attribute {
                NsidAttribute::Id(id) => Some(*id),
                _ => None,
            });
            return Ok(id.filter(|id| *id >= 0));
        }
    }
    Ok(None)
}

/// Every namespace that has a name or a process, once.
fn everywhere() -> Vec<OwnedFd> {
    let mut seen = BTreeSet::new();
    let open = |path: &Path| File::open(path).ok();
    namespace::paths()
        .filter_map(|path| {
            let inode = std::fs::metadata(&path).ok()?.ino();
            if seen.insert(inode) { open(&path).map(OwnedFd::from) } else { None }
        })
        .collect()
}
