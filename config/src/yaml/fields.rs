//! Reads trees field by field. A field that no reader asked for is refused by name.

use portcullis_rules::policy::Position;

use super::tree::{Tree, YamlKey, YamlValue};
use crate::problem::DocumentProblem;

/// A value and the path of its field.
#[derive(Clone, Debug)]
pub(crate) struct YamlField<'t> {
    pub(crate) path: String,
    pub(crate) tree: &'t Tree,
}

/// The entries of a mapping.
#[derive(Debug)]
pub(crate) struct Fields<'t> {
    path: String,
    position: Position,
    entries: &'t [(YamlKey, Tree)],
    known: Vec<&'static str>,
    /// Names of earlier releases. They are read, but offered to nobody.
    former: Vec<&'static str>,
    /// Fields that are there and say nothing.
    empty: Vec<(&'static str, Position)>,
}

/// A mapping that is not there.
const NO_ENTRIES: &[(YamlKey, Tree)] = &[];

impl<'t> YamlField<'t> {
    /// The document itself.
    pub(crate) fn root(tree: &'t Tree) -> Self {
        Self { path: String::new(), tree }
    }

    /// An error about this field.
    pub(crate) fn problem(&self, message: impl Into<String>, remedy: impl Into<String>) -> DocumentProblem {
        DocumentProblem::new(&self.path, message, remedy).at(self.tree.position)
    }

    /// Its entries. What is no mapping is an error, and reads as an empty one.
    pub(crate) fn fields(&self, problems: &mut Vec<DocumentProblem>) -> Fields<'t> {
        let entries = match &self.tree.value {
            YamlValue::Map(entries) => entries.as_slice(),
            _ => {
                problems.push(self.mistyped("a mapping", "write `key: value` lines, or {}"));
                NO_ENTRIES
            }
        };
        Fields {
            path: self.path.clone(),
            position: self.tree.position,
            entries,
            known: Vec::new(),
            former: Vec::new(),
            empty: Vec::new(),
        }
    }

    /// Its items. What is no list is an error, and reads as an empty one.
    pub(crate) fn items(&self, problems: &mut Vec<DocumentProblem>) -> Vec<YamlField<'t>> {
        let YamlValue::List(items) = &self.tree.value else {
            problems.push(self.mistyped("a list", "write `- item` lines, or []"));
            return Vec::new();
        };
        let item = |(index, tree)| YamlField { path: format!("{}[{index}]", self.path), tree };
        items.iter().enumerate().map(item).collect()
    }

    /// Its text.
    pub(crate) fn text(&self, problems: &mut Vec<DocumentProblem>) -> Option<&'t str> {
        match &self.tree.value {
            YamlValue::Text(text) => return Some(text),
            YamlValue::Integer(number) => {
                problems.push(self.mistyped("a string", &format!("put it in quotes: \"{number}\"")));
            }
            YamlValue::Boolean(_) | YamlValue::Float(_) => problems.push(self.mistyped("a string", "put it in quotes")),
            _ => problems.push(self.mistyped("a string", "write one value, in quotes if it has special characters")),
        }
        None
    }

    /// Its truth.
    pub(crate) fn boolean(&self, problems: &mut Vec<DocumentProblem>) -> Option<bool> {
        match self.tree.value {
            YamlValue::Boolean(value) => Some(value),
            _ => {
                problems.push(self.mistyped("true or false", "write true or false, without quotes"));
                None
            }
        }
    }

    /// A whole number within bounds.
    pub(crate) fn number(&self, lowest: u64, highest: u64, problems: &mut Vec<DocumentProblem>) -> Option<u64> {
        let remedy = format!("write a whole number from {lowest} to {highest}, without quotes");
        let YamlValue::Integer(value) = self.tree.value else {
            problems.push(self.mistyped("a whole number", &remedy));
            return None;
        };
        let number = u64::try_from(value).ok().filter(|number| (lowest..=highest).contains(number));
        if number.is_none() {
            problems.push(self.problem(format!("{value} is out of range"), remedy));
        }
        number
    }

    /// One of several words.
    pub(crate) fn word<T: Copy>(&self, words: &[(&str, T)], problems: &mut Vec<DocumentProblem>) -> Option<T> {
        let YamlValue::Text(text) = &self.tree.value else {
            problems.push(self.mistyped("a string", &format!("write {}", one_of(words))));
            return None;
        };
        let found = words.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        if found.is_none() {
            problems.push(self.problem(format!("unknown value {text:?}"), format!("write {}", one_of(words))));
        }
        found
    }

    /// An error: the value is of another type.
    fn mistyped(&self, wanted: &str, remedy: &str) -> DocumentProblem {
        let is = match &self.tree.value {
            YamlValue::Null => "nothing",
            YamlValue::Boolean(_) => "a boolean",
            YamlValue::Integer(_) | YamlValue::Float(_) => "a number",
            YamlValue::Text(_) => "a string",
            YamlValue::List(_) => "a list",
            YamlValue::Map(_) => "a mapping",
        };
        self.problem(format!("has to be {wanted}, but is {is}"), remedy)
    }
}

fn one_of<T>(words: &[(&str, T)]) -> String {
    words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ")
}

impl<'t> Fields<'t> {
    /// A field that may be absent. Null is refused: a list whose items somebody commented out is not "no list", and
    /// Kubernetes refuses it too.
    pub(crate) fn get(&mut self, name: &'static str) -> Option<YamlField<'t>> {
        let field = self.find(name)?;
        if field.tree.value == YamlValue::Null {
            self.empty.push((name, field.tree.position));
            return None;
        }
        Some(field)
    }

    /// A field that may be absent; null is absent.
    pub(crate) fn optional(&mut self, name: &'static str) -> Option<YamlField<'t>> {
        self.find(name).filter(|field| field.tree.value != YamlValue::Null)
    }

    /// A field that had another name in an earlier release. The former name is still read, with a warning.
    pub(crate) fn renamed(
        &mut self,
        former: &'static str,
        name: &'static str,
        problems: &mut Vec<DocumentProblem>,
    ) -> Option<YamlField<'t>> {
        let field = self.optional(name);
        self.former.push(former);
        let Some((key, tree)) = self.entries.iter().find(|(key, _)| key.name == former) else { return field };
        let path = self.path_of(former);
        if field.is_some() {
            let remedy = format!("remove it: {name} is its name now");
            problems.push(DocumentProblem::new(&path, "is there under both its names", remedy).at(key.position));
            return field;
        }
        let remedy = format!("write {name}: the next release does not know the former name");
        problems.push(DocumentProblem::new(&path, "has another name now", remedy).at(key.position).as_warning());
        Some(YamlField { path, tree }).filter(|field| field.tree.value != YamlValue::Null)
    }

    fn find(&mut self, name: &'static str) -> Option<YamlField<'t>> {
        self.known.push(name);
        let (_, tree) = self.entries.iter().find(|(key, _)| key.name == name)?;
        Some(YamlField { path: self.path_of(name), tree })
    }

    /// A field that has to be there.
    pub(crate) fn require(
        &mut self,
        name: &'static str,
        remedy: &str,
        problems: &mut Vec<DocumentProblem>,
    ) -> Option<YamlField<'t>> {
        let field = self.optional(name);
        if field.is_none() {
            problems.push(DocumentProblem::new(self.path_of(name), "is missing", remedy).at(self.position));
        }
        field
    }

    /// Fields that are accepted without being looked at.
    pub(crate) fn ignore(&mut self, names: &[&'static str]) {
        self.known.extend(names);
    }

    /// All entries, with any key.
    pub(crate) fn all(self) -> impl Iterator<Item = (&'t YamlKey, YamlField<'t>)> {
        let path = self.path;
        self.entries.iter().map(move |(key, tree)| (key, YamlField { path: join(&path, &key.name), tree }))
    }

    /// Refuses what was not asked for. `unsupported` are names that Cilium knows and this version does not.
    pub(crate) fn finish(self, unsupported: &[&str], problems: &mut Vec<DocumentProblem>) {
        for (name, position) in &self.empty {
            let remedy = "remove it, or write what you mean: [] for an empty list, {} for an empty mapping";
            problems.push(DocumentProblem::new(self.path_of(name), "is there, but says nothing", remedy).at(*position));
        }
        for (key, _) in self.entries.iter().filter(|(key, _)| !self.knows(&key.name)) {
            let (message, remedy) = if unsupported.contains(&key.name.as_str()) {
                ("not supported by this version", "remove it, and mind what the policy means without it".to_owned())
            } else {
                ("unknown field", remedy_for(&key.name, &self.known))
            };
            problems.push(DocumentProblem::new(self.path_of(&key.name), message, remedy).at(key.position));
        }
    }

    fn knows(&self, name: &str) -> bool {
        self.known.iter().chain(&self.former).any(|known| *known == name)
    }

    fn path_of(&self, name: &str) -> String {
        join(&self.path, name)
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn remedy_for(name: &str, known: &[&'static str]) -> String {
    let nearest = known.iter().map(|candidate| (distance(name, candidate), candidate)).min();
    match nearest {
        Some((distance, candidate)) if distance <= 2 => format!("did you mean {candidate}?"),
        _ if known.is_empty() => "remove it".to_owned(),
        _ => format!("remove it; known here: {}", known.join(", ")),
    }
}

/// Levenshtein's distance, blind to case. Names longer than any of ours are far from all of them.
fn distance(one: &str, other: &str) -> usize {
    if one.len() > 64 {
        return usize::MAX;
    }
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, a) in one.to_lowercase().chars().enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (column, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}
