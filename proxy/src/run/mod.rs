//! `portcullis run`: wires the crates together.

pub mod backends;
pub mod cgroups;
pub mod dump;
pub mod fault;
pub mod followers;
pub mod force;
pub mod home;
pub mod life;
pub mod logging;
pub mod name_installer;
pub mod names;
pub mod node;
pub mod notify;
pub mod open;
pub mod place;
pub mod plane;
pub mod reconcile;
pub mod refusals;
pub mod release;
pub mod resolutions;
pub mod selfcheck;
pub mod settings;
pub mod start;
pub mod steering;
pub mod system;
pub mod verdicts;

use self::life::Signals;
use crate::{
    cli::{
        arguments::RunArguments,
        exit::{ExitStatus, Failure},
    },
    output::CommandOutput,
};

/// Threads of the control side: API, admin endpoints, compilation.
const CONTROL_THREADS: usize = 2;

/// Runs the node until it is stopped.
///
/// # Errors
/// The settings are wrong, or something that the node needs is not to be had.
pub fn command(arguments: RunArguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(Failure::internal)?;
    runtime.block_on(async {
        // First of all: a start that a signal cuts off would leave half of it. It is ended when it is over, in order.
        let mut signals = Signals::new().map_err(Failure::internal)?;
        let impatience = tokio::spawn(Signals::new().map_err(Failure::internal)?.end_at_once());
        let settings = settings::read(&arguments)?;
        let levels = logging::start(&arguments.log_level, arguments.log_format)?;
        settings::warn(&settings);
        be_root()?;
        if signals.said_stop().await {
            return Ok(());
        }
        let node = start::start(&arguments, settings, levels).await?;
        impatience.abort();
        life::live(node, &arguments, signals).await
    })
}

/// Reads the settings as a start would, and says that they are right.
///
/// # Errors
/// They are wrong.
pub fn check(arguments: &RunArguments, output: &mut CommandOutput) -> Result<(), Failure> {
    for warning in settings::read(arguments)?.warnings {
        output.say(warning);
    }
    Ok(output.text("the settings are right\n")?)
}

fn be_root() -> Result<(), Failure> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::new(
        ExitStatus::Failed,
        "network namespaces and BPF are root's",
        "run portcullis as root, or as a service of systemd (deploy/portcullis.service)",
    ))
}
