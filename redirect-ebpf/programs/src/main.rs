//! The eBPF programs. There is one `lookup` per network namespace, one set of the other programs above all pods, and
//! one set for each cgroup of the host. All share their maps.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(internal_features, reason = "an exchange in one step, which the types of core do not offer for this target")]

mod birth;
mod connect;
mod echo;
mod lookup;
mod maps;
mod options;
mod packet;
mod packet_cgroup;
mod packet_cgroup_known;
mod packet_common;
mod packet_empty;
mod packet_flows;
mod packet_judge;
mod packet_programs;
mod packet_seals;
mod packet_sockets;
mod packet_young;
mod replies;
mod source;
mod verdict;

/// Set by the loader: the endpoint of this namespace or cgroup; 0 in the programs above all pods.
#[unsafe(no_mangle)]
static ENDPOINT: u32 = 0;

/// Set by the loader: what the endpoint is, `POD`, `SERVICE` or `NODE`.
#[unsafe(no_mangle)]
static SITE: u32 = 0;

/// Set by the loader: the cookie of the endpoint's network namespace; 0 in the programs above all pods.
#[unsafe(no_mangle)]
static HOME: u64 = 0;

/// Set by the loader: the identifier of the endpoint's namespace, as the one of the program knows it; -1 is the same one.
#[unsafe(no_mangle)]
static WITHIN: u32 = u32::MAX;

/// Set by the loader: how many workers have a listener in each group.
#[unsafe(no_mangle)]
static WORKERS: u32 = 1;

/// Set by the loader: how long an answer to a datagram may come, in nanoseconds since it was sent.
#[unsafe(no_mangle)]
static ANSWERS: u64 = 0;

/// Set by the loader at random: so nobody can choose the worker that meets a flow.
#[unsafe(no_mangle)]
static SEED: u32 = 0;

/// Reads a constant that the loader writes.
#[inline(always)]
fn cookie(constant: &'static u64) -> u64 {
    unsafe { core::ptr::read_volatile(constant) }
}

/// Reads a constant that the loader writes.
#[inline(always)]
fn number(constant: &'static u32) -> u32 {
    unsafe { core::ptr::read_volatile(constant) }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Helpers such as `bpf_sk_release` are for programs under the GPL only; the programs are offered under it as well as under Apache-2.0.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 26] = *b"GPL and additional rights\0";
