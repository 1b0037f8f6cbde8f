//! A tree from its sources to its findings, step by step.
//! Must not know: where the sources come from.

use super::contexts;
use super::finding::{Finding, Report, Unparsed};
use super::hooks::Hooks;
use super::ir::FileFacts;
use super::judge::{self, Judged};
use super::program::Program;
use super::qapi::{self, Command};
use super::resolve::{Primitives, Resolved, resolve};
use super::summary::Summaries;
use super::{lower, mask, parse, tables};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Files by their path below the tree's root, with `/`.
pub type Sources = BTreeMap<String, Arc<[u8]>>;

/// The facts of a tree.
#[derive(Clone, Default)]
pub struct Tree {
    /// What `VERSION` says.
    pub version: String,
    /// By path.
    pub files: BTreeMap<Arc<str>, Arc<FileFacts>>,
    pub commands: Vec<Command>,
}

/// What an analysis came to.
pub struct Analysis {
    pub functions: usize,
    pub findings: Vec<Finding>,
    pub nodes: usize,
}

/// The facts of one C file.
pub fn facts(text: &[u8]) -> FileFacts {
    let masked = mask::mask(text);
    let tree = match parse::parse(&masked) {
        Some(tree) => tree,
        None => return FileFacts::default(),
    };
    let spans = parse::functions(&tree, &masked);
    let unclean = spans.iter().filter(|span| !span.clean);
    let unparsed = unclean.map(|span| (span.name.clone(), span.line)).collect();
    lower::lower(text, &masked, tree.root_node(), unparsed)
}

/// Scans sources: C files, `qapi/*.json` and `VERSION`.
pub fn scan(sources: &Sources) -> Report {
    let mut tree = Tree::default();
    for (path, text) in sources {
        if path == "VERSION" {
            tree.version = String::from_utf8_lossy(text).trim().to_owned();
        } else if path.starts_with("qapi/") && path.ends_with(".json") {
            tree.commands.extend(qapi::commands(text));
        } else {
            tree.files.insert(Arc::from(path.as_str()), Arc::new(facts(text)));
        }
    }
    let analysis = analyse(&tree);
    let mut unparsed: Vec<Unparsed> = Vec::new();
    for (path, facts) in &tree.files {
        unparsed.extend(facts.unparsed.iter().map(|(function, line)| Unparsed {
            function: function.clone(),
            path: path.to_string(),
            line: *line,
        }));
    }
    Report {
        tree: String::new(),
        version: tree.version.clone(),
        files: tree.files.len(),
        functions: analysis.functions + unparsed.len(),
        functions_unparsed: unparsed,
        findings: analysis.findings,
        ..Report::default()
    }
}

/// Analyses a tree, on a stack that is deep enough for its calls.
pub fn analyse(tree: &Tree) -> Analysis {
    std::thread::scope(|scope| {
        let deep = std::thread::Builder::new().stack_size(1 << 30);
        let analysis = deep.spawn_scoped(scope, || analyse_here(tree)).expect("a thread can start");
        analysis.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn analyse_here(tree: &Tree) -> Analysis {
    let t = std::time::Instant::now();
    let files = tree.files.iter().map(|(path, facts)| (path.clone(), facts.clone())).collect();
    let program = Program::new(files);
    eprintln!("program {:?}", t.elapsed());
    let contracts = tables::contracts(&tree.version);
    let primitives = Primitives::new(&program, contracts);
    let resolved: Vec<Arc<Resolved>> =
        program.ids().map(|id| Arc::new(resolve(&program, &primitives, id))).collect();
    eprintln!("resolve {:?}", t.elapsed());
    let hooks = Hooks::new(&program, &resolved);
    eprintln!("hooks {:?}", t.elapsed());
    let mut summaries = Summaries::new(&program, &primitives, contracts, &hooks, &resolved);
    eprintln!("summaries {:?}", t.elapsed());
    let contexts = contexts::all(&mut summaries, &tree.commands);
    eprintln!("contexts {:?} nodes {}", t.elapsed(), summaries.count());
    let judged = judge::findings(&mut summaries, &contexts);
    eprintln!(
        "judged {:?} nodes {} unsettled {}",
        t.elapsed(),
        summaries.count(),
        summaries.unsettled
    );
    let mut findings: Vec<Finding> =
        judged.into_iter().map(|Judged { finding, .. }| finding).collect();
    findings.sort_by(|a, b| {
        (a.grade, &a.path, a.line, a.rule).cmp(&(b.grade, &b.path, b.line, b.rule))
    });
    Analysis { functions: program.count(), findings, nodes: summaries.count() }
}
