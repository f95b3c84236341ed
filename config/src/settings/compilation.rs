//! `limits.compilation`: the cost that compiled policies may have.

use portcullis_rules::bounds::CompileBounds;

/// `limits.compilation`. `None` is `auto`: it depends on the memory that the process may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compilation {
    /// `memory`: of all policies together, in bytes.
    pub memory: Option<usize>,
    /// `policyMemory`: of one policy, in bytes.
    pub policy_memory: Option<usize>,
    /// `work`: steps of one compilation.
    pub work: u64,
}

impl Compilation {
    /// The bounds for a process that may have so much memory, in bytes. A quarter of it is for policies: while one version
    /// follows another, both are there. At most 1 GiB. A quarter of that is for one policy.
    #[must_use]
    pub fn bounds(&self, available: u64) -> CompileBounds {
        let share = usize::try_from(available / 4).unwrap_or(usize::MAX).clamp(LEAST_COMPILATION, MOST_COMPILATION);
        let memory = self.memory.unwrap_or(share);
        let policy_memory = self.policy_memory.unwrap_or(memory / 4);
        CompileBounds { memory, policy_memory, work: self.work }
    }
}

/// Least that policies may take where nobody says, in bytes.
const LEAST_COMPILATION: usize = 16 << 20;
/// Most, likewise.
const MOST_COMPILATION: usize = 1 << 30;

impl Default for Compilation {
    fn default() -> Self {
        Self { memory: None, policy_memory: None, work: CompileBounds::default().work }
    }
}
