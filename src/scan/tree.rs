//! A tree from its sources to its findings, step by step.
//! Must not know: where the sources come from.

use super::contexts;
use super::finding::{Finding, Problem, Report, Status, Unparsed};
use super::fingerprint::{Fingerprints, Key};
use super::hooks::Hooks;
use super::ir::FileFacts;
use super::judge::{self, Judged};
use super::parse::Refused;
use super::program::{FnId, Program};
use super::qapi::{self, Command};
use super::resolve::{Primitives, Resolved, resolve};
use super::states::States;
use super::summary::Summaries;
use super::{lower, mask, parse, tables};
use crate::lock::fingerprint_of;
use crate::parallel;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::ManuallyDrop;
use std::sync::Arc;

/// Files by their path below the tree's root, with `/`.
pub type Sources = BTreeMap<String, Arc<[u8]>>;

/// The facts of a tree.
#[derive(Clone, Default)]
pub struct Tree {
    /// What `VERSION` says.
    pub version: String,
    /// C files, by path.
    pub files: BTreeMap<Arc<str>, Arc<FileFacts>>,
    /// QMP commands, by schema file.
    commands: BTreeMap<String, Vec<Command>>,
}

impl Tree {
    /// Takes in a file that is not C: `VERSION`, a QAPI schema. Others are left.
    pub fn other(&mut self, path: &str, text: &[u8]) {
        if path == "VERSION" {
            self.version = String::from_utf8_lossy(text).trim().to_owned();
        } else if path.starts_with("qapi/") && path.ends_with(".json") {
            self.commands.insert(path.to_owned(), qapi::commands(text));
        }
    }

    /// Whether a path is that of a C file that a scan reads.
    pub fn is_code(path: &str) -> bool {
        [".c", ".h", ".c.inc", ".h.inc"].iter().any(|ending| path.ends_with(ending))
    }

    /// The functions that did not parse clean.
    pub fn unparsed(&self) -> Vec<Unparsed> {
        let mut unparsed = Vec::new();
        for (path, facts) in &self.files {
            unparsed.extend(facts.unparsed.iter().map(|(function, line)| Unparsed {
                function: function.clone(),
                path: path.to_string(),
                line: *line,
            }));
        }
        unparsed
    }

    /// How many functions there are, those that did not parse clean included.
    pub fn functions(&self) -> usize {
        self.files.values().map(|facts| facts.functions.len() + facts.unparsed.len()).sum()
    }
}

/// What an analysis came to.
#[derive(Debug)]
pub struct Analysis {
    /// Ranked, with fingerprints.
    pub findings: Vec<Finding>,
    /// The lock states at the calls of the files that were asked for.
    pub states: States,
    /// Functions of which some paths were given up, since they met more lock
    /// states than are kept, or did not settle.
    pub given_up: Vec<String>,
}

/// The facts of one C file, unless nothing can be made of it.
pub fn facts(text: &[u8]) -> Result<FileFacts, Refused> {
    if text.contains(&0) {
        return Err(Refused::Binary);
    }
    let masked = mask::mask(text);
    let tree = parse::parse(&masked)?;
    let spans = parse::functions(&tree, &masked);
    if parse::is_lost(&tree, &spans) {
        return Err(Refused::NotC);
    }
    let unclean = spans.iter().filter(|span| !span.clean);
    let unparsed = unclean.map(|span| (span.name.clone(), span.line)).collect();
    Ok(lower::lower(text, &masked, tree.root_node(), unparsed))
}

/// Changes with everything that facts are made by: the code that makes them and
/// its tables, so that no cache can have them from another one.
pub fn facts_version() -> String {
    let makers = concat!(
        include_str!("ir.rs"),
        include_str!("lower/assignment.rs"),
        include_str!("lower/body.rs"),
        include_str!("lower/call.rs"),
        include_str!("lower/comment.rs"),
        include_str!("lower/condition.rs"),
        include_str!("lower/expr.rs"),
        include_str!("lower/initialiser.rs"),
        include_str!("lower/loops.rs"),
        include_str!("lower/mod.rs"),
        include_str!("lower/place.rs"),
        include_str!("lower/qom.rs"),
        include_str!("lower/switch.rs"),
        include_str!("lower/types.rs"),
        include_str!("mask/apply.rs"),
        include_str!("mask/condition.rs"),
        include_str!("mask/expression.rs"),
        include_str!("mask/lex.rs"),
        include_str!("mask/mod.rs"),
        include_str!("mask/table.rs"),
        include_str!("mask/types.rs"),
        include_str!("mask/walk.rs"),
        include_str!("parse.rs"),
        include_str!("../../models/scan/mask.json"),
        include_str!("../../models/scan/locks.json")
    );
    format!("{}-{:08x}", env!("CARGO_PKG_VERSION"), fingerprint_of(makers.as_bytes()) as u32)
}

/// Scans sources that are in memory: C files, `qapi/*.json` and `VERSION`.
pub fn scan(sources: &Sources) -> Report {
    let mut tree = Tree::default();
    let mut problems = Vec::new();
    for (path, text) in sources {
        if Tree::is_code(path) {
            match facts(text) {
                Ok(facts) => {
                    tree.files.insert(Arc::from(path.as_str()), Arc::new(facts));
                }
                Err(refused) => problems.push(Problem {
                    path: path.clone(),
                    line: 0,
                    message: refused.to_string(),
                }),
            }
        } else {
            tree.other(path, text);
        }
    }
    let analysis = analyse(&tree, &BTreeSet::new());
    Report {
        version: tree.version.clone(),
        files: tree.files.len(),
        functions: tree.functions(),
        functions_unparsed: tree.unparsed(),
        findings: analysis.findings,
        problems,
        ..Report::default()
    }
}

/// Does `work` on a stack that is deep enough for the calls of a whole tree.
pub(super) fn deep<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        let deep = std::thread::Builder::new().stack_size(1 << 30);
        let thread = deep.spawn_scoped(scope, work).expect("a thread can start");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A tree whose names are resolved.
struct Linked<'p> {
    tree: &'p Tree,
    program: &'p Program,
    primitives: &'p Primitives,
    resolved: Vec<Arc<Resolved<'p>>>,
}

/// Resolves the names of trees. Those that are like the first but for what is in
/// some functions, as a patch often leaves them, share with it.
fn linked<R>(trees: &[&Tree], work: impl FnOnce(&[Linked<'_>]) -> R) -> R {
    let (first, others) = trees.split_first().expect("there is a tree");
    let files = |tree: &Tree| -> Vec<_> {
        tree.files.iter().map(|(path, facts)| (path.clone(), facts.clone())).collect()
    };
    let is_new = |(path, facts): &(&Arc<str>, &Arc<FileFacts>)| {
        !first.files.get(*path).is_some_and(|known| Arc::ptr_eq(known, facts))
    };
    let new = others.iter().flat_map(|tree| tree.files.iter().filter(is_new));
    let begin = Program::new(files(first), new.map(|(_, facts)| &**facts));
    let mut programs = vec![(begin, false)];
    for tree in others {
        let files = files(tree);
        let like = programs[0].0.like(&files).filter(|_| tree.version == first.version);
        let alike = like.is_some();
        programs.push((like.unwrap_or_else(|| Program::new(files, [])), alike));
    }
    // Millions of small pieces, which the end of the program frees at once.
    let programs = ManuallyDrop::new(programs);
    let primitives = trees
        .iter()
        .zip(&*programs)
        .map(|(tree, (program, _))| Primitives::new(program, tables::contracts(&tree.version)));
    let primitives = ManuallyDrop::new(primitives.collect::<Vec<_>>());
    let mut linked: Vec<Linked<'_>> = Vec::new();
    for ((&tree, (program, alike)), primitives) in trees.iter().zip(&*programs).zip(&*primitives) {
        let ids: Vec<FnId> = program.ids().collect();
        let known = linked.first().filter(|_| *alike);
        let resolved = parallel::map(&ids, |&id| match known {
            Some(known) if program.shares(known.program, id) => {
                known.resolved[id.0 as usize].clone()
            }
            _ => Arc::new(resolve(program, primitives, id)),
        });
        linked.push(Linked { tree, program, primitives, resolved });
    }
    let linked = ManuallyDrop::new(linked);
    work(&linked)
}

/// Does `work` on the summaries of a tree.
fn summarised<R: Send>(
    linked: &Linked<'_>,
    work: impl FnOnce(&mut Summaries<'_>, &[Command]) -> R + Send,
) -> R {
    deep(|| {
        let Linked { tree, program, primitives, resolved } = linked;
        let contracts = tables::contracts(&tree.version);
        let hooks = ManuallyDrop::new(Hooks::new(program, resolved));
        let summaries = Summaries::new(program, primitives, contracts, &hooks, resolved);
        let mut summaries = ManuallyDrop::new(summaries);
        let commands: Vec<Command> = tree.commands.values().flatten().cloned().collect();
        work(&mut summaries, &commands)
    })
}

/// Does `work` on the summaries of one tree.
pub(super) fn with_summaries<R: Send>(
    tree: &Tree,
    work: impl FnOnce(&mut Summaries<'_>, &[Command]) -> R + Send,
) -> R {
    linked(&[tree], |linked| summarised(&linked[0], work))
}

/// Analyses a tree; `states` names the files whose lock states are wanted.
pub fn analyse(tree: &Tree, states: &BTreeSet<String>) -> Analysis {
    analyse_all(&[tree], states).swap_remove(0)
}

/// Analyses trees, of which the first is what patches make the others of.
pub fn analyse_all(trees: &[&Tree], states: &BTreeSet<String>) -> Vec<Analysis> {
    linked(trees, |linked| {
        parallel::apart(linked, |linked| {
            summarised(linked, |summaries, commands| {
                let contexts = contexts::all(summaries, commands);
                let judged = judge::findings(summaries, &contexts);
                Analysis {
                    findings: ranked(judged),
                    states: States::new(summaries, &contexts, |path| states.contains(path)),
                    given_up: summaries.given_up(),
                }
            })
        })
    })
}

/// The most certain first, then by place; with fingerprints.
fn ranked(mut judged: Vec<Judged>) -> Vec<Finding> {
    let place = |judged: &Judged| {
        let Judged { finding, sink } = judged;
        let root = finding.root.as_ref().map(|root| (root.thread.clone(), root.entry.clone()));
        (finding.path.clone(), finding.line, finding.rule, sink.clone(), root)
    };
    judged.sort_by_cached_key(place);
    let mut prints = Fingerprints::default();
    let mut findings: Vec<Finding> = Vec::with_capacity(judged.len());
    for Judged { mut finding, sink } in judged {
        let root = finding.root.as_ref();
        finding.fingerprint = prints.next(&Key {
            rule: finding.rule,
            path: &finding.path,
            function: &finding.function,
            sink: &sink,
            root: root.map(|root| (&*root.thread, &*root.entry)),
        });
        findings.push(finding);
    }
    // How many conditions there are on the way says how easily it is met.
    let conditions = |finding: &Finding| {
        let conditional = finding.call_path.iter().filter(|frame| frame.conditional);
        (conditional.count(), finding.call_path.len())
    };
    findings.sort_by_cached_key(|finding| {
        (finding.grade, finding.rule, conditions(finding), finding.path.clone(), finding.line)
    });
    findings
}

/// What patches do: the findings after them, each new or unchanged, and those
/// before them that are fixed.
pub fn compare(before: Vec<Finding>, after: Vec<Finding>) -> Vec<Finding> {
    let prints = |findings: &[Finding]| -> BTreeSet<String> {
        findings.iter().map(|finding| finding.fingerprint.clone()).collect()
    };
    let (had, has) = (prints(&before), prints(&after));
    let mut findings = after;
    for finding in &mut findings {
        let known = had.contains(&finding.fingerprint);
        finding.status = if known { Status::Unchanged } else { Status::New };
    }
    let fixed = before.into_iter().filter(|finding| !has.contains(&finding.fingerprint));
    findings.extend(fixed.map(|finding| Finding { status: Status::Fixed, ..finding }));
    findings.sort_by_key(|finding| match finding.status {
        Status::New => 0,
        Status::Fixed => 1,
        Status::Existing | Status::Unchanged => 2,
    });
    findings
}
