//! From what the threads come to, to findings: which rule, how sure, by which
//! path.
//! Must not know: patches, how a finding is shown.

use super::contexts::{Context, Hop};
use super::finding::{Contract, Finding, Frame, Grade, Root, Status};
use super::flow::{Event, To, What};
use super::map::Set;
use super::place::{Key, RCU};
use super::program::Program;
use super::summary::{NodeId, Summaries};
use super::tables::{self, Asked, ContextKind};
use super::wakers::Wakers;
use crate::lock::Rule;

/// What breaks a rule in a node, before it is tied to a thread's path.
pub(super) struct Breach {
    pub rule: Rule,
    pub message: String,
    /// What tells it from others of its rule in the same function.
    pub sink: String,
    pub contract: Option<Contract>,
    /// The best grade that it can have.
    pub grade: Grade,
    pub wakers: Vec<super::finding::Waker>,
    pub notes: Vec<String>,
}

impl Breach {
    pub(super) fn new(rule: Rule, message: String, sink: String) -> Breach {
        Breach {
            rule,
            message,
            sink,
            contract: None,
            grade: Grade::Error,
            wakers: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// A finding with what it is known by.
pub struct Judged {
    pub finding: Finding,
    pub sink: String,
}

/// Judges what every context comes to.
pub fn findings(summaries: &mut Summaries<'_>, contexts: &[Context]) -> Vec<Judged> {
    let wakers = Wakers::new(summaries, contexts);
    // Most nodes break nothing, in whatever context, and each is in many.
    let loud: Vec<bool> = (0..summaries.count() as NodeId)
        .map(|node| summaries.outcome(node).events.iter().any(may_break))
        .collect();
    let mut found: Vec<Judged> = Vec::new();
    for context in contexts {
        let mut seen: Set<(Rule, u32, String)> = Set::default();
        for &node in &context.order {
            if !loud[node as usize] && context.entry != Some(summaries.function(node)) {
                continue;
            }
            let outcome = summaries.outcome(node);
            for event in &outcome.events {
                let Some(breach) = breach(summaries, contexts, context, &wakers, node, event)
                else {
                    continue;
                };
                let function = summaries.function(node);
                if seen.insert((breach.rule, function.0, breach.sink.clone())) {
                    found.push(tie(summaries, context, node, event, breach));
                }
            }
            if let Some((breach, line)) = left_held(summaries, context, node) {
                let event = plain_event(line);
                found.push(tie(summaries, context, node, &event, breach));
            }
        }
    }
    super::local::findings(summaries, contexts, &mut found);
    super::order::findings(summaries, contexts, &mut found);
    found
}

/// An event that is a place only.
pub(super) fn plain_event(line: u32) -> Event {
    let what = What::AcquireBql;
    Event {
        what,
        line,
        column: 0,
        conditional: false,
        bql: false,
        own_bql: false,
        held: Vec::new(),
    }
}

fn contract(text: &str, source: &str) -> Option<Contract> {
    Some(Contract { text: text.to_owned(), source: source.to_owned() })
}

fn state(bql: bool) -> &'static str {
    if bql { "with the BQL held" } else { "without the BQL" }
}

/// Whether an event breaks a rule in some context.
fn may_break(event: &Event) -> bool {
    match event.what {
        What::Wait { .. } => event.bql,
        What::Acquire(_) | What::AcquireBql | What::Wake { .. } | What::Register { .. } => false,
        _ => true,
    }
}

/// What an event breaks in a context, if anything.
fn breach(
    summaries: &mut Summaries<'_>,
    contexts: &[Context],
    context: &Context,
    wakers: &Wakers,
    node: NodeId,
    event: &Event,
) -> Option<Breach> {
    let program = summaries.program;
    let id = summaries.function(node);
    let rule_of = |bql: bool| if bql { Rule::MustNotHold } else { Rule::NeedsBql };
    match &event.what {
        What::Require { held, what } => {
            let name = program.text(*what);
            let rule = rule_of(!held);
            let message = format!("{}() is reached {}", program.name_of(id), state(event.bql));
            let mut breach = Breach::new(rule, message, format!("assert {name}"));
            let text = format!("{} asserts {}", program.name_of(id), asserts(name, *held));
            let source = format!("{}:{}", program.path_of(id), event.line);
            breach.contract = contract(&text, &source);
            // Most of the time its callers are told already.
            Some(breach)
        }
        What::Asserted(function) => {
            let (held, what, line) = summaries.asserted(*function)?;
            let callee = program.name_of(*function);
            let message = format!("{callee}() is called {}", state(event.bql));
            let mut breach = Breach::new(rule_of(!held), message, callee.to_owned());
            let text = format!("{callee} asserts {}", asserts(program.text(what), held));
            let source = format!("{}:{line}", program.path_of(*function));
            breach.contract = contract(&text, &source);
            Some(breach)
        }
        What::Function(row) => {
            let row = &summaries.contracts.functions[usize::from(*row)];
            let message = format!("{}() is called {}", row.name, state(event.bql));
            let rule = rule_of(row.bql == Asked::NotHeld);
            let mut breach = Breach::new(rule, message, row.name.clone());
            breach.contract = contract(&row.text, &row.source);
            Some(breach)
        }
        What::Hook(row) => {
            let row = &summaries.contracts.hooks[usize::from(*row)];
            let hook = format!("{}.{}", row.ty, row.field);
            let message = format!("a {hook} hook is called {}", state(event.bql));
            let rule = rule_of(row.bql == Asked::NotHeld);
            let mut breach = Breach::new(rule, message, row.field.clone());
            breach.contract = contract(&row.text, &row.source);
            let entry = context.entry.map(|entry| program.name_of(entry));
            let fact = tables::facts().iter().find(|fact| {
                fact.hook.as_deref() == Some(&hook)
                    && fact
                        .root
                        .as_ref()
                        .is_some_and(|roots| roots.split('|').any(|root| Some(root) == entry))
            });
            if let Some(fact) = fact {
                breach.grade = fact.grade;
                breach.notes.push(format!("{} ({})", fact.text, fact.source));
            }
            Some(breach)
        }
        What::Comment(function, row) => {
            let (file, at) = summaries.comment_rows[*row as usize];
            let file = &program.files[file as usize];
            let comment = &file.facts.contracts[at as usize];
            let callee = program.name_of(*function);
            let message = format!("{callee}() is called {}", state(event.bql));
            let mut breach = Breach::new(rule_of(!comment.held), message, callee.to_owned());
            breach.contract =
                contract(&comment.text, &format!("comment at {}:{}", file.path, comment.line));
            breach.grade = Grade::Warning;
            Some(breach)
        }
        What::Guarded(row) => {
            let row = &tables::guarded()[usize::from(*row)];
            let message = format!("{}.{} is used without {}", row.ty, row.field, row.lock);
            let mut breach = Breach::new(Rule::NeedsBql, message, row.field.clone());
            breach.contract = contract(&row.text, &row.source);
            Some(breach)
        }
        What::UnlockNotHeld => {
            let message = "the BQL is released without being held".to_owned();
            Some(Breach::new(Rule::Unbalanced, message, "bql_unlock".to_owned()))
        }
        What::NotTakenAgain => {
            let name = program.name_of(id);
            let message = format!(
                "{name}() returns without the BQL on some paths, \
                                   though it is entered with it"
            );
            Some(Breach::new(Rule::Unbalanced, message, "return without the BQL".to_owned()))
        }
        What::BqlTwice => {
            let message = "the BQL is taken while it is held".to_owned();
            let mut breach = Breach::new(Rule::TakenTwice, message, "bql_lock".to_owned());
            if event.conditional {
                // The condition may well be whether it is held.
                breach.grade = Grade::Warning;
            }
            Some(breach)
        }
        What::Wait { wait, object } => {
            wakers.breach(summaries, contexts, context, event, *wait, *object)
        }
        _ => None,
    }
}

fn asserts(name: &str, held: bool) -> String {
    match (name, held) {
        (_, false) => format!("!{name}()"),
        ("GLOBAL_STATE_CODE", _) => "GLOBAL_STATE_CODE()".to_owned(),
        _ => format!("{name}()"),
    }
}

/// A thread whose entry returns with a lock held.
fn left_held(summaries: &Summaries<'_>, context: &Context, node: NodeId) -> Option<(Breach, u32)> {
    let function = summaries.function(node);
    let thread = matches!(context.kind, ContextKind::Thread | ContextKind::Worker);
    if context.entry != Some(function) || !thread {
        return None;
    }
    let outcome = summaries.outcome(node);
    for exit in &outcome.exits {
        let lock = match (exit.bql, exit.taken.iter().find(|taken| taken.key != RCU)) {
            (true, _) => "the BQL".to_owned(),
            (false, Some(taken)) => taken.key.text(summaries.program),
            (false, None) => continue,
        };
        let message = format!(
            "thread entry {}() returns with {lock} held",
            summaries.program.name_of(function)
        );
        let breach = Breach::new(Rule::Unbalanced, message, format!("return with {lock}"));
        return Some((breach, exit.line));
    }
    None
}

/// What a path leaves in doubt: each hop through a member with several functions
/// is one, with many of them two.
pub(super) fn doubts(summaries: &Summaries<'_>, hops: &[Hop]) -> usize {
    let edges = hops.iter().filter_map(|hop| hop.edge.as_ref());
    let doubts = edges.map(|edge| match edge.to {
        To::Hook(key, _) => match summaries.hooks.targets(key).len() {
            0 | 1 => 0,
            2..=8 => 1,
            _ => 2,
        },
        To::Node(_) => 0,
    });
    doubts.sum()
}

/// How sure a path is: what each hop through a member with several functions, and
/// the kind of context, take from it.
fn grade_of(summaries: &Summaries<'_>, context: &Context, hops: &[Hop], best: Grade) -> Grade {
    let doubts = doubts(summaries, hops) + usize::from(context.kind == ContextKind::Aio);
    let grade = match doubts {
        0 => Grade::Error,
        1 => Grade::Warning,
        _ => Grade::Note,
    };
    best.max(grade)
}

/// Ties a breach to the path by which a context comes to it.
fn tie(
    summaries: &Summaries<'_>,
    context: &Context,
    node: NodeId,
    event: &Event,
    mut breach: Breach,
) -> Judged {
    let program = summaries.program;
    let hops = context.path(summaries, node);
    let mut grade = grade_of(summaries, context, &hops, breach.grade);
    let first = hops.first().map_or(node, |hop| hop.node);
    let root = Root {
        thread: context.thread.clone(),
        entry: program.name_of(summaries.function(first)).to_owned(),
        lock: if summaries.entry(first).bql { "held" } else { "not held" }.to_owned(),
    };
    let call_path = frames(summaries, &hops, event);
    let entry = context.entry.map(|entry| program.name_of(entry));
    for fact in tables::facts() {
        let here = fact.root.as_ref().is_none_or(|roots| {
            roots.split('|').any(|root| Some(root) == entry || root == context.thread)
        });
        let through = fact.through.as_ref().is_some_and(|functions| {
            let mut functions = functions.split('|');
            functions.any(|function| call_path.iter().any(|frame| frame.function == function))
        });
        if here && through {
            grade = grade.max(fact.grade);
            breach.notes.push(format!("{} ({})", fact.text, fact.source));
        }
    }
    let id = summaries.function(node);
    Judged {
        finding: finding(program, id, event, breach.rule, grade, breach.message, |finding| {
            finding.contract = breach.contract;
            finding.root = Some(root);
            finding.call_path = call_path;
            finding.wakers = breach.wakers;
            finding.notes = breach.notes;
        }),
        sink: breach.sink,
    }
}

/// The frames of a path.
fn frames(summaries: &Summaries<'_>, hops: &[Hop], event: &Event) -> Vec<Frame> {
    let program = summaries.program;
    let frame = |hop: &Hop| {
        let id = summaries.function(hop.node);
        let (line, conditional) = match &hop.edge {
            Some(edge) => (edge.line, edge.conditional),
            None => (event.line, event.conditional),
        };
        Frame {
            function: program.name_of(id).to_owned(),
            path: program.path_of(id).to_owned(),
            line,
            conditional,
        }
    };
    hops.iter().map(frame).collect()
}

/// A finding in a function.
pub(super) fn finding(
    program: &Program,
    id: super::program::FnId,
    event: &Event,
    rule: Rule,
    grade: Grade,
    message: String,
    more: impl FnOnce(&mut Finding),
) -> Finding {
    let mut finding = Finding {
        rule,
        grade,
        status: Status::Existing,
        path: program.path_of(id).to_owned(),
        line: event.line,
        column: event.column,
        function: program.name_of(id).to_owned(),
        message,
        fingerprint: String::new(),
        contract: None,
        root: None,
        call_path: Vec::new(),
        wakers: Vec::new(),
        notes: Vec::new(),
        suppressed: None,
    };
    more(&mut finding);
    finding
}

/// `key` as a message names it.
pub(super) fn named(program: &Program, key: Option<Key>) -> String {
    key.map_or_else(|| "something".to_owned(), |key| key.text(program))
}
