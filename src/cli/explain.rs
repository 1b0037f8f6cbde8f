//! `bqlcheck explain`: why a rule is one; what a tree knows of a word.
//! Must not know: how a breach is found.

use super::args_scan::Explain;
use super::exit::{Exit, Failure};
use super::{output, query};
use crate::lock::Rule;
use crate::report;

/// Prints the page of a rule, or the list of all rules; with a tree, what it
/// knows of the word.
pub fn run(args: &Explain) -> Result<Exit, Failure> {
    let Some(word) = args.word.as_deref() else {
        let lines = Rule::ALL.map(|rule| format!("{rule}  {}\n", rule.title()));
        output::print(&lines.concat());
        return Ok(Exit::Clean);
    };
    if let Some(tree) = &args.tree {
        return query::about(tree, word, args.no_cache, args.format.unwrap_or_default());
    }
    let Some(rule) = Rule::from_code(word) else {
        let known = Rule::ALL.map(Rule::code).join(" ");
        let help = format!("one of {known}; or a word of a tree, with --tree");
        return Err(Failure::new(format!("no such rule: {word}"), help));
    };
    output::print(&report::explanation(rule));
    Ok(Exit::Clean)
}
