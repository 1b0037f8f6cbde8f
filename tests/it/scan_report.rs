//! What a scan's report looks like in each form, to the letter, from a report made
//! by hand; that hostile text cannot break a form; how a report exits.

use bqlcheck::lock::Rule;
use bqlcheck::report::scan::{Format, Options, render};
use bqlcheck::scan::baseline::Baseline;
use bqlcheck::scan::{
    Change, Contract, Finding, Frame, Grade, PatchResult, Problem, Report, Root, Status,
    Suppression, Unparsed, Verdict, Waker,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// A file in QEMU's idiom, made up.
const SOURCE: &str = "\
static void frob_state_cleanup(void)
{
    SaveStateEntry *se;

    QTAILQ_FOREACH(se, &frob_state.handlers, entry) {
        if (se->ops && se->ops->load_cleanup) {
            se->ops->load_cleanup(se->opaque);
        }
    }
}

static void *frob_listen_thread(void *opaque)
{
    FrobIncomingState *fis = opaque;

    qemu_sem_wait(&fis->pause_sem);
    frob_state_cleanup();
    return NULL;
}
";

/// The bytes of the made-up tree.
fn source(path: &str) -> Option<Arc<[u8]>> {
    (path == "migration/frob.c").then(|| Arc::from(SOURCE.as_bytes()))
}

fn frame(function: &str, line: u32, conditional: bool) -> Frame {
    Frame { function: function.into(), path: "migration/frob.c".into(), line, conditional }
}

pub fn finding(rule: Rule, grade: Grade, line: u32, print: u32) -> Finding {
    Finding {
        rule,
        grade,
        status: Status::Existing,
        path: "migration/frob.c".into(),
        line,
        column: 13,
        function: "frob_state_cleanup".into(),
        message: "load_cleanup hooks are called without the BQL".into(),
        fingerprint: format!("{print:016x}"),
        contract: None,
        root: None,
        call_path: Vec::new(),
        wakers: Vec::new(),
        notes: Vec::new(),
        suppressed: None,
    }
}

/// One of each grade, a suppressed one and a useless suppression.
pub fn report() -> Report {
    let listen = Root {
        thread: "mig/dst/listen".into(),
        entry: "frob_listen_thread".into(),
        lock: "not held".into(),
    };
    let first = Finding {
        contract: Some(Contract {
            text: "load_cleanup runs with the BQL held".into(),
            source: "models/contracts/savevm.json: 10.0".into(),
        }),
        root: Some(listen.clone()),
        call_path: vec![
            frame("frob_listen_thread", 17, false),
            frame("frob_state_cleanup", 7, true),
        ],
        ..finding(Rule::NeedsBql, Grade::Error, 7, 0x1a)
    };
    let wait = Finding {
        function: "frob_listen_thread".into(),
        column: 5,
        message: "waits for fis->pause_sem with the BQL held; each of those who could post it \
                  needs the BQL"
            .into(),
        root: Some(Root { lock: "held".into(), ..listen }),
        call_path: vec![frame("frob_listen_thread", 16, false)],
        wakers: vec![Waker {
            function: "qmp_frob_recover".into(),
            path: "migration/frob.c".into(),
            line: 40,
            thread: "main loop".into(),
            lock: "held".into(),
        }],
        notes: vec!["frob_lock is taken at migration/frob.c:12, before the BQL".into()],
        ..finding(Rule::WaitForever, Grade::Warning, 16, 0x2b)
    };
    let note = Finding {
        column: 0,
        message: "may return with frob_lock held".into(),
        ..finding(Rule::Unbalanced, Grade::Note, 10, 0x3c)
    };
    let suppressed = Finding {
        function: "frob_listen_thread".into(),
        column: 5,
        message: "takes frob_lock, which is held".into(),
        suppressed: Some("the caller unlocks".into()),
        ..finding(Rule::TakenTwice, Grade::Error, 17, 0x4d)
    };
    let used = Suppression {
        path: "bqlcheck.toml".into(),
        line: 3,
        rule: "BQL003".into(),
        reason: "the caller unlocks".into(),
        fingerprint: "00000000000000e0".into(),
        covers: vec![suppressed.fingerprint.clone()],
        fault: None,
    };
    let useless = Suppression {
        path: "migration/frob.c".into(),
        line: 16,
        rule: "BQL008".into(),
        reason: "taken in order".into(),
        fingerprint: "00000000000000e1".into(),
        covers: Vec::new(),
        fault: Some("covers no finding".into()),
    };
    Report {
        tree: "qemu-10.0".into(),
        version: "10.0.2".into(),
        files: 2,
        functions: 5,
        functions_unparsed: vec![Unparsed {
            function: "frob_odd".into(),
            path: "migration/odd.c".into(),
            line: 12,
        }],
        findings: vec![first, suppressed, wait, note],
        problems: vec![Problem {
            path: "migration/blob.c".into(),
            line: 0,
            message: "this is not text".into(),
        }],
        suppressions: vec![used, useless],
        ..Report::default()
    }
}

/// The same after a series of two.
fn patched() -> Report {
    let mut report = report();
    report.suppressions.truncate(1);
    report.findings[0].status = Status::Fixed;
    report.findings[1].status = Status::Unchanged;
    report.findings[2].status = Status::New;
    report.findings[3].status = Status::New;
    let held = Finding {
        status: Status::Unchanged,
        column: 5,
        message: "waits with the BQL held".into(),
        ..finding(Rule::HeldWaiting, Grade::Warning, 16, 0x5e)
    };
    report.findings.push(held);
    report.changes = vec![
        Change {
            thread: "mig/dst/listen".into(),
            caller: "postcopy_ram_listen_thread".into(),
            callee: "qemu_loadvm_state_main".into(),
            path: "migration/savevm.c".into(),
            line: 2059,
            before: "not held".into(),
            after: "held".into(),
        },
        Change {
            thread: "mig/dst/listen".into(),
            caller: "frob_listen_thread".into(),
            callee: "frob_state_cleanup".into(),
            path: "migration/frob.c".into(),
            line: 17,
            before: "not called".into(),
            after: "either".into(),
        },
    ];
    let patch = |subject: &str, new: &[u32], fixed: &[u32], unchanged| PatchResult {
        subject: subject.into(),
        message_id: Some("<20260101.1-frob@example.org>".into()),
        new: new.iter().map(|print| format!("{print:016x}")).collect(),
        fixed: fixed.iter().map(|print| format!("{print:016x}")).collect(),
        unchanged,
    };
    report.patches = vec![
        patch(
            "[PATCH 1/2] migration/frob: take the BQL round the wait",
            &[0x2b, 0x3c, 0x99],
            &[],
            2,
        ),
        patch("[PATCH 2/2] migration/frob: clean up with the BQL held", &[], &[0x1a, 0x99], 1),
    ];
    report
}

fn shown(report: &Report, format: Format, all: bool) -> String {
    render(report, &source, Options { format, all, colour: false })
}

/// Holds `text` to the file of that name. What differs is left beside the build,
/// to be looked at and copied.
fn expect(name: &str, text: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let expected = std::fs::read_to_string(root.join("tests/it/expect/scan").join(name));
    let actual = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scan");
    std::fs::create_dir_all(&actual).expect("the target directory can be written to");
    std::fs::write(actual.join(name), text).expect("the target directory can be written to");
    let expected = expected.unwrap_or_default();
    assert_eq!(text, expected, "{name} differs; what is printed is in {}", actual.display());
}

#[test]
fn text_is_to_the_letter() {
    expect("report.txt", &shown(&report(), Format::Text, false));
}

#[test]
fn text_with_all_is_to_the_letter() {
    expect("all.txt", &shown(&report(), Format::Text, true));
}

#[test]
fn text_of_a_series_is_to_the_letter() {
    expect("series.txt", &shown(&patched(), Format::Text, false));
}

#[test]
fn concise_is_to_the_letter() {
    expect("report.concise", &shown(&report(), Format::Concise, false));
}

#[test]
fn json_is_to_the_letter() {
    expect("report.json", &shown(&report(), Format::Json, false));
    let known = Baseline::empty().updated(&report().findings[..1], |_| true, true);
    let baseline = known.expect("accepted").compare(&patched().findings, |_| true);
    let report = Report { baseline: Some(baseline), ..patched() };
    expect("series.json", &shown(&report, Format::Json, true));
    expect("series.concise", &shown(&report, Format::Concise, false));
    expect("known.txt", &shown(&report, Format::Text, false));
}

#[test]
fn sarif_is_to_the_letter() {
    expect("report.sarif", &shown(&report(), Format::Sarif, false));
}

#[test]
fn gitlab_is_to_the_letter() {
    expect("report.gitlab.json", &shown(&report(), Format::Gitlab, false));
}

#[test]
fn github_is_to_the_letter() {
    expect("report.github", &shown(&report(), Format::Github, false));
}

#[test]
fn mail_is_to_the_letter() {
    expect("report.mail", &shown(&report(), Format::Mail, false));
    expect("series.mail", &shown(&patched(), Format::Mail, false));
}

/// Every way to show `report`.
fn forms(report: &Report) -> Vec<(Format, bool, String)> {
    let with = |all| Format::ALL.map(|format| (format, all, shown(report, format, all)));
    with(false).into_iter().chain(with(true)).collect()
}

/// A report whose every text is what a hostile tree or mail could make it.
fn hostile() -> Report {
    let nasty = "a\u{1b}]0;x\u{7}\r\n::error::b%0A\u{202e}\0\t\"<&|'\u{85}\u{2028}error[BQL001]";
    let long = format!("{nasty}{}", "long ".repeat(10_000)) + &"x".repeat(100_000);
    let mut report = patched();
    let root = Root { thread: long.clone(), entry: long.clone(), lock: nasty.into() };
    for finding in &mut report.findings {
        finding.path = format!("../{nasty}.c");
        finding.function = long.clone();
        finding.message = long.clone();
        finding.contract = Some(Contract { text: long.clone(), source: nasty.into() });
        finding.root = Some(root.clone());
        finding.notes = vec![long.clone()];
        finding.suppressed = finding.suppressed.as_ref().map(|_| long.clone());
        for frame in &mut finding.call_path {
            (frame.function, frame.path) = (long.clone(), nasty.into());
        }
        for waker in &mut finding.wakers {
            (waker.thread, waker.lock, waker.path) = (long.clone(), nasty.into(), nasty.into());
        }
    }
    for change in &mut report.changes {
        (change.caller, change.callee) = (long.clone(), nasty.into());
        (change.thread, change.path) = (nasty.into(), long.clone());
    }
    for patch in &mut report.patches {
        (patch.subject, patch.message_id) = (long.clone(), Some(nasty.into()));
    }
    for one in &mut report.suppressions {
        (one.rule, one.reason, one.path) = (nasty.into(), long.clone(), nasty.into());
    }
    report
        .suppressions
        .push(Suppression { fault: Some(nasty.into()), ..report.suppressions[0].clone() });
    report.problems = vec![Problem { path: nasty.into(), line: 7, message: long.clone() }];
    report.functions_unparsed =
        vec![Unparsed { function: long.clone(), path: nasty.into(), line: 1 }];
    (report.tree, report.version) = (long, nasty.into());
    report
}

#[test]
fn a_function_without_a_name_is_named_by_its_place() {
    let one = |function: &str, line| Unparsed {
        function: function.into(),
        path: "qga/odd.h".into(),
        line,
    };
    let report = Report { functions_unparsed: vec![one("", 97), one("frob", 110)], ..report() };
    let said = |format| render(&report, &|_| None, Options { format, all: false, colour: false });
    let text = said(Format::Text);
    assert!(text.contains("\n  a function without a name qga/odd.h:97\n"), "{text}");
    assert!(text.contains("\n  frob() qga/odd.h:110\n"), "{text}");
    let sarif = said(Format::Sarif);
    assert!(sarif.contains("\"a function without a name was not understood: not checked\""));
}

/// A source with what breaks terminals, on every line.
fn hostile_source(_: &str) -> Option<Arc<[u8]>> {
    let line = b"\xff\xfe\x1b[2J\x00 \xe2\x80\xae call(\x9b);\r\n";
    let mut text: Vec<u8> = line.repeat(16);
    text.resize(1_000_000, b'x');
    Some(Arc::from(text))
}

#[test]
fn hostile_text_breaks_no_form() {
    for all in [false, true] {
        for format in Format::ALL {
            let options = Options { format, all, colour: false };
            let text = render(&hostile(), &hostile_source, options);
            // Strings of JSON may hold what only a terminal minds.
            let data = matches!(format, Format::Json | Format::Sarif | Format::Gitlab);
            let acts = |letter: &char| {
                letter.is_control() && *letter != '\n' && (letter.is_ascii() || !data)
            };
            let found = text.chars().find(acts);
            assert_eq!(found, None, "{format:?}");
            if !data {
                assert!(!text.contains('\u{202e}') && !text.contains('\u{2028}'), "{format:?}");
                assert!(text.len() < 100_000, "{format:?}: {} bytes", text.len());
            }
            match format {
                Format::Json | Format::Sarif | Format::Gitlab => {
                    serde_json::from_str::<Value>(&text).map(drop).expect("it is JSON");
                }
                Format::Github => {
                    let commands = text.lines().all(|line| line.starts_with("::"));
                    assert!(commands && text.matches("\n::error").count() <= 1, "{text}");
                }
                Format::Concise => {
                    let known = |line: &&str| {
                        line.contains("[BQL0")
                            || line.contains("problem")
                            || line.contains("[suppression]")
                            || line.contains("(QEMU ")
                    };
                    assert_eq!(text.lines().find(|line| !known(line)), None, "{format:?}");
                }
                Format::Text | Format::Mail => {}
            }
        }
    }
}

#[test]
fn text_and_mail_are_76_columns_wide_at_most() {
    // Source lines keep their own width.
    let none = |_: &str| None;
    for report in [report(), patched(), hostile()] {
        for (format, all) in [Format::Text, Format::Mail]
            .into_iter()
            .flat_map(|format| [(format, false), (format, true)])
        {
            let options = Options { format, all, colour: false };
            let source: &dyn Fn(&str) -> Option<Arc<[u8]>> =
                if format == Format::Mail { &hostile_source } else { &none };
            let text = render(&report, source, options);
            let origin = |line: &&str| line.trim_start().starts_with("--> ");
            let wide =
                text.lines().filter(|line| !origin(line)).find(|line| line.chars().count() > 76);
            assert_eq!(wide, None, "{format:?}");
        }
    }
}

#[test]
fn mail_has_no_drawing_and_ends_in_a_trailer() {
    for report in [report(), patched(), Report::default()] {
        let mail = shown(&report, Format::Mail, true);
        assert!(mail.is_ascii(), "{mail}");
        assert!(
            mail.trim_end()
                .lines()
                .last()
                .expect("a line")
                .starts_with("Tested-with: bqlcheck 0.1")
        );
    }
}

#[test]
fn colours_change_nothing_but_colours() {
    let colour = Options { colour: true, ..Options::default() };
    let styled = render(&report(), &source, colour);
    assert!(styled.contains("\u{1b}[1m"), "{styled}");
    let mut plain = String::new();
    let mut rest = styled.as_str();
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').expect("a colour ends").1;
    }
    assert_eq!(plain + rest, shown(&report(), Format::Text, false));
}

#[test]
fn long_lists_are_cut_and_say_so() {
    let mut report = report();
    let waker = report.findings[2].wakers[0].clone();
    report.findings[2].wakers = (1..=20).map(|line| Waker { line, ..waker.clone() }).collect();
    report.functions_unparsed = vec![report.functions_unparsed[0].clone(); 25];
    let count = |text: &str, what: &str| text.matches(what).count();
    for format in [Format::Text, Format::Mail] {
        let (some, every) = (shown(&report, format, false), shown(&report, format, true));
        assert_eq!((count(&some, "woken by"), count(&every, "woken by")), (8, 20));
        assert!(some.contains("and 12 more; --all names them"), "{some}");
        assert!(!every.contains("more; --all"), "{every}");
    }
    let text = shown(&report, Format::Text, false);
    assert!(count(&text, "frob_odd()") == 10 && text.contains("and 15 more"), "{text}");
    assert_eq!(count(&shown(&report, Format::Json, false), "qmp_frob_recover"), 20);
}

#[test]
fn what_counts_makes_the_exit_code() {
    let clean = || Report { files: 1, functions: 1, ..Report::default() };
    let with = |change: &dyn Fn(&mut Finding)| {
        let mut one = finding(Rule::NeedsBql, Grade::Error, 7, 1);
        change(&mut one);
        Report { findings: vec![one], ..clean() }
    };
    let suppression = |fault: Option<&str>| Suppression {
        fault: fault.map(String::from),
        ..report().suppressions[0].clone()
    };
    let patch = PatchResult {
        subject: "a.patch".into(),
        message_id: None,
        new: Vec::new(),
        fixed: Vec::new(),
        unchanged: 0,
    };
    let baseline = |report: Report| {
        let all = Baseline::empty().updated(&report.findings, |_| true, true).expect("accepted");
        let known = all.compare(&report.findings, |_| true);
        Report { baseline: Some(known), ..report }
    };
    let problems = report().problems;
    let unparsed = report().functions_unparsed;
    for (what, report, verdict, exit) in [
        ("nothing scanned", Report::default(), Verdict::Nothing, 4),
        ("no finding", clean(), Verdict::Clean, 0),
        ("an error", with(&|_| ()), Verdict::Violated, 1),
        ("a warning", with(&|one| one.grade = Grade::Warning), Verdict::Violated, 1),
        ("a note", with(&|one| one.grade = Grade::Note), Verdict::Clean, 0),
        ("suppressed", with(&|one| one.suppressed = Some("so".into())), Verdict::Clean, 0),
        ("new", with(&|one| one.status = Status::New), Verdict::Violated, 1),
        ("fixed", with(&|one| one.status = Status::Fixed), Verdict::Clean, 0),
        ("unchanged", with(&|one| one.status = Status::Unchanged), Verdict::Clean, 0),
        ("in the baseline", baseline(with(&|_| ())), Verdict::Clean, 0),
        (
            "new to the baseline",
            {
                let known = baseline(clean());
                Report { findings: with(&|_| ()).findings, ..known }
            },
            Verdict::Violated,
            1,
        ),
        ("a problem", Report { problems: problems.clone(), ..clean() }, Verdict::Inconclusive, 3),
        (
            "not understood",
            Report { functions_unparsed: unparsed, ..clean() },
            Verdict::Inconclusive,
            3,
        ),
        ("both", Report { problems, ..with(&|_| ()) }, Verdict::Violated, 1),
        (
            "a used suppression",
            Report { suppressions: vec![suppression(None)], ..clean() },
            Verdict::Clean,
            0,
        ),
        (
            "a useless one",
            Report { suppressions: vec![suppression(Some("x"))], ..clean() },
            Verdict::Violated,
            1,
        ),
        (
            "a useless one and a patch",
            Report { suppressions: vec![suppression(Some("x"))], patches: vec![patch], ..clean() },
            Verdict::Clean,
            0,
        ),
    ] {
        assert_eq!((report.verdict(), report.verdict().exit()), (verdict, exit), "{what}");
        let json: Value = serde_json::from_str(&shown(&report, Format::Json, false)).expect("JSON");
        assert_eq!(
            (json["exit"].as_u64(), json["verdict"].as_str()),
            (Some(exit.into()), Some(verdict.name()))
        );
        let text = shown(&report, Format::Text, false);
        assert!(text.contains(&format!("): {}:", verdict.name())), "{what}: {text}");
        if verdict == Verdict::Inconclusive {
            let words: Vec<&str> = text.split_whitespace().collect();
            assert!(words.join(" ").contains("Not clean, since"), "{what}: {text}");
        }
    }
}

#[test]
fn sarif_has_what_the_standard_asks_for() {
    let baseline = Baseline::empty().compare(&[], |_| true);
    let known = Report { baseline: Some(baseline), ..report() };
    for report in [report(), patched(), hostile(), known, Report::default()] {
        let log: Value = serde_json::from_str(&shown(&report, Format::Sarif, true)).expect("JSON");
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
        let ids: BTreeSet<&str> =
            rules.iter().map(|rule| rule["id"].as_str().expect("id")).collect();
        assert_eq!(ids.len(), rules.len(), "each rule once");
        let results = run["results"].as_array().expect("an empty array if there is none");
        let mut prints = BTreeSet::new();
        for result in results {
            let index = result["ruleIndex"].as_u64().expect("a number") as usize;
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(matches!(result["level"].as_str(), Some("error" | "warning" | "note")));
            assert!(!result["message"]["text"].as_str().expect("text").is_empty());
            let print = &result["partialFingerprints"]["bqlcheck/v1"];
            prints.insert(print.as_str().expect("text"));
            location(&result["locations"][0]);
            for flow in result["codeFlows"].as_array().into_iter().flatten() {
                let steps = flow["threadFlows"][0]["locations"].as_array().expect("steps");
                assert!(!steps.is_empty());
                steps.iter().for_each(|step| location(&step["location"]));
            }
            for related in result["relatedLocations"].as_array().into_iter().flatten() {
                location(related);
            }
            for suppression in result["suppressions"].as_array().expect("empty if there is none") {
                assert!(matches!(suppression["kind"].as_str(), Some("inSource" | "external")));
                assert!(!suppression["justification"].as_str().expect("text").is_empty());
            }
        }
        assert!(results.len() - prints.len() <= 1, "fingerprints tell results apart");
        assert_eq!(run["invocations"][0]["exitCode"], report.verdict().exit());
        assert_eq!(run["invocations"][0]["executionSuccessful"], true);
    }
    let states = |report: &Report| -> Vec<String> {
        let log: Value = serde_json::from_str(&shown(report, Format::Sarif, true)).expect("JSON");
        let results = log["runs"][0]["results"].as_array().expect("results");
        results
            .iter()
            .map(|result| result["baselineState"].as_str().unwrap_or("-").into())
            .collect()
    };
    assert_eq!(states(&report()), ["-", "-", "-", "-", "-"]);
    assert_eq!(states(&patched()), ["absent", "unchanged", "new", "new", "unchanged"]);
}

/// A location of SARIF: a relative reference, and lines from 1.
fn location(location: &Value) {
    let place = &location["physicalLocation"];
    let uri = place["artifactLocation"]["uri"].as_str().expect("a reference");
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.-_~%".contains(&byte);
    assert!(uri.bytes().all(plain), "{uri}");
    for number in [&place["region"]["startLine"], &place["region"]["startColumn"]] {
        assert!(number.is_null() || number.as_u64() > Some(0), "{place}");
    }
}

#[test]
fn gitlab_s_fingerprints_are_unique_whatever_the_report_s_are() {
    let mut report = report();
    let again = report.findings.clone();
    report.findings.extend(again);
    let issues: Value = serde_json::from_str(&shown(&report, Format::Gitlab, true)).expect("JSON");
    let issues = issues.as_array().expect("an array");
    let prints: BTreeSet<&str> =
        issues.iter().map(|issue| issue["fingerprint"].as_str().expect("text")).collect();
    assert_eq!((prints.len(), issues.len()), (9, 9));
    for issue in issues {
        assert!(issue["location"]["lines"]["begin"].as_u64() > Some(0));
        let severity = issue["severity"].as_str();
        assert!(matches!(severity, Some("info" | "minor" | "critical")), "{severity:?}");
    }
}

#[test]
fn all_shows_what_does_not_count() {
    for report in [report(), patched()] {
        for (format, all, text) in forms(&report) {
            // What each form has to say of the suppressed one and of the note.
            let (suppressed, note) =
                (text.contains("takes frob_lock"), text.contains("may return"));
            let data = matches!(format, Format::Json | Format::Sarif);
            assert_eq!((suppressed, note), (all || data, all), "{format:?} {all}");
        }
    }
}
