//! What comments ask for: contracts in front of functions, and suppressions.
//! Must not know: whether a contract is kept.

use super::{DEEPEST, Names};
use crate::scan::ir::{Allow, CommentContract, FileFacts};
use crate::scan::parse::Node;

/// Reads every comment of the file.
pub(super) fn read(text: &[u8], root: Node<'_>, names: &mut Names, facts: &mut FileFacts) {
    allows(text, facts);
    contracts(text, root, names, facts, 0);
}

/// `bqlcheck: allow(BQL004): reason`, in either kind of comment.
fn allows(text: &[u8], facts: &mut FileFacts) {
    const WORD: &[u8] = b"bqlcheck: allow(";
    let mut line = 1;
    let mut at = 0;
    while let Some(found) = find(&text[at..], WORD) {
        let start = at + found;
        line += text[at..start].iter().filter(|&&b| b == b'\n').count() as u32;
        let rest = &text[start + WORD.len()..];
        let end = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        let rest = String::from_utf8_lossy(&rest[..end]).into_owned();
        let (rule, reason) = rest.split_once(')').unwrap_or((&rest, ""));
        let reason = reason.trim_start_matches(':').split("*/").next().unwrap_or("").trim();
        facts.allows.push(Allow { rule: rule.trim().into(), reason: reason.into(), line });
        at = start + WORD.len();
    }
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..].iter().position(|&b| b == word[0]) {
        at += found;
        if text[at..].starts_with(word) {
            return Some(at);
        }
        at += 1;
    }
    None
}

fn contracts(text: &[u8], node: Node<'_>, names: &mut Names, facts: &mut FileFacts, depth: usize) {
    if depth > 8.min(DEEPEST) {
        return;
    }
    let mut cursor = node.walk();
    let mut comment: Option<Node<'_>> = None;
    for child in node.children(&mut cursor) {
        match child.kind() {
            "comment" => {
                // One comment a line counts as one comment.
                let joins = comment.is_some_and(|before| {
                    before.end_position().row + 1 == child.start_position().row
                        && text[child.start_byte()..].starts_with(b"//")
                });
                if !joins {
                    comment = Some(child);
                }
                continue;
            }
            "function_definition" | "declaration" => {
                let near = comment.filter(|comment| {
                    child.start_position().row.saturating_sub(comment.end_position().row) <= 1
                });
                if let (Some(comment), Some(function)) = (near, declared(text, child)) {
                    let range = comment.start_byte()..child.start_byte();
                    let line = comment.start_position().row as u32 + 1;
                    sentences(&text[range], &function, line, names, facts);
                }
            }
            kind if kind.starts_with("preproc_if") || kind == "preproc_else" => {
                contracts(text, child, names, facts, depth + 1);
            }
            _ => {}
        }
        comment = None;
    }
}

/// The function that a definition or prototype declares.
fn declared(text: &[u8], node: Node<'_>) -> Option<String> {
    let mut declarator = node.child_by_field_name("declarator")?;
    for _ in 0..8 {
        match declarator.kind() {
            "function_declarator" => {
                let name = declarator.child_by_field_name("declarator")?;
                return Some(String::from_utf8_lossy(&text[name.byte_range()]).into_owned());
            }
            _ => declarator = declarator.child_by_field_name("declarator")?,
        }
    }
    None
}

/// The sentences of a comment that ask something of the caller.
fn sentences(comment: &[u8], function: &str, line: u32, names: &mut Names, facts: &mut FileFacts) {
    let comment = String::from_utf8_lossy(comment);
    let words: Vec<&str> = comment
        .split_ascii_whitespace()
        .filter(|word| !matches!(*word, "*" | "/*" | "/**" | "*/" | "//"))
        .collect();
    let joined = words.join(" ");
    for sentence in joined.split(['.', ';']) {
        let Some((lock, held)) = contract(sentence) else { continue };
        facts.contracts.push(CommentContract {
            function: names.of(function),
            lock: lock.map(|lock| names.of(&lock)),
            held,
            text: sentence.trim().chars().take(120).collect(),
            line,
        });
    }
}

/// What a sentence asks: the lock (none: the BQL) and whether it is held.
///
/// "Called with the BQL held", "must be called with bitmap_mutex held", "Called
/// outside the BQL". "Will run with the BQL" describes, it does not ask.
/// "Called with job_mutex *not* held" forbids a lock other than the BQL, for
/// which there is no rule: it is left out, and never turned round.
fn contract(sentence: &str) -> Option<(Option<String>, bool)> {
    let sentence = sentence.replace('*', "");
    let lower = sentence.to_ascii_lowercase();
    let lower = lower.trim();
    let asks = [
        "called with ",
        "called without ",
        "called outside ",
        "call with ",
        "caller must hold ",
        "callers must hold ",
        "caller holds ",
        "called under ",
        "must hold ",
    ];
    let (at, ask) = asks.iter().filter_map(|ask| Some((lower.find(ask)?, *ask))).min()?;
    let before = &lower[..at];
    if before.contains("will be")
        || before.contains("not ")
        || before.contains("may be")
        || before.contains("can be")
        || before.contains("if ")
        || before.contains("when ")
    {
        return None;
    }
    let rest = &lower[at + ask.len()..];
    let rest = rest.strip_prefix("the ").unwrap_or(rest);
    if rest.contains(" or ") || rest.contains("either") {
        return None;
    }
    let held = !matches!(ask, "called without " | "called outside ");
    let bql = [
        "bql",
        "iothread lock",
        "iothread mutex",
        "big qemu lock",
        "global mutex",
        "qemu_global_mutex",
        "io thread lock",
    ];
    if bql.iter().any(|name| rest.starts_with(name)) {
        return Some((None, held && says_held(rest)));
    }
    let takes = rest.contains("held")
        || rest.contains("taken")
        || rest.contains("locked")
        || rest.contains("acquired")
        || ask.contains("hold");
    if !takes || !held || !says_held(rest) {
        return None;
    }
    if rest.starts_with("aiocontext") {
        return Some((Some("AioContext".to_owned()), true));
    }
    // `bitmap_mutex held`, `s->lock held`, `&s->lock taken`.
    let original = &sentence.trim()[at + ask.len()..];
    let original = original.strip_prefix("the ").unwrap_or(original);
    let word = original.split_ascii_whitespace().next()?;
    let word =
        word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '>' && c != '-');
    let name = word.rsplit(['>', '.', '-']).next()?;
    let lockish = name.ends_with("mutex") || name.ends_with("lock");
    (lockish && name.len() > 4).then(|| (Some(name.to_owned()), true))
}

/// Whether what follows a lock's name says that it is held: the first word that
/// speaks of it counts. "held, but may be released" is held, "not held" is not.
fn says_held(rest: &str) -> bool {
    for word in rest.split(|c: char| !c.is_ascii_alphanumeric()) {
        match word {
            "held" | "taken" | "locked" | "acquired" => return true,
            "not" | "released" | "unlocked" | "without" => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_comment_asks() {
        let bql = |held| Some((None, held));
        assert_eq!(contract("Called with the BQL taken"), bql(true));
        assert_eq!(contract("Called with iothread lock held"), bql(true));
        assert_eq!(contract("Must be called with BQL held"), bql(true));
        assert_eq!(contract("Called without the BQL"), bql(false));
        assert_eq!(contract("This function will be called with the BQL held"), None);
        assert_eq!(contract("It will run with the BQL"), None);
        assert_eq!(contract("Called with or without the BQL"), None);
        assert_eq!(contract("can be called with the BQL held"), None);
        let named = contract("Called with rs->bitmap_mutex held");
        assert_eq!(named, Some((Some("bitmap_mutex".into()), true)));
        assert_eq!(contract("Called with a lock"), None);
        assert_eq!(contract("Called with job_mutex *not* held"), None);
        assert_eq!(contract("Called with job_mutex not held"), None);
        assert_eq!(contract("Called with job_mutex released"), None);
        assert_eq!(contract("Called without job_mutex held"), None);
        let named = contract("Called with job_mutex held, but may release it");
        assert_eq!(named, Some((Some("job_mutex".into()), true)));
        assert_eq!(contract("Called with the BQL *not* held"), bql(false));
        assert_eq!(contract("Called with the BQL released"), bql(false));
        assert_eq!(contract("Called with the BQL held, which may be released"), bql(true));
        let aio = Some((Some("AioContext".into()), true));
        assert_eq!(contract("Called with the AioContext held"), aio);
        assert_eq!(contract("Called with AioContext lock held"), aio);
    }
}
