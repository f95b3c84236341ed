//! The log, on standard error.

use std::{
    io::{self, IsTerminal},
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::cli::{
    arguments::LogFormat,
    exit::{ExitStatus, Failure},
};

/// The log's level, which can be changed while the node runs.
#[derive(Clone)]
pub struct Levels {
    handle: reload::Handle<EnvFilter, Registry>,
    current: Arc<Mutex<String>>,
}

impl Levels {
    /// What is logged.
    #[must_use]
    pub fn current(&self) -> String {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what is logged: a level, or directives such as `info,portcullis_config=debug`.
    ///
    /// # Errors
    /// The directives cannot be read; the level stays as it is.
    pub fn set(&self, directives: &str) -> Result<(), String> {
        let filter = parse(directives)?;
        self.handle.reload(filter).map_err(|error| error.to_string())?;
        directives.clone_into(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    /// A filter with a level, and its handle.
    ///
    /// # Errors
    /// The directives cannot be read.
    pub fn new(directives: &str) -> Result<(reload::Layer<EnvFilter, Registry>, Self), String> {
        let (layer, handle) = reload::Layer::new(parse(directives)?);
        Ok((layer, Self { handle, current: Arc::new(Mutex::new(directives.to_owned())) }))
    }
}

/// An unknown word would be read as the name of a module, and then nothing would be logged at all.
fn parse(directives: &str) -> Result<EnvFilter, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let wrong = || format!("{directives:?} is no level: write error, warn, info, debug, trace, or module=level");
    let known = |directive: &str| {
        let level = directive.rsplit('=').next().unwrap_or(directive);
        LEVELS.contains(&level.to_ascii_lowercase().as_str())
    };
    if !directives.split(',').all(known) {
        return Err(wrong());
    }
    EnvFilter::try_new(directives).map_err(|_| wrong())
}

/// Starts logging for the whole process.
///
/// # Errors
/// The directives cannot be read.
pub fn start(directives: &str, format: LogFormat) -> Result<Levels, Failure> {
    let (filter, levels) = Levels::new(directives)
        .map_err(|error| Failure::new(ExitStatus::Usage, format!("--log-level: {error}"), ""))?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let started = match format {
        LogFormat::Text => registry.with(lines.with_ansi(colours)).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    started.map_err(Failure::internal)?;
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use super::Levels;

    #[test]
    fn a_wrong_level_changes_nothing() {
        let (_layer, levels) = Levels::new("info").unwrap();
        levels.set("info,portcullis_config=debug").unwrap();
        for wrong in ["loud", "", "info,", "portcullis", "a=b=c"] {
            assert!(levels.set(wrong).is_err(), "{wrong}");
        }
        assert_eq!(levels.current(), "info,portcullis_config=debug");
    }
}
