//! Lint: finds what a policy says that its author probably did not mean. Pure: policies and settings in, findings out.
//!
//! A finding is never a guess about one request. It is a property of the documents that is certain without traffic.
//! Anything uncertain (does this selector select a part of what that one does?) is not reported.

mod checks;
mod cover;
mod element;
mod http;
mod kin;
mod merge;
mod peers;
mod ports;
mod remarks;
mod services;
mod text;

pub use checks::{CHECKS, Check, Severity, check};

use crate::{settings::PolicySettings, world::World};
use element::Element;

/// One thing found in one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LintFinding {
    /// What kind of thing.
    pub check: &'static Check,
    /// How much it weighs: what its check does, or less where it is often meant.
    pub severity: Severity,
    /// Index of the policy in [`World::policies`].
    pub policy: usize,
    /// Path of the field, for example `spec.ingress[0].toPorts[0].rules.http[1].path`.
    pub field: String,
    /// What is wrong here.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
    /// The other place that it takes for this, as index of the policy and path of the field.
    pub related: Option<(usize, String)>,
}

/// Looks at all policies of a world together. They need not be valid; settings silence what they change. Where the world
/// has endpoints, selectors that select none of them are found too.
///
/// Findings are in the order of the policies, and within one of the checks.
#[must_use]
pub fn lint(world: &World) -> Vec<LintFinding> {
    let elements: Vec<Element<'_>> = element::all(&world.policies);
    let mut report = LintReport { settings: &world.settings, findings: Vec::new() };
    peers::subjects(world, &mut report);
    for element in &elements {
        peers::element(element, world, &mut report);
        ports::element(element, &mut report);
        http::element(element, &mut report);
    }
    remarks::elements(&elements, world, &mut report);
    merge::elements(&elements, &world.policies, &mut report);
    peers::names(&elements, world, &mut report);
    peers::servers(&elements, &mut report);
    ports::dns(&elements, &mut report);
    services::elements(&elements, world, &mut report);
    let mut findings = report.findings;
    findings.sort_by(|a, b| (a.policy, a.check.code).cmp(&(b.policy, b.check.code)));
    findings
}

/// What was found so far, and the settings that decide what is worth finding.
struct LintReport<'a> {
    settings: &'a PolicySettings,
    findings: Vec<LintFinding>,
}

impl LintReport<'_> {
    /// Adds a finding with the remedy of its check.
    fn add(
        &mut self,
        code: &str,
        policy: usize,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> &mut LintFinding {
        let check = check(code).unwrap_or(&CHECKS[0]);
        let (field, message) = (field.into(), message.into());
        let severity = check.severity;
        let finding =
            LintFinding { check, severity, policy, field, message, remedy: check.remedy.to_owned(), related: None };
        let at = self.findings.len();
        self.findings.push(finding);
        &mut self.findings[at]
    }
}
