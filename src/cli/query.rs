//! `bqlcheck callers`, `callees`, `paths` and `explain --tree`: questions about a
//! tree.
//! Must not know: how an answer is found or drawn.

use super::args::Format;
use super::args_scan::{Calls, Paths};
use super::cache::Cache;
use super::exit::{Exit, Failure};
use super::output;
use super::source::Source;
use crate::report::scan::Asker;
use crate::scan::query::{self, Unknown};
use crate::scan::{Tree, Unparsed};
use serde::Serialize;
use std::path::Path;

/// A side of a call.
type Side =
    (fn(&Tree, &str) -> Result<query::Calls, Unknown>, fn(&Asker<'_>, &query::Calls) -> String);

/// Who calls a function or hook.
pub const CALLERS: Side = (query::callers, |asker, calls| asker.callers(calls));

/// What a function or hook calls.
pub const CALLEES: Side = (query::callees, |asker, calls| asker.callees(calls));

/// Says what is on one side of the calls of a function or hook.
pub fn calls(args: &Calls, (answer, text): Side) -> Result<Exit, Failure> {
    let answer = |tree: &Tree| answer(tree, &args.function);
    ask(&args.tree, args.no_cache, args.format, answer, text, |_| Exit::Clean)
}

/// Says by which paths one function leads to another. None: exit 4.
pub fn paths(args: &Paths) -> Result<Exit, Failure> {
    let bql = args.with.as_ref().map(|_| true).or(args.without.as_ref().map(|_| false));
    let answer = |tree: &Tree| query::paths(tree, &args.from, &args.to, bql);
    ask(
        &args.tree,
        args.no_cache,
        args.format,
        answer,
        |asker, answer| asker.paths(answer),
        |paths| {
            // A search that was given up has not shown that there is none.
            match (paths.paths.is_empty(), paths.more) {
                (false, _) => Exit::Clean,
                (true, false) => Exit::Nothing,
                (true, true) => Exit::Inconclusive,
            }
        },
    )
}

/// Says what a tree knows of a hook or function.
pub fn about(tree: &Path, word: &str, no_cache: bool, format: Format) -> Result<Exit, Failure> {
    let answer = |tree: &Tree| query::about(tree, word);
    ask(tree, no_cache, format, answer, |asker, answer| asker.about(answer), |_| Exit::Clean)
}

fn ask<T: Serialize>(
    root: &Path,
    no_cache: bool,
    format: Format,
    answer: impl FnOnce(&Tree) -> Result<T, Unknown>,
    text: impl FnOnce(&Asker<'_>, &T) -> String,
    exit: impl FnOnce(&T) -> Exit,
) -> Result<Exit, Failure> {
    let source = match Source::load(root, &[], &Cache::open(!no_cache)) {
        Ok(source) => source,
        // The reason was said where it was found.
        Err(exit) => return Ok(exit),
    };
    let answer = answer(&source.tree).map_err(failure)?;
    let unparsed: Vec<Unparsed> = source.tree.unparsed();
    let version = source.tree.version.as_str();
    let asker = Asker {
        schema: 1,
        tree: &root.display().to_string(),
        version: if version.is_empty() { "unknown" } else { version },
        unparsed: &unparsed,
        problems: &source.problems,
    };
    output::print(&match format {
        Format::Text => text(&asker, &answer),
        Format::Json => asker.json(&answer),
    });
    Ok(exit(&answer))
}

/// What to say of a word that names nothing.
fn failure(unknown: Unknown) -> Failure {
    let Unknown { word, unparsed, like } = unknown;
    if unparsed {
        let help = "bqlcheck scan lists the functions that did not parse";
        return Failure::new(format!("{word}: did not parse, so nothing in it is known"), help);
    }
    let help = match like.is_empty() {
        true => "name a function, or a member that holds functions, as load_cleanup".to_owned(),
        false => format!("did you mean {}?", like.join(" or ")),
    };
    Failure::new(format!("{word}: the tree has no such function or hook"), help)
}
