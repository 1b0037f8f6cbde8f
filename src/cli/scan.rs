//! `bqlcheck scan`: the lock discipline of a tree, and of patches to it.
//! Must not know: how a finding is made or drawn.

use super::args_scan::Scan;
use super::cache::Cache;
use super::exit::{Exit, Failure};
use super::output;
use super::series::{self, Changes};
use super::source::{self, Source};
use crate::lock::DataError;
use crate::report::scan::{Format, Options, render};
use crate::scan::baseline::Baseline;
use crate::scan::config::{self, Config};
use crate::scan::patch::{self, Patch};
use crate::scan::suppress::{File, suppress};
use crate::scan::{
    Analysis, Finding, PatchResult, Problem, Report, Suppression, Tree, analyse, analyse_all,
    compare,
};
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::Path;

/// Scans, and says what was found.
pub fn run(args: &Scan) -> Result<Exit, Failure> {
    match scan(args) {
        Ok(exit) => exit,
        // The reason was said where it was found.
        Err(exit) => Ok(exit),
    }
}

fn scan(args: &Scan) -> Result<Result<Exit, Failure>, Exit> {
    let cache = Cache::open(!args.no_cache);
    let patches = match args.patch.is_empty() {
        true => Vec::new(),
        false => series::read(&args.patch)?,
    };
    let config = match config(&args.tree) {
        Ok(config) => config,
        Err(failure) => return Ok(Err(failure)),
    };
    let read = source::read(&args.tree, &args.only)?;
    // Before the tree is parsed, which takes long: a patch may not apply.
    let after = series::apply(&args.tree, &read, &patches)?;
    let source = Source::parse(read, &cache);
    let (mut report, last) = match patches.is_empty() {
        true => (plain(source_report(args, &source), &source, &config), source),
        false => patched(args, source, &patches, &after, &config, &cache),
    };
    for message in patch::missing(&patches) {
        report.problems.push(Problem { path: String::new(), line: 0, message });
    }
    let looked_at = |path: &str| last.tree.files.contains_key(path);
    if let Some(file) = &args.baseline {
        match baseline(args, file, &report, looked_at) {
            Ok(compared) => report.baseline = compared,
            Err(failure) => return Ok(Err(failure)),
        }
    }
    let colour = args.out.is_none()
        && std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none();
    let options = Options { format: Format::from(args.format), all: args.all, colour };
    let text = render(&report, &|path| last.text(path), options);
    if let Some(file) = &args.out {
        if let Err(error) = std::fs::write(file, text) {
            let help = "--out takes a file to write to";
            return Ok(Err(Failure::new(format!("{}: {error}", file.display()), help)));
        }
    } else {
        output::print(&text);
    }
    let exit = report.verdict().into();
    // Millions of small pieces, which the end of the program frees at once.
    std::mem::forget((report, last));
    Ok(Ok(exit))
}

/// A report of a tree that has no findings yet.
fn source_report(args: &Scan, source: &Source) -> Report {
    Report {
        tree: args.tree.display().to_string(),
        version: match source.tree.version.is_empty() {
            true => "unknown".into(),
            false => source.tree.version.clone(),
        },
        files: source.tree.files.len(),
        functions: source.tree.functions(),
        functions_unparsed: source.tree.unparsed(),
        problems: source.problems.clone(),
        ..Report::default()
    }
}

/// The report of a tree without patches.
fn plain(mut report: Report, source: &Source, config: &Config) -> Report {
    let mut analysis = analyse(&source.tree, &BTreeSet::new());
    report.suppressions = suppressed(source, config, &mut analysis.findings);
    given_up(&analysis, &mut report);
    report.findings = analysis.findings;
    report
}

/// The report of what patches do, and the tree after them.
fn patched(
    args: &Scan,
    source: Source,
    patches: &[Patch],
    after: &[Changes],
    config: &Config,
    cache: &Cache,
) -> (Report, Source) {
    let touched: BTreeSet<String> =
        after.last().into_iter().flatten().map(|(p, _)| p.clone()).collect();
    let mut sources = vec![source];
    for changes in after {
        let next = sources[0].changed(changes, cache);
        sources.push(next);
    }
    let trees: Vec<&Tree> = sources.iter().map(|source| &source.tree).collect();
    let analyses = analyse_all(&trees, &touched);
    let with_suppressions = |(source, mut analysis): (&Source, Analysis)| {
        let suppressions = suppressed(source, config, &mut analysis.findings);
        (analysis, suppressions)
    };
    let mut steps: Vec<(Analysis, Vec<Suppression>)> =
        sources.iter().zip(analyses).map(with_suppressions).collect();
    let last = sources.pop().expect("the tree before the patches is there");
    let mut report = source_report(args, &last);
    for (number, patch) in patches.iter().enumerate() {
        let [before, now] = &steps[number..number + 2] else {
            unreachable!("one more than patches")
        };
        let prints = |findings: &[Finding]| -> Vec<String> {
            findings.iter().map(|finding| finding.fingerprint.clone()).collect()
        };
        let (had, has) = (prints(&before.0.findings), prints(&now.0.findings));
        let without = |these: &[String], those: &[String]| -> Vec<String> {
            let those: BTreeSet<&String> = those.iter().collect();
            these.iter().filter(|print| !those.contains(print)).cloned().collect()
        };
        let new = without(&has, &had);
        report.patches.push(PatchResult {
            subject: patch.subject.clone(),
            message_id: patch.message_id.clone(),
            fixed: without(&had, &has),
            unchanged: has.len() - new.len(),
            new,
        });
    }
    let (end, suppressions) = steps.pop().expect("there is one more than there are patches");
    let (begin, _) = steps.swap_remove(0);
    report.changes = begin.states.changes(&end.states);
    report.suppressions = suppressions;
    given_up(&end, &mut report);
    report.findings = compare(begin.findings, end.findings);
    // The end of the program frees them at once.
    std::mem::forget((sources, steps));
    (report, last)
}

/// Marks what is suppressed.
fn suppressed(source: &Source, config: &Config, findings: &mut [Finding]) -> Vec<Suppression> {
    let files = source.tree.files.iter().map(|(path, facts)| File {
        path,
        facts,
        text: source.texts.get(&**path).map_or(&[], |text| text),
    });
    let files: Vec<File<'_>> = files.collect();
    suppress(findings, &files, config, |path| source.tree.files.contains_key(path))
}

/// Says which functions were not followed to the end.
fn given_up(analysis: &Analysis, report: &mut Report) {
    let names = &analysis.given_up;
    if let Some(first) = names.first() {
        let more = match names.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!("some paths were given up in {first}(){more}: too many lock states");
        report.problems.push(Problem { path: String::new(), line: 0, message });
    }
}

/// `bqlcheck.toml` of the tree, or of a directory above it.
fn config(root: &Path) -> Result<Config, Failure> {
    let home = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    for directory in home.ancestors() {
        let file = directory.join(config::FILE);
        match std::fs::read(&file) {
            Ok(text) => {
                let parsed = Config::parse(config::FILE, &text);
                return parsed.map_err(|error| {
                    data(&error, "an entry is [[allow]] with rule, path and reason")
                });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let help = "make it readable, or move it away";
                return Err(Failure::new(format!("{}: {error}", config::FILE), help));
            }
        }
    }
    Ok(Config::default())
}

fn data(error: &DataError, help: &str) -> Failure {
    Failure::new(error.to_string(), help)
}

/// Compares with the baseline, or writes it anew.
fn baseline(
    args: &Scan,
    file: &Path,
    report: &Report,
    looked_at: impl Fn(&str) -> bool,
) -> Result<Option<crate::scan::baseline::Compared>, Failure> {
    let shown = file.display().to_string();
    let known = match std::fs::read(file) {
        Ok(text) => {
            let help = "write it anew with --baseline-update --accept-new";
            Baseline::parse(&shown, &text).map_err(|error| data(&error, help))?
        }
        Err(error) if args.accept_new && error.kind() == std::io::ErrorKind::NotFound => {
            Baseline::empty()
        }
        Err(error) => {
            let help = "a new one is written with --baseline-update --accept-new";
            return Err(Failure::new(format!("{shown}: {error}"), help));
        }
    };
    if !args.baseline_update {
        return Ok(Some(known.compare(&report.findings, looked_at)));
    }
    let updated = known.updated(&report.findings, &looked_at, args.accept_new);
    let updated = updated.map_err(|new| {
        let message = match new.len() {
            1 => format!("1 finding is not in {shown}"),
            many => format!("{many} findings are not in {shown}"),
        };
        Failure::new(message, "--accept-new adds them; without it a baseline only shrinks")
    })?;
    std::fs::write(file, updated.text()).map_err(|error| {
        Failure::new(format!("{shown}: {error}"), "--baseline takes a file to write to")
    })?;
    Ok(Some(updated.compare(&report.findings, looked_at)))
}
