//! Entities as selectors (cilium pkg/policy/api/entity.go).

use crate::{
    labels::{CLUSTER, DEFAULT_CLUSTER, LabelSet, NAMESPACE},
    policy::Entity,
};

/// The selector of one of the entities that [`expand`] makes, as [`Selector`] is shown.
pub(super) fn selector_of(entity: Entity) -> &'static str {
    match entity {
        Entity::All => "*",
        Entity::World => "reserved:world=",
        Entity::WorldIpv4 => "reserved:world-ipv4=",
        Entity::WorldIpv6 => "reserved:world-ipv6=",
        Entity::Cluster => "k8s:io.cilium.k8s.policy.cluster=default",
        Entity::ClusterMesh => "any:io.cilium.k8s.policy.cluster",
        Entity::Host => "reserved:host=",
        Entity::RemoteNode => "reserved:remote-node=",
        Entity::KubeApiServer => "reserved:kube-apiserver=",
        Entity::Ingress => "reserved:ingress=",
        Entity::Init => "reserved:init=",
        Entity::Health => "reserved:health=",
        Entity::Unmanaged => "reserved:unmanaged=",
        Entity::None => "reserved:none=",
        Entity::KubeDns => "kube-dns",
    }
}

/// An entity as the selectors that Cilium makes of it (`EntitySelectorMapping`).
pub(super) fn expand(entity: Entity) -> &'static [Entity] {
    use Entity::{
        All, Cluster, ClusterMesh, Health, Host, Ingress, Init, KubeApiServer, KubeDns, None, RemoteNode, Unmanaged,
        World, WorldIpv4, WorldIpv6,
    };
    match entity {
        All => &[All],
        World => &[World, WorldIpv4, WorldIpv6],
        WorldIpv4 => &[WorldIpv4],
        WorldIpv6 => &[WorldIpv6],
        Cluster => &[Host, RemoteNode, Init, Ingress, Health, Unmanaged, KubeApiServer, Cluster],
        ClusterMesh => &[Host, RemoteNode, Init, Ingress, Health, Unmanaged, KubeApiServer, ClusterMesh],
        Host => &[Host],
        RemoteNode => &[RemoteNode],
        KubeApiServer => &[KubeApiServer],
        Ingress => &[Ingress],
        Init => &[Init],
        Health => &[Health],
        Unmanaged => &[Unmanaged],
        None => &[None],
        KubeDns => &[KubeDns],
    }
}

/// Whether labels are of one of the entities that [`expand`] makes.
pub(super) fn is(entity: Entity, labels: &LabelSet, kube_dns: bool) -> bool {
    let reserved = |keys: &[&str]| keys.iter().any(|key| labels.has_reserved(key));
    match entity {
        Entity::All => true,
        Entity::World => reserved(&["world"]),
        Entity::WorldIpv4 => reserved(&["world-ipv4"]),
        Entity::WorldIpv6 => reserved(&["world-ipv6"]),
        Entity::Cluster => {
            labels.iter().any(|label| label.source == "k8s" && label.key == CLUSTER && label.value == DEFAULT_CLUSTER)
        }
        Entity::ClusterMesh => labels.has(CLUSTER),
        Entity::Host => reserved(&["host"]),
        Entity::RemoteNode => reserved(&["remote-node"]),
        Entity::KubeApiServer => reserved(&["kube-apiserver"]),
        Entity::Ingress => reserved(&["ingress"]),
        Entity::Init => reserved(&["init"]),
        Entity::Health => reserved(&["health"]),
        Entity::Unmanaged => reserved(&["unmanaged"]),
        Entity::None => false,
        Entity::KubeDns => {
            kube_dns && labels.get(NAMESPACE) == Some("kube-system") && labels.get("k8s-app") == Some("kube-dns")
        }
    }
}
