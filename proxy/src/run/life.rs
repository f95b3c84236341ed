//! The life of the node: serving, maintenance, and an orderly end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis_config::Store;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{
    admin::{self, health::NodeStage},
    cli::{
        arguments::RunArguments,
        exit::{ExitStatus, Failure},
    },
    run::{
        force::ActiveConfig, home, notify, refusals, selfcheck, settings, start::RunningNode, steering::SteeringLoader,
    },
};

/// How often namespaces that came and went, and steps that failed, are looked after.
const MAINTAIN: Duration = Duration::from_secs(1);
/// How often it is looked whether the last connections have ended.
const DRAIN_TICK: Duration = Duration::from_millis(20);
/// How long answers to datagrams are waited for at least, when connections took all the time there was.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// How long calls of the API may go on when all else has ended.
const LAST_CALLS: Duration = Duration::from_secs(3);

/// Serves until a signal says stop, then ends. What policy wants steered is refused from then on, as after a crash, until
/// the next start or a release; where the settings let it pass without a node, or the arguments after a stop, nothing that
/// is ours stays.
///
/// # Errors
/// Something of ours could not be removed.
pub async fn live(node: RunningNode, arguments: &RunArguments, mut signals: Signals) -> Result<(), Failure> {
    let (stop, stopped) = watch::channel(false);
    let RunningNode {
        store,
        force,
        running,
        telemetry,
        refusals,
        api: (socket, listener),
        api_limits,
        admin,
        health,
        name_installer,
        answer,
    } = node;
    let mut tasks: Vec<JoinHandle<()>> = vec![
        tokio::spawn(refusals::follow(refusals, telemetry, force.clone())),
        tokio::spawn(maintain(force.clone())),
        tokio::spawn(home::follow(store.clone())),
        tokio::spawn(selfcheck::run(force.clone(), running.clone(), answer)),
    ];
    let (admin, listeners) = admin;
    for listener in listeners {
        tasks.push(spawn(admin::serve(listener, Arc::clone(&admin), stopped.clone()), "admin endpoints"));
    }
    let api = spawn(portcullis_config::serve(listener, store.clone(), running, api_limits, stopped), "API");
    health.enter(NodeStage::Serving);
    notify::ready("policy is in force");
    tracing::info!("serving");

    while signals.next().await == SignalRequest::Reload {
        reload(&store, arguments).await;
    }

    health.enter(NodeStage::Stopping);
    notify::stopping();
    tracing::info!(drain = ?arguments.drain, "stopping");
    let ended = end(&force, arguments, &mut signals).await;
    tokio::task::block_in_place(|| name_installer.end());
    stop.send_replace(true);
    drop(tokio::time::timeout(LAST_CALLS, api).await);
    tasks.iter().for_each(JoinHandle::abort);
    drop(socket);
    tracing::info!("stopped");
    ended
}

/// Connections first, then the queries that have come, then what steers them. A second signal to stop cuts what is still
/// open. Names are learnt until the last answer has gone.
async fn end(force: &ActiveConfig, arguments: &RunArguments, signals: &mut Signals) -> Result<(), Failure> {
    let Some((resolutions, workers)) = force.end() else { return Ok(()) };
    let until = Instant::now() + arguments.drain;
    workers.begin_stop(arguments.drain);
    let in_time = until_now(signals, || workers.are_drained()).await;
    if !in_time {
        workers.begin_stop(Duration::ZERO);
    }
    // A query is answered or refused from here on; none waits at a socket that closes.
    if let Err(error) = tokio::task::block_in_place(|| resolutions.with_kernel(SteeringLoader::refuse_datagrams)) {
        tracing::warn!(%error, "queries that come in the last moment may be lost");
    }
    let left = until.saturating_duration_since(Instant::now()).max(LAST_ANSWERS);
    workers.finish(if in_time { left } else { Duration::ZERO });
    while !until_now(signals, || workers.have_stopped()).await {
        workers.begin_stop(Duration::ZERO);
        workers.finish(Duration::ZERO);
    }
    drop(workers);
    let Some(steering) = resolutions.end() else { return Ok(()) };
    let kept = tokio::task::block_in_place(|| steering.close(!arguments.release_on_stop)).map_err(|error| {
        Failure::new(ExitStatus::Failed, format!("something of ours is left: {error}"), "run portcullis release")
    })?;
    if kept {
        tracing::info!("what policy wants steered is refused until the next start; `portcullis release` lets it pass");
    }
    Ok(())
}

/// Waits until something is so. False: a signal says that all has to stop at once.
async fn until_now(signals: &mut Signals, mut is_so: impl FnMut() -> bool) -> bool {
    let mut ticks = interval(DRAIN_TICK);
    while !is_so() {
        tokio::select! {
            _ = ticks.tick() => {}
            () = signals.stop_now() => {
                tracing::warn!("stopping at once");
                return false;
            }
        }
    }
    true
}

async fn maintain(force: ActiveConfig) {
    let mut ticks = interval(MAINTAIN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watchdog = notify::watchdog_interval().is_some();
    loop {
        ticks.tick().await;
        let force = force.clone();
        // A tick that hangs starves the watchdog, which is what it is for.
        if tokio::task::spawn_blocking(move || force.maintain()).await.is_ok() && watchdog {
            notify::alive();
        }
    }
}

/// Reads the settings and the files again. What is wrong with them is said, and changes nothing.
async fn reload(store: &Store, arguments: &RunArguments) {
    notify::reloading();
    match settings::read(arguments).inspect(settings::warn) {
        Ok(settings) => match store.reconfigure(settings.rules, settings.flow_params(), settings.resources).await {
            Ok(applied) => {
                tracing::info!(
                    revision = applied.revision,
                    "settings about rules and connections, and files, were read again"
                )
            }
            Err(error) => tracing::error!(%error, "the files were not read again"),
        },
        Err(failure) => tracing::error!("the settings stay as they are: {}", failure.message),
    }
    notify::ready("policy is in force");
}

fn spawn<E: std::fmt::Display + Send + 'static>(
    work: impl Future<Output = Result<(), E>> + Send + 'static,
    what: &'static str,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = work.await {
            tracing::error!(%error, "{what}: serving ended");
        }
    })
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SignalRequest {
    Reload,
    Stop,
}

/// The signals that say what is to be done. Those that come while nobody listens wait.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// From now on no signal of these ends the process by itself.
    ///
    /// # Errors
    /// They cannot be heard.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> SignalRequest {
        tokio::select! {
            _ = self.terminate.recv() => SignalRequest::Stop,
            _ = self.interrupt.recv() => SignalRequest::Stop,
            _ = self.hangup.recv() => SignalRequest::Reload,
        }
    }

    async fn stop_now(&mut self) {
        while self.next().await != SignalRequest::Stop {}
    }

    /// Whether a signal has said stop by now. One that said that settings are to be read again is not kept.
    pub async fn said_stop(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.stop_now() => true,
            () = tokio::task::yield_now() => false,
        }
    }

    /// Ends the process like a crash, at the second signal to stop.
    pub async fn end_at_once(mut self) {
        for _ in 0..2 {
            self.stop_now().await;
        }
        tracing::warn!("stopping at once, before the start is over");
        // Nothing of the kernel's is lost: what policy wants steered is refused until the next start.
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}
