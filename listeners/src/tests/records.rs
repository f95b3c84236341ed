//! The file of access records and its contents.

use serde_json::Value;
use tempfile::TempDir;

use crate::telemetry::{RecordTarget, TelemetryOptions};

pub(crate) struct RecordFile(TempDir);

impl RecordFile {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Has all records written to it.
    pub(crate) fn options(&self) -> TelemetryOptions {
        TelemetryOptions {
            records: RecordTarget::File(self.0.path().join("access.json")),
            ..TelemetryOptions::default()
        }
    }

    /// What it holds, as text and by record. Whoever writes has to be gone: the writer ends with the last handle, and writes
    /// what waits before.
    pub(crate) fn read(&self) -> (String, Vec<Value>) {
        let text = std::fs::read_to_string(self.0.path().join("access.json")).unwrap();
        let records = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (text, records)
    }

    /// The one record in it.
    pub(crate) fn only(&self) -> Value {
        let (text, mut records) = self.read();
        assert_eq!(records.len(), 1, "{text}");
        records.remove(0)
    }
}
