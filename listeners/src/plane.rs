//! The data plane's interface: starts workers and sends them commands.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use portcullis_rules::{snapshot::Snapshot, world::EndpointId};
use socket2::Socket;

use crate::{
    dial::{Dialer, UpstreamConnector, UpstreamPorts},
    event::{
        mailbox::{Mailbox, Opening, WorkerCommand, WorkerListener},
        shared::WorkersShared,
    },
    kernel::UpstreamRegistry,
    learning::NameInstaller,
    namespace,
    options::DataPlaneOptions,
    protocols::LiveProtocols,
    share::{EndpointHoldings, EndpointShares},
    sockets,
    telemetry::Telemetry,
    worker::Worker,
};

/// The listeners of an endpoint, one for each worker, for the kernel's table.
#[derive(Debug, Default)]
pub struct ListenerSockets {
    /// For IPv4; empty where the namespace has none.
    pub tcp4: Vec<OwnedFd>,
    /// For IPv6; empty where the namespace has none.
    pub tcp6: Vec<OwnedFd>,
    /// For datagrams over IPv4; empty where the namespace has none.
    pub udp4: Vec<OwnedFd>,
    /// For datagrams over IPv6; empty where the namespace has none.
    pub udp6: Vec<OwnedFd>,
}

struct WorkerHandle {
    mailbox: Arc<Mailbox>,
    thread: JoinHandle<()>,
}

/// Listeners, relays and upstream connections of all endpoints of the node.
pub struct DataPlane {
    shared: Arc<WorkersShared>,
    upstreams: Arc<dyn UpstreamRegistry>,
    home: Arc<File>,
    hands: Vec<WorkerHandle>,
}

impl DataPlane {
    /// Starts the workers. Until a snapshot is published every flow is denied.
    ///
    /// # Errors
    /// No threads or file descriptors are to be had.
    pub fn start(
        options: DataPlaneOptions,
        upstreams: Arc<dyn UpstreamRegistry>,
        names: Option<Arc<dyn NameInstaller>>,
        telemetry: Arc<Telemetry>,
    ) -> io::Result<Self> {
        let workers = options.workers.max(1);
        let shared = Arc::new(WorkersShared {
            protocols: LiveProtocols::new(options.protocols),
            began: Instant::now(),
            options,
            telemetry,
            names,
            snapshot: ArcSwapOption::empty(),
            published: AtomicU64::new(0),
            connections: Arc::default(),
            files: Arc::default(),
            buffered: Arc::default(),
            #[cfg(test)]
            footprint: Default::default(),
            #[cfg(test)]
            sweeps: Default::default(),
        });
        let home = Arc::new(namespace::current()?);
        let mut plane = Self { shared, upstreams, home, hands: Vec::new() };
        for number in 0..workers {
            let mailbox = Arc::new(Mailbox::new()?);
            let worker = Worker::new(Arc::clone(&plane.shared), Arc::clone(&mailbox))?;
            let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || worker.run())?;
            plane.hands.push(WorkerHandle { mailbox, thread });
        }
        Ok(plane)
    }

    /// Opens the listeners of an endpoint in its namespace, one per family and worker. Listeners and connections that
    /// it had before are closed.
    ///
    /// # Errors
    /// The namespace cannot be entered, or it gives no transparent sockets. Then nothing has changed.
    pub fn open(&mut self, id: EndpointId, namespace: OwnedFd) -> io::Result<ListenerSockets> {
        let workers = self.hands.len();
        let groups = namespace::inside(&namespace, || {
            let stream = |v6| group(v6, workers, sockets::listener);
            let datagrams = |v6| group(v6, workers, sockets::datagrams::listener);
            Ok([stream(false)?, stream(true)?, datagrams(false)?, datagrams(true)?])
        })?;
        let all = |group: &Vec<Socket>| -> io::Result<Vec<OwnedFd>> {
            group.iter().map(|socket| socket.as_fd().try_clone_to_owned()).collect()
        };
        let [tcp4, tcp6, udp4, udp6] = groups.each_ref().map(all);
        let sockets = ListenerSockets { tcp4: tcp4?, tcp6: tcp6?, udp4: udp4?, udp6: udp6? };
        let namespace = Arc::new(namespace);
        let [mut tcp4, mut tcp6, mut udp4, mut udp6] = groups.map(Vec::into_iter);
        let places = (0..workers)
            .map(|worker| {
                let dialer = Dialer {
                    endpoint: id,
                    namespace: Arc::clone(&namespace),
                    home: Arc::clone(&self.home),
                    upstreams: Arc::clone(&self.upstreams),
                    ports: UpstreamPorts::new(&self.shared.options.upstream_ports, worker, workers)?,
                    mark: self.shared.options.mark,
                    mark_out: self.shared.options.mark_out,
                };
                let listeners = [tcp4.next(), tcp6.next()].into_iter().flatten().collect();
                let datagrams = [udp4.next(), udp6.next()].into_iter().flatten().collect();
                Ok(WorkerListener { listeners, datagrams, dial: Box::new(dialer) as Box<dyn UpstreamConnector> })
            })
            .collect::<io::Result<Vec<_>>>()?;
        self.hand_out(id, places);
        Ok(sockets)
    }

    /// Gives each worker its listeners of an endpoint.
    pub(crate) fn hand_out(&mut self, id: EndpointId, places: Vec<WorkerListener>) {
        let shared = &self.shared;
        let shares = EndpointShares {
            connections: EndpointHoldings::of(&shared.connections),
            files: EndpointHoldings::of(&shared.files),
            buffered: EndpointHoldings::of(&shared.buffered),
        };
        for (hand, listener) in self.hands.iter().zip(places) {
            hand.mailbox.put(WorkerCommand::Close(id));
            hand.mailbox.put(WorkerCommand::Open(Opening { id, listener, shares: shares.clone() }));
        }
    }

    /// Closes the listeners of an endpoint and resets its connections.
    pub fn close(&mut self, id: EndpointId) {
        for hand in &self.hands {
            hand.mailbox.put(WorkerCommand::Close(id));
        }
    }

    /// Judges by this snapshot from now on: every request that is read from here on, and every connection that is open.
    /// A connection that is denied now is reset, idle or not; so is one that was relayed unjudged and is to be judged
    /// now, or the reverse, because what has passed on it is not known to the protocol.
    pub fn publish(&mut self, snapshot: Arc<Snapshot>) {
        self.shared.snapshot.store(Some(snapshot));
        self.shared.published.fetch_add(1, Ordering::Release);
        for hand in &self.hands {
            hand.mailbox.ring();
        }
    }

    /// Accepts nothing more, lets connections end for so long, then resets them. Datagrams go on until
    /// [`DataPlane::finish`]. Returns at once; said again with a shorter time, the shorter one counts.
    pub fn begin_stop(&self, drain: Duration) {
        for hand in &self.hands {
            hand.mailbox.put(WorkerCommand::Stop(drain));
        }
    }

    /// Whether no connection is open.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.shared.connections.load(Ordering::Relaxed) == 0
    }

    /// Takes the datagrams that have come, waits for their answers at most for so long, and ends. So that none is lost, nobody
    /// may bring new ones to the listeners any more. Returns at once; said again with a shorter time, the shorter one counts.
    pub fn finish(&self, wait: Duration) {
        for hand in &self.hands {
            hand.mailbox.put(WorkerCommand::Finish(wait));
        }
    }

    /// Whether all workers have ended.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.hands.iter().all(|hand| hand.thread.is_finished())
    }

    /// Accepts nothing more, lets connections end for so long, then resets them. Returns when all workers have ended.
    pub fn stop(mut self, drain: Duration) {
        self.end(drain);
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &WorkersShared {
        &self.shared
    }

    fn end(&mut self, drain: Duration) {
        self.begin_stop(drain);
        self.finish(drain);
        for hand in self.hands.drain(..) {
            if hand.thread.join().is_err() {
                tracing::error!("a worker has panicked");
            }
        }
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        self.end(Duration::ZERO);
    }
}

/// A listener for each worker. None where the namespace has no such family.
fn group(v6: bool, workers: usize, make: impl Fn(bool) -> io::Result<Socket>) -> io::Result<Vec<Socket>> {
    let group: io::Result<Vec<Socket>> = (0..workers).map(|_| make(v6)).collect();
    match group {
        Err(error) if sockets::lacks_family(&error) => Ok(Vec::new()),
        other => other,
    }
}
