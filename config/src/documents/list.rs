//! `kind: List`, as `kubectl get -o yaml` prints it.

use super::{Document, read};
use crate::{
    problem::DocumentProblem,
    yaml::{self, Tree, YamlField, YamlValue},
};

/// Whether a document is a list of documents.
pub(super) fn is_list(tree: &Tree) -> bool {
    tree.text("kind").is_some_and(|kind| kind.ends_with("List")) && tree.get("items").is_some()
}

/// The documents of a list. Each keeps its columns and knows its line, so that problems are shown where they are.
pub(super) fn unroll(line: u32, text: &str, list: &Tree) -> Vec<Document> {
    let mut problems = Vec::new();
    let mut fields = YamlField::root(list).fields(&mut problems);
    fields.ignore(&["apiVersion", "kind", "metadata"]);
    let items = fields.get("items").map(|items| items.items(&mut problems)).unwrap_or_default();
    fields.finish(&[], &mut problems);
    let mut documents: Vec<_> = problems.into_iter().map(|problem| Document::refused(line, problem)).collect();
    documents.extend(items.iter().map(|item| {
        let first = line + item.tree.position.line.saturating_sub(1);
        let cut = cut(text, item.tree).and_then(|text| Some((yaml::parse(&text).ok()?, text)));
        match cut {
            Some((tree, text)) if tree == *item.tree => read(first, &text, tree),
            _ => {
                let remedy = "write it as a document of its own, without anchors from outside";
                let problem = DocumentProblem::new(&item.path, "cannot be taken out of the list", remedy);
                Document::refused(line, problem.at(item.tree.position))
            }
        }
    }));
    documents
}

/// The text of an item, moved to its column. Whoever cuts compares what came out with what was there.
fn cut(text: &str, item: &Tree) -> Option<String> {
    let YamlValue::Map(_) = item.value else { return None };
    let line = usize::try_from(item.position.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(item.position.column).ok()?.checked_sub(1)?;
    let mut lines = text.split_inclusive('\n').skip(line);
    let first = lines.next()?;
    let (before, start) = first.split_at(first.char_indices().nth(column)?.0);
    let mut cut = " ".repeat(column);
    if start.starts_with('{') {
        let offset: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let rest = &text[offset + before.len()..];
        cut.push_str(&rest[..flow_end(rest)?]);
        cut.push('\n');
        return Some(cut);
    }
    cut.push_str(start);
    // What belongs to the item is indented as far; blank lines and comments may stand anywhere.
    for line in lines {
        let content = line.trim_start_matches(' ');
        let indented = line.len() - content.len() >= column;
        if !indented && !content.trim().is_empty() && !content.starts_with('#') {
            break;
        }
        cut.push_str(line);
    }
    Some(cut)
}

/// The end of a mapping in braces.
fn flow_end(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    for (offset, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            _ if escaped => escaped = false,
            (Some(b'"'), b'\\') => escaped = true,
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'{' | b'[') => depth += 1,
            (None, b'}' | b']') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(offset + 1);
                }
            }
            (None, _) => {}
        }
    }
    None
}
