//! Whether the node serves, and whether it can.

use std::{
    fs,
    sync::atomic::{AtomicU8, Ordering},
};

/// Where the node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The last good configuration is not in force yet.
    Starting = 0,
    /// Some accepted configuration is in force.
    Serving = 1,
    /// It was told to stop.
    Stopping = 2,
}

/// How the node is. Neither answer depends on anything remote.
#[derive(Debug)]
pub struct Health {
    stage: AtomicU8,
}

impl Default for Health {
    fn default() -> Self {
        Self { stage: AtomicU8::new(Stage::Starting as u8) }
    }
}

impl Health {
    /// Moves on.
    pub fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// Ready: some accepted configuration is in force and nobody has told the node to stop.
    ///
    /// # Errors
    /// Why not.
    pub fn ready(&self) -> Result<&'static str, String> {
        match self.stage.load(Ordering::Acquire) {
            stage if stage == Stage::Serving as u8 => Ok("ready"),
            stage if stage == Stage::Stopping as u8 => Err("stopping".into()),
            _ => Err("starting".into()),
        }
    }

    /// Alive: this answer shows that the control threads turn, and a file can still be opened.
    ///
    /// # Errors
    /// Why not.
    pub fn live(&self) -> Result<&'static str, String> {
        match fs::File::open("/proc/self/stat") {
            Ok(_) => Ok("live"),
            Err(error) => Err(format!("no file can be opened: {error}")),
        }
    }
}
