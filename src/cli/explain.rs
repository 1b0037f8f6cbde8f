//! `bqlcheck explain`: why a rule is one.
//! Must not know: how a breach is found.

use super::exit::{Exit, Failure};
use super::output;
use crate::lock::Rule;
use crate::report;

/// Prints the page of the rule `code`, or the list of all rules.
pub fn run(code: Option<&str>) -> Result<Exit, Failure> {
    let Some(code) = code else {
        let lines = Rule::ALL.map(|rule| format!("{rule}  {}\n", rule.title()));
        output::print(&lines.concat());
        return Ok(Exit::Clean);
    };
    let Some(rule) = Rule::from_code(code) else {
        let known = Rule::ALL.map(Rule::code).join(" ");
        return Err(Failure::new(format!("no such rule: {code}"), format!("one of {known}")));
    };
    output::print(&report::explanation(rule));
    Ok(Exit::Clean)
}
