//! Health: whether the node serves, and whether it can.

use std::{
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

/// Where the node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeStage {
    /// The last good configuration is not in force yet.
    Starting = 0,
    /// Some accepted configuration is in force.
    Serving = 1,
    /// A stop was requested.
    Stopping = 2,
}

/// How the node is. Neither answer depends on anything remote.
#[derive(Debug)]
pub struct Health {
    stage: AtomicU8,
    /// Why something may pass that should be judged.
    gap: Mutex<Option<String>>,
}

impl Default for Health {
    fn default() -> Self {
        Self { stage: AtomicU8::new(NodeStage::Starting as u8), gap: Mutex::default() }
    }
}

impl Health {
    /// Moves on.
    pub fn enter(&self, stage: NodeStage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// Notes why something may pass that should be judged, if it may. Returns whether that is new.
    pub fn set_gap(&self, gap: Option<String>) -> bool {
        let mut held = self.gap.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *held != gap;
        *held = gap;
        changed
    }

    /// Ready: some accepted configuration is in force, nothing passes that it wants judged, and nobody has told the node to
    /// stop.
    ///
    /// # Errors
    /// Why not.
    pub fn ready(&self) -> Result<&'static str, String> {
        match self.stage.load(Ordering::Acquire) {
            stage if stage == NodeStage::Serving as u8 => {
                self.gap.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok("ready"), Err)
            }
            stage if stage == NodeStage::Stopping as u8 => Err("stopping".into()),
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
