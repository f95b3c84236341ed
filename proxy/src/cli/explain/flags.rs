//! The flags of `explain` for requests, in the words of each protocol.

use clap::{Arg, ArgAction, ArgMatches, Command};
use portcullis_codecs::{
    Registry,
    question::{QuestionValues, QuestionWord},
};

use super::traffic::{Traffic, asked};

/// One of these at a time; what carries another protocol may stand beside it.
const GROUP: &str = "said";
/// They stand behind what every question has, and before what is asked otherwise.
const ORDER: usize = 100;

/// The words of a protocol that are flags; the first one asks for it.
fn flags(words: &'static [QuestionWord]) -> impl Iterator<Item = &'static QuestionWord> {
    words.iter().filter(|word| !word.flag.is_empty())
}

/// Adds them to the command.
pub(crate) fn add(explain: Command, protocols: Registry) -> Command {
    let mut order = ORDER;
    asked(protocols).fold(explain, |explain, (protocol, words)| {
        let Some(first) = flags(words).next() else { return explain };
        flags(words).fold(explain, |explain, word| {
            order += 1;
            let action = if word.many { ArgAction::Append } else { ArgAction::Set };
            let arg = Arg::new(word.flag).long(word.flag).value_name(word.value).help(word.help).action(action);
            let arg = arg.display_order(order);
            let arg = word.default.into_iter().fold(arg, Arg::default_value);
            explain.arg(match word.flag == first.flag {
                true if protocol.schema.is_carrier() => arg,
                true => arg.group(GROUP),
                false => arg.requires(first.flag),
            })
        })
    })
}

/// The flags that ask, as people write them: `--a, --b or --c`.
pub(super) fn asking(protocols: Registry) -> String {
    let first = asked(protocols).filter_map(|(_, words)| flags(words).next());
    let first: Vec<_> = first.map(|word| format!("--{}", word.flag)).collect();
    match first.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => first.concat(),
    }
}

/// What the command line asks for.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(matches: &ArgMatches, protocols: Registry) -> Result<Option<Traffic>, String> {
    let mut all = Vec::new();
    for (protocol, words) in asked(protocols) {
        if !flags(words).next().is_some_and(|first| matches.contains_id(first.flag)) {
            continue;
        }
        let mut said = QuestionValues::default();
        for word in flags(words) {
            for value in matches.get_many::<String>(word.flag).into_iter().flatten() {
                said.push(word, value);
            }
        }
        all.push(Traffic::read(protocol, &said)?);
    }
    Traffic::together(all)
}
