//! `portcullis lint`.

pub mod arguments;
pub mod collect;
pub mod finding;
pub mod sarif;
pub mod tree;

use portcullis_codecs::Registry;
use portcullis_config::settings;
use portcullis_rules::{
    lint::{CHECKS, Severity},
    settings::PolicySettings,
};

use crate::{
    cli::{
        exit::{ExitStatus, Failure},
        gather,
    },
    output::{CommandOutput, Style},
    render::{Format, structured, table::table},
};
use arguments::LintArguments;
use finding::LocatedFinding;
use tree::PassedOver;

/// Looks for traps in the policies that files hold.
///
/// # Errors
/// Something was found, a file cannot be read, or standard output cannot be written.
pub fn run(
    protocols: Registry,
    arguments: &LintArguments,
    format: Format,
    output: &mut CommandOutput,
) -> Result<(), Failure> {
    if arguments.checks {
        return checks(format, output);
    }
    let mut settings = match &arguments.settings {
        Some(path) => {
            settings::load(path, &protocols.limits())
                .map_err(|invalid| Failure::new(ExitStatus::Invalid, invalid.to_string(), ""))?
                .rules
        }
        None => PolicySettings::default(),
    };
    settings.extended_ip_protocols |= arguments.enable_extended_ip_protocols;
    let files = gather::gather(&arguments.paths)?;
    let collected = collect::collect(protocols, &files, &settings);
    if files.iter().all(|file| file.documents.is_empty()) {
        let names: Vec<_> = arguments.paths.iter().map(|path| path.display().to_string()).collect();
        let message = format!("no document in {}", names.join(", "));
        let remedy = "name files with CiliumNetworkPolicy documents, directories, or - for standard input";
        return Err(Failure::new(ExitStatus::Invalid, message, remedy));
    }
    let wanted = |finding: &LocatedFinding| {
        finding.severity >= arguments.level.into() && !arguments.ignore.iter().any(|code| code == finding.check.code)
    };
    let findings: Vec<LocatedFinding> = collected.findings.into_iter().filter(wanted).collect();
    match format {
        Format::Sarif => output.text(&sarif::render(&findings)?)?,
        Format::Text => text(&findings, collected.looked_at, collected.passed_over, output)?,
        _ => output.text(&structured(format, &findings)?.unwrap_or_default())?,
    }
    exit(&findings, collected.refused, arguments.allow_warnings)
}

/// The exit code: a document that is refused weighs more than what is found in it.
fn exit(findings: &[LocatedFinding], refused: bool, allow_warnings: bool) -> Result<(), Failure> {
    let limit = if allow_warnings { Severity::Error } else { Severity::Warning };
    if refused {
        return Err(Failure::said(ExitStatus::Invalid));
    }
    if findings.iter().any(|finding| finding.severity >= limit) {
        return Err(Failure::said(ExitStatus::Failed));
    }
    Ok(())
}

fn text(
    findings: &[LocatedFinding],
    looked_at: usize,
    passed_over: PassedOver,
    output: &mut CommandOutput,
) -> Result<(), Failure> {
    for finding in findings {
        finding.print(output)?;
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let parts = [
        counted(count(Severity::Error), "error"),
        counted(count(Severity::Warning), "warning"),
        counted(count(Severity::Info), "hint"),
    ];
    let policies = counted(looked_at, "policy").replace("policys", "policies");
    let told = if findings.is_empty() {
        format!("{policies}: nothing found")
    } else {
        format!("{policies}: {}", parts.join(", "))
    };
    let line = if passed_over.total() == 0 { told } else { format!("{told}; {}", of_others(passed_over)) };
    let style = if findings.is_empty() { Style::Good } else { Style::Strong };
    let line = output.paint.style(style, &line).to_string();
    Ok(output.line(line)?)
}

/// `12 other documents passed over (9 of other kinds, 3 templates)`.
fn of_others(passed_over: PassedOver) -> String {
    let PassedOver { others, templates, patches, unreadable } = passed_over;
    let parts = [
        (others, "of other kinds".to_owned()),
        (templates, if templates == 1 { "template".into() } else { "templates".into() }),
        (patches, if patches == 1 { "patch".into() } else { "patches".into() }),
        (unreadable, "no YAML".to_owned()),
    ];
    let parts: Vec<_> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(number, word)| format!("{number} {word}")).collect();
    format!("{} passed over ({})", counted(passed_over.total(), "other document"), parts.join(", "))
}

fn counted(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// `--checks`: what is looked for.
fn checks(format: Format, output: &mut CommandOutput) -> Result<(), Failure> {
    let entries: Vec<finding::CheckEntry> = CHECKS.iter().map(finding::CheckEntry::from).collect();
    match structured(format, &entries)? {
        Some(text) => Ok(output.text(&text)?),
        None => {
            let rows: Vec<[String; 4]> = CHECKS
                .iter()
                .map(|check| [check.code, check.severity.as_str(), check.name, check.meaning].map(str::to_owned))
                .collect();
            Ok(output.text(&table(["CODE", "SEVERITY", "NAME", "MEANING"], &rows))?)
        }
    }
}
