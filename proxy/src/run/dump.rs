//! The content of `/config_dump`.

use portcullis_config::Store;

use crate::admin::Dump;

/// Everything in force, as the store has it.
pub struct StoreDump(pub Store);

impl Dump for StoreDump {
    fn dump(&self) -> serde_json::Value {
        self.0.dump()
    }
}
