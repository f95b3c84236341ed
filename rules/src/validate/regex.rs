//! Validates the regular expressions of policies, and measures the cost of a policy.

use super::Validator;
use crate::{
    bounds::BoundedResource,
    pattern::{REGEX_BUDGET, RegexError},
    policy::{L7Rule, Matcher, PolicyProblem},
    schema::Schema,
};

impl<'a> Validator<'a> {
    /// Takes memory that the policy needs; tells once when that is more than one policy may have.
    pub(super) fn take(&mut self, memory: usize, field: &str) {
        let most = self.settings.bounds.policy_memory;
        let before = self.memory <= most;
        self.memory = self.memory.saturating_add(memory);
        if before && self.memory > most {
            let exhausts = Some(BoundedResource::PolicyMemory);
            let message = format!("with this the policy takes more than {most} bytes when it is compiled");
            let remedy =
                format!("write several smaller policies, or raise {}", BoundedResource::PolicyMemory.setting());
            self.problems.push(PolicyProblem { field: field.to_owned(), message, remedy, warning: false, exhausts });
        }
    }

    /// Whether nothing more of the policy is to be looked at.
    pub(super) fn is_over(&self) -> bool {
        self.memory > self.settings.bounds.policy_memory || self.effort.is_over()
    }

    /// Tells that not all of the policy was looked at, where it was not.
    pub(super) fn tell_effort(&mut self) {
        if self.effort.is_over() {
            let (field, exhausts, warning) = ("spec".to_owned(), Some(BoundedResource::Work), false);
            let message =
                format!("the update takes more than {} steps to be checked up to here", self.settings.bounds.work);
            let remedy = format!(
                "send less at a time, use fewer or smaller regular expressions, or raise {}",
                BoundedResource::Work.setting()
            );
            self.problems.push(PolicyProblem { field, message, remedy, warning, exhausts });
        }
    }

    pub(super) fn predicates(&mut self, schema: &Schema, rule: &'a L7Rule, path: &str) {
        for predicate in &rule.predicates {
            let Matcher::Regex(pattern) = &predicate.matcher else { continue };
            let Some(field) = schema.fields.get(usize::from(predicate.field.0)) else { continue };
            let path = format!("{path}.{}", rule.written(predicate.field).map_or(field.name, |written| written.key));
            match self.regex(pattern, &path) {
                None => {}
                Some(RegexError::TooLarge(_)) => self.warn(
                    path,
                    format!("the regular expression needs more than {REGEX_BUDGET} bytes compiled; this rule matches nothing"),
                    "use smaller repetition counts",
                ),
                Some(RegexError::Syntax(reason)) if field.checked => {
                    self.error(path, format!("error parsing regexp: {reason}: `{pattern}`"), "write a regular expression of RE2's syntax");
                }
                Some(RegexError::Syntax(reason)) => self.warn(
                    path,
                    format!("error parsing regexp: {reason}: `{pattern}`; this rule matches nothing"),
                    "write a regular expression of RE2's syntax",
                ),
            }
        }
    }

    /// What is wrong with a regular expression. Each is compiled once, and none when there is no memory left for it.
    fn regex(&mut self, pattern: &'a str, path: &str) -> Option<RegexError> {
        if let Some(known) = self.regexes.get(pattern) {
            return known.clone();
        }
        if self.is_over() {
            return None;
        }
        let wrong = match self.effort.regex(pattern)? {
            Ok(size) => {
                self.take(size, path);
                None
            }
            Err(error) => {
                // It took as much until that was known.
                if matches!(error, RegexError::TooLarge(_)) {
                    self.take(REGEX_BUDGET, path);
                }
                Some(error)
            }
        };
        self.regexes.insert(pattern, wrong.clone());
        wrong
    }
}
