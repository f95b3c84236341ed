//! The settings of a run: the settings file, and the flags that override it.

use std::{
    num::NonZeroU16,
    path::{Path, PathBuf},
};

use nix::sys::resource::{Resource, getrlimit};
use portcullis_codecs::PROTOCOLS;
use portcullis_config::settings::{self, NodeSettings, RecordsTo};
use portcullis_listeners::{
    DataPlaneOptions,
    telemetry::{RecordTarget, TelemetryOptions},
};
use portcullis_rules::limits::Capacity;

use crate::{
    cli::{
        arguments::RunArguments,
        exit::{ExitStatus, Failure},
    },
    run::system::{default_workers, memory_limit},
};

/// Read when no settings file is named, if it is there.
const STANDARD: &str = "/etc/portcullis/portcullis.yaml";

/// Reads the settings file and lets the flags go before it.
///
/// # Errors
/// The file cannot be read or says something wrong; each problem is named with its position.
pub fn read(arguments: &RunArguments) -> Result<NodeSettings, Failure> {
    let mut settings = match file(arguments) {
        Some(path) => settings::load(&path, &PROTOCOLS.limits())
            .map_err(|invalid| Failure::new(ExitStatus::Invalid, invalid.to_string(), "nothing was started"))?,
        None => NodeSettings::default(),
    };
    override_by(arguments, &mut settings);
    settings.rules.bounds = settings.limits.compilation.bounds(memory_limit());
    Ok(settings)
}

/// Logs what is read, but should be written otherwise.
pub fn warn(settings: &NodeSettings) {
    for warning in &settings.warnings {
        tracing::warn!("settings: {warning}");
    }
}

fn file(arguments: &RunArguments) -> Option<PathBuf> {
    let standard = || Some(PathBuf::from(STANDARD)).filter(|path| Path::new(path).exists());
    arguments.config.clone().or_else(standard)
}

fn override_by(arguments: &RunArguments, settings: &mut NodeSettings) {
    let set = |value: &Option<PathBuf>, place: &mut PathBuf| {
        if let Some(value) = value {
            place.clone_from(value);
        }
    };
    set(&arguments.socket, &mut settings.api.socket);
    set(&arguments.state_directory, &mut settings.state_directory);
    if let Some(addresses) = &arguments.admin_address {
        settings.admin.addresses.clone_from(addresses);
    }
    settings.workers = arguments.workers.and_then(NonZeroU16::new).or(settings.workers);
    if !arguments.resources.is_empty() {
        settings.resources.clone_from(&arguments.resources);
    }
    let rules = &mut settings.rules;
    rules.enforcement = arguments.enforcement.unwrap_or(rules.enforcement);
    rules.deny_with = arguments.deny_with.unwrap_or(rules.deny_with);
    settings.on_proxy_down = arguments.on_proxy_down.unwrap_or(settings.on_proxy_down);
}

/// What the data plane is started with.
#[must_use]
pub fn data_plane(settings: &NodeSettings) -> DataPlaneOptions {
    let limits = &settings.limits;
    DataPlaneOptions {
        workers: settings.workers.map_or_else(default_workers, |workers| workers.get().into()),
        protocols: PROTOCOLS,
        upstream_ports: settings.steering.upstream_ports.clone(),
        capacity: Capacity {
            open_files: limits.capacity.open_files.or_else(|| Some(open_files())),
            ..limits.capacity.clone()
        },
        mark: portcullis_redirect::MARK,
        mark_out: portcullis_redirect::MARK_OUT,
        ..DataPlaneOptions::default()
    }
}

/// Descriptors for steered traffic: three quarters of what the process may have. The rest is for listeners, maps, links and
/// clients of the API.
fn open_files() -> usize {
    let most = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    usize::try_from(most / 4 * 3).unwrap_or(usize::MAX)
}

/// Where verdicts are recorded, and how many series they may make.
#[must_use]
pub fn telemetry(settings: &NodeSettings) -> TelemetryOptions {
    TelemetryOptions {
        protocols: PROTOCOLS,
        records: match &settings.records.to {
            RecordsTo::None => RecordTarget::Off,
            RecordsTo::Stdout => RecordTarget::Stdout,
            RecordsTo::File(path) => RecordTarget::File(path.clone()),
        },
        policy_labels: settings.limits.policy_labels,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_rules::settings::{DenyWith, Enforcement};

    use super::*;

    #[test]
    fn a_flag_goes_before_the_settings_file_and_that_before_the_default() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "enforcement: never\nworkers: 3\ndenyWith: respond\n").unwrap();
        let arguments = RunArguments {
            config: Some(file.path().into()),
            enforcement: Some(Enforcement::Always),
            ..RunArguments::default()
        };
        let settings = read(&arguments).unwrap();
        assert_eq!(settings.rules.enforcement, Enforcement::Always);
        assert_eq!(settings.rules.deny_with, DenyWith::Respond);
        assert_eq!(data_plane(&settings).workers, 3);
        assert_eq!(settings.api.socket, NodeSettings::default().api.socket);
    }

    #[test]
    fn a_wrong_settings_file_is_named_with_line_and_field() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "enforcement: default\nenforcment: always\n").unwrap();
        let arguments = RunArguments { config: Some(file.path().into()), ..RunArguments::default() };
        let failure = read(&arguments).unwrap_err();
        assert_eq!(failure.exit, ExitStatus::Invalid);
        assert!(failure.message.contains(":2:1: enforcment"), "{}", failure.message);
    }
}
