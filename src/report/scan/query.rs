//! Answers about a tree: who calls what, by which paths, who needs the BQL.
//! Must not know: how an answer was found.

use super::clean::clean;
use super::shown::{place, plural};
use super::tables::hang;
use crate::report::fold;
use crate::report::json::pretty;
use crate::scan::query::{
    About, Asked, CallSite, Calls, Contracted, Defined, Hook, Need, Needed, Path, Paths, Step,
};
use crate::scan::{Problem, Unparsed};
use serde::Serialize;

/// The tree that was asked, with what is not known of it.
#[derive(Serialize)]
pub struct Asker<'a> {
    pub schema: u32,
    /// As the user named it.
    pub tree: &'a str,
    /// What its `VERSION` says, or "unknown".
    pub version: &'a str,
    pub unparsed: &'a [Unparsed],
    pub problems: &'a [Problem],
}

#[derive(Serialize)]
struct Document<'a, T> {
    #[serde(flatten)]
    asker: &'a Asker<'a>,
    #[serde(flatten)]
    answer: &'a T,
}

/// Room for the word in front of a row of a table.
const HEAD: usize = 15;

impl Asker<'_> {
    /// The answer as data.
    pub fn json(&self, answer: &impl Serialize) -> String {
        pretty(&Document { asker: self, answer })
    }

    /// The callers of a function or hook.
    pub fn callers(&self, calls: &Calls) -> String {
        let mut text = self.calls("callers", calls, |site| &site.caller);
        if calls.calls.is_empty() {
            text += &fold(2, &format!("nothing in the tree calls {}", clean(&calls.word)));
        }
        text + &self.limits()
    }

    /// The callees of a function or hook.
    pub fn callees(&self, calls: &Calls) -> String {
        let mut text = self.calls("callees", calls, |site| &site.callee);
        if calls.calls.is_empty() {
            let what = format!("{} calls nothing that is in the tree", clean(&calls.word));
            text += &fold(2, &what);
        }
        text + &self.limits()
    }

    fn calls(&self, what: &str, calls: &Calls, name: impl Fn(&CallSite) -> &str) -> String {
        let mut text = self.heading(&format!("{what} of {}", clean(&calls.word)));
        for defined in &calls.functions {
            text += &fold(0, &define(defined));
        }
        for hook in &calls.hooks {
            text += &fold(0, &clean(hook));
        }
        for site in &calls.calls {
            text += &call(site, name(site));
        }
        text
    }

    /// Paths, one after the other.
    pub fn paths(&self, paths: &Paths) -> String {
        let (from, to) = (clean(&paths.from), clean(&paths.to));
        let bql = match paths.bql.as_deref() {
            None => String::new(),
            Some(bql) => format!(", with the BQL {bql} at the last call"),
        };
        let mut text = self.heading(&format!("paths from {from} to {to}{bql}"));
        for (number, path) in paths.paths.iter().enumerate() {
            text += &route(number + 1, path);
        }
        text += &match (paths.paths.len(), paths.more) {
            (0, false) => fold(0, "There is none."),
            (0, true) => fold(0, "None was found before the search was given up."),
            (1, false) => fold(0, "There is no other."),
            (many, false) => fold(0, &format!("These {many} are all.")),
            (1, true) => fold(0, "This is the shortest; there are more."),
            (many, true) => fold(0, &format!("These {many} are the shortest; there are more.")),
        };
        let what = "Calls through a member go to every function that it may hold; no \
                    protocol fact is applied. No function is on a path twice.";
        text + &fold(0, what) + &self.limits()
    }

    /// What is known of a hook or function.
    pub fn about(&self, about: &About) -> String {
        let mut text = self.heading(&clean(&about.word));
        for one in &about.hooks {
            text += &hook(one);
        }
        for one in &about.functions {
            text += &function(one);
        }
        text + &self.limits()
    }

    fn heading(&self, what: &str) -> String {
        fold(0, &format!("{what}, in {} ({})", clean(self.tree), clean(self.version))) + "\n"
    }

    /// What is not known, so that it is not taken for an answer.
    fn limits(&self) -> String {
        let mut text = String::new();
        for problem in self.problems {
            let where_ = place(&problem.path, problem.line);
            text += &fold(0, &format!("{where_}: {}", clean(&problem.message)));
        }
        if !self.unparsed.is_empty() {
            let many = plural(self.unparsed.len(), "function");
            text += &fold(0, &format!("{many} did not parse: what they do is not known"));
        }
        if text.is_empty() { text } else { format!("\n{text}") }
    }
}

fn define(defined: &Defined) -> String {
    format!("{}(), {}", clean(&defined.function), place(&defined.path, defined.line))
}

/// A function, or a member, as it is called.
fn named(name: &str) -> String {
    let name = clean(name);
    if name.contains('.') { name.into_owned() } else { format!("{name}()") }
}

fn remarks(conditional: bool, through: Option<&str>) -> String {
    let through = through.map(|through| format!(" through {}", clean(through)));
    let condition = if conditional { " (conditional)" } else { "" };
    through.unwrap_or_default() + condition
}

/// A call, and beneath it who comes there.
fn call(site: &CallSite, name: &str) -> String {
    let remarks = remarks(site.conditional, site.through.as_deref());
    let where_ = place(&site.path, site.line);
    let mut text = fold(2, &format!("{} at {where_}{remarks}", named(name)));
    let states = ["held", "not held", "either", "not known"].into_iter();
    let of = |bql: &str, certain: bool| {
        let threads = site.threads.iter().filter(|one| (&*one.bql, one.certain) == (bql, certain));
        threads.map(|one| clean(&one.thread)).collect::<Vec<_>>().join(", ")
    };
    for bql in states.clone() {
        let threads = of(bql, true);
        if !threads.is_empty() {
            text += &hang(&format!("    {bql}"), HEAD, &threads);
        }
    }
    let perhaps =
        states.map(|bql| (bql, of(bql, false))).filter(|(_, threads)| !threads.is_empty());
    let perhaps: Vec<_> = perhaps.map(|(bql, threads)| format!("{bql}: {threads}")).collect();
    if !perhaps.is_empty() {
        text += &hang("    perhaps", HEAD, &perhaps.join("; "));
    }
    if site.threads.is_empty() {
        text += &hang("    not known", HEAD, "no thread is known to come here");
    }
    text
}

fn step(step: &Step) -> String {
    let remarks = remarks(step.conditional, step.through.as_deref());
    format!("{} at {}{remarks}", named(&step.callee), place(&step.path, step.line))
}

fn route(number: usize, path: &Path) -> String {
    let threads: Vec<_> = path.threads.iter().map(|thread| clean(thread)).collect();
    let threads = match threads.is_empty() {
        true => "no thread is known to".to_owned(),
        false => threads.join(", "),
    };
    let calls = plural(path.calls.len(), "call");
    let head = format!("{number}. {calls}, entered with the BQL {}: {threads}", path.entered);
    let mut text = fold(0, &head);
    if let Some(first) = path.calls.first() {
        text += &fold(HEAD, &format!("{}()", clean(&first.caller)));
    }
    for one in &path.calls {
        text += &hang(&format!("    {}", one.bql), HEAD, &step(one));
    }
    text + "\n"
}

fn contract(contract: Option<&Contracted>) -> String {
    let Some(contract) = contract else {
        return fold(0, "The table of contracts says nothing.");
    };
    let version = clean(&contract.version);
    fold(0, &format!("Contract ({version}): {}", clean(&contract.text)))
        + &fold(2, &clean(&contract.source))
}

fn called(calls: &[CallSite]) -> String {
    let mut text = String::from("\nCalled by, with the BQL:\n");
    for site in calls {
        text += &call(site, &site.caller);
    }
    if calls.is_empty() {
        text += &fold(2, "nothing in the tree");
    }
    text
}

fn hook(hook: &Hook) -> String {
    let mut text = fold(0, &clean(&hook.name));
    text += &contract(hook.contract.as_ref());
    text += &called(&hook.calls);
    let many = plural(hook.implementations.len(), "implementation");
    let count = |needs: &[Need]| needs.iter().map(|&needs| hook.count(needs)).sum::<usize>();
    let yes = count(&[Need::Needs, Need::Releases]);
    let open = count(&[Need::May, Need::Unknown]);
    let open = if open > 0 { format!(", {open} may") } else { String::new() };
    text += "\n";
    text += &fold(0, &format!("Does it need the BQL? Of {many} {yes} must have it{open}:"));
    for one in &hook.implementations {
        let owner = one.owner.as_ref().map(|owner| format!(" of {}", clean(owner)));
        let name = format!("{}(){}", clean(&one.defined.function), owner.unwrap_or_default());
        text += &hang(&format!("  {}", one.bql.needs.word()), HEAD, &name);
        text += &fold(HEAD, &place(&one.defined.path, one.defined.line));
        text += &needed(&one.bql);
    }
    text + "\n"
}

fn function(asked: &Asked) -> String {
    let mut text = fold(0, &define(&asked.defined));
    text += &contract(asked.contract.as_ref());
    text += &called(&asked.calls);
    text += "\nDoes it need the BQL?\n";
    let word = asked.bql.needs.word();
    text += &hang(&format!("  {word}"), HEAD, &format!("{}()", clean(&asked.defined.function)));
    text += &needed(&asked.bql);
    text + "\n"
}

/// The path to what needs the BQL, and what is open.
fn needed(bql: &Needed) -> String {
    let mut text = String::new();
    for one in &bql.calls {
        text += &fold(HEAD, &format!("-> {}", step(one)));
    }
    if let Some(reason) = &bql.reason {
        text += &fold(HEAD, &format!("{}: {}", place(&bql.path, bql.line), clean(reason)));
    }
    for one in &bql.not_followed {
        text += &fold(HEAD, &format!("not followed: {}", clean(one)));
    }
    text
}
