//! Suppressions: what a comment covers, by where it stands; entries of
//! `bqlcheck.toml`; those that are of no use. The baseline grows only if told to.

use crate::scan_report::finding;
use bqlcheck::lock::Rule;
use bqlcheck::scan::baseline::Baseline;
use bqlcheck::scan::config::Config;
use bqlcheck::scan::ir::{Allow, FileFacts, Function, Name};
use bqlcheck::scan::suppress::{File, suppress};
use bqlcheck::scan::{Finding, Grade, Status, Suppression};

const PATH: &str = "migration/frob.c";

/// `name` from `line` to `end_line`.
fn function(name: u32, line: u32, end_line: u32) -> Function {
    Function {
        name: Name(name),
        line,
        end_line,
        is_static: true,
        coroutine: false,
        helper: false,
        params: Vec::new(),
        locals: Vec::new(),
        blocks: Vec::new(),
        temps: 0,
    }
}

/// The lines that the comments of `text` cover, of findings of BQL004 on every
/// line; and the suppressions.
fn covered(text: &str, functions: Vec<Function>) -> (Vec<u32>, Vec<Suppression>) {
    let lines = 1..=text.lines().count() as u32;
    let mut findings: Vec<Finding> =
        lines.map(|line| finding(Rule::Unbalanced, Grade::Error, line, line)).collect();
    let numbered = text.lines().zip(1..);
    let allows = numbered.filter(|(line, _)| line.contains("bqlcheck:")).map(|(line, at)| {
        let after = line.split_once("allow(").expect("an allow").1;
        let (rule, reason) = after.split_once(')').expect("an end");
        let reason = reason.trim_start_matches(':').trim_end_matches("*/").trim();
        Allow { rule: rule.into(), reason: reason.into(), line: at }
    });
    let facts = FileFacts { functions, allows: allows.collect(), ..FileFacts::default() };
    let file = File { path: PATH, facts: &facts, text: text.as_bytes() };
    let all = suppress(&mut findings, &[file], &Config::default(), |_| true);
    let suppressed = findings.iter().filter(|finding| finding.suppressed.is_some());
    (suppressed.map(|finding| finding.line).collect(), all)
}

#[test]
fn a_comment_covers_by_where_it_stands() {
    for (what, text, covers) in [
        ("behind code", "f();\ng(); /* bqlcheck: allow(BQL004): why */\nh();\n", vec![2]),
        ("behind code, to the line's end", "g(); // bqlcheck: allow(BQL004): why\nh();\n", vec![1]),
        ("above code", "f();\n/* bqlcheck: allow(BQL004): why */\ng();\nh();\n", vec![3]),
        ("line comment", "// bqlcheck: allow(BQL004): why\ng();\nh();\n", vec![2]),
        (
            "with more comments and blank lines between",
            "/* bqlcheck: allow(BQL004): why\n * since */\n\n/* more */ // and\n\tg();\nh();\n",
            vec![5],
        ),
        ("in front on the same line", "/* bqlcheck: allow(BQL004): why */ g();\nh();\n", vec![1]),
        (
            "inside a comment of several lines",
            "f();\n/*\n * Long story.\n * bqlcheck: allow(BQL004): why\n */\ng();\nh();\n",
            vec![6],
        ),
    ] {
        let (lines, all) = covered(text, vec![function(0, 1, 99)]);
        assert_eq!(lines, covers, "{what}");
        assert_eq!((all.len(), &all[0].fault), (1, &None), "{what}");
    }
}

#[test]
fn in_front_of_a_function_it_covers_all_of_it() {
    let text = "int a;\n\
                /* bqlcheck: allow(BQL004): the caller unlocks */\n\
                static void\n\
                frob(void)\n\
                {\n    f();\n    g();\n}\n\
                void next(void) { f(); }\n";
    let functions = || vec![function(0, 4, 8), function(1, 9, 9)];
    assert_eq!(covered(text, functions()).0, [3, 4, 5, 6, 7, 8]);
    // A declaration stands between.
    let other = text.replace("static void\n", "int b;\n");
    assert_eq!(covered(&other, functions()).0, [3]);
}

#[test]
fn one_of_no_use_says_why() {
    let fault = |text: &str, functions: Vec<Function>| {
        let (_, all) = covered(text, functions);
        all[0].fault.clone().unwrap_or_default()
    };
    let f = || vec![function(0, 1, 9)];
    assert_eq!(fault("f();\n/* bqlcheck: allow(BQL003): why */\ng();\n", f()), "covers no finding");
    assert!(fault("f(); /* bqlcheck: allow(BQL004) */\n", f()).contains("no reason"));
    assert!(fault("f(); /* bqlcheck: allow(BQL099): why */\n", f()).contains("names no rule"));
    assert!(fault("f();\n/* bqlcheck: allow(BQL004): why */\n", f()).contains("no code behind"));
    let (lines, _) = covered("f(); /* bqlcheck: allow(BQL004) */\n", f());
    assert_eq!(lines, [] as [u32; 0], "without a reason it covers nothing");
}

#[test]
fn one_in_a_function_that_was_not_understood_is_not_judged() {
    let inside = "int odd(void)\n{\n/* bqlcheck: allow(BQL003): why */\ng();\n}\n";
    let before = "/* bqlcheck: allow(BQL003): why */\nstatic int\nodd(void)\n{\n}\n";
    for (text, line, odd, parsed, judged) in [
        (inside, 3, vec![1], vec![], false),
        (before, 1, vec![3], vec![], false),
        // It is in another function, or the one that was not understood is above.
        (inside, 3, vec![99], vec![function(0, 1, 5)], true),
        (inside, 3, vec![6], vec![function(0, 1, 5)], true),
        (before, 1, vec![], vec![function(0, 3, 5)], true),
    ] {
        let allow = Allow { rule: "BQL003".into(), reason: "why".into(), line };
        let unparsed = odd.iter().map(|line| ("odd".to_string(), *line)).collect();
        let facts =
            FileFacts { functions: parsed, unparsed, allows: vec![allow], ..FileFacts::default() };
        let file = File { path: PATH, facts: &facts, text: text.as_bytes() };
        let all = suppress(&mut [], &[file], &Config::default(), |_| true);
        assert_eq!((all.len(), all[0].fault.is_some()), (1, judged), "{text} {odd:?}");
    }
}

#[test]
fn facts_that_do_not_fit_the_text_break_nothing() {
    for line in [0, 1, 2, 7, u32::MAX] {
        for text in ["", "\n", "bqlcheck:", "/* bqlcheck:", "// bqlcheck:", "*/\n/*\n//"] {
            let allow = Allow { rule: "BQL004".into(), reason: "why".into(), line };
            let functions = vec![function(0, 5, 2), function(0, u32::MAX, u32::MAX)];
            let facts = FileFacts { functions, allows: vec![allow], ..FileFacts::default() };
            let file = File { path: PATH, facts: &facts, text: text.as_bytes() };
            let all = suppress(&mut [], &[file], &Config::default(), |_| true);
            assert_eq!(all.len(), 1);
        }
    }
}

#[test]
fn an_entry_covers_what_fits_all_that_it_gives() {
    let entry = |more: &str| {
        let text =
            format!("[[allow]]\nrule = \"BQL004\"\npath = \"{PATH}\"\nreason = \"why\"\n{more}");
        Config::parse("bqlcheck.toml", text.as_bytes()).expect("well-formed")
    };
    let mut elsewhere = finding(Rule::Unbalanced, Grade::Error, 3, 3);
    elsewhere.path = "migration/ram.c".into();
    let all = [
        finding(Rule::Unbalanced, Grade::Error, 1, 1),
        finding(Rule::Unbalanced, Grade::Note, 2, 2),
        elsewhere,
        finding(Rule::NeedsBql, Grade::Error, 4, 4),
    ];
    for (more, covers, fault) in [
        ("", 2, false),
        ("function = \"frob_state_cleanup\"", 2, false),
        ("function = \"other\"", 0, true),
        ("fingerprint = \"0000000000000002\"", 1, false),
        ("fingerprint = \"0000000000000004\"", 0, true),
    ] {
        let mut findings = all.clone();
        let given = suppress(&mut findings, &[], &entry(more), |_| true);
        let suppressed = findings.iter().filter(|one| one.suppressed.is_some()).count();
        assert_eq!((given.len(), given[0].covers.len(), suppressed), (1, covers, covers), "{more}");
        assert_eq!(given[0].fault.is_some(), fault, "{more}");
        // Out of the scan's reach it is not judged.
        let given = suppress(&mut findings, &[], &entry(more), |path| path != PATH);
        assert_eq!(given[0].fault, None, "{more}");
    }
}

#[test]
fn suppressions_are_told_apart() {
    let text = "f(); /* bqlcheck: allow(BQL003): a */\ng(); /* bqlcheck: allow(BQL003): a */\n";
    let (_, all) = covered(text, vec![function(0, 1, 9)]);
    assert_ne!(all[0].fingerprint, all[1].fingerprint);
}

#[test]
fn a_baseline_shrinks_by_itself_and_grows_only_if_told_to() {
    let old = [1, 2].map(|print| finding(Rule::NeedsBql, Grade::Error, 7, print));
    let base = Baseline::empty().updated(&old, |_| true, true).expect("new ones are accepted");
    let read = Baseline::parse("base.json", base.text().as_bytes()).expect("what was written");
    assert_eq!(read, base);
    assert!(!base.text().contains("\"line\""), "{}", base.text());

    let now = [2, 3].map(|print| finding(Rule::NeedsBql, Grade::Warning, 99, print));
    let compared = base.compare(&now, |_| true);
    assert!(compared.has(&now[0].fingerprint) && !compared.has(&now[1].fingerprint));
    let gone: Vec<&str> = compared.gone.iter().map(|entry| entry.fingerprint.as_str()).collect();
    assert_eq!(gone, [old[0].fingerprint.as_str()]);
    // Not scanned is not gone.
    assert!(base.compare(&now, |_| false).gone.is_empty());

    let refused = base.updated(&now, |_| true, false).expect_err("one is new");
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].fingerprint, now[1].fingerprint);
    let shrunk = base.updated(&now[..1], |_| true, false).expect("nothing is new");
    assert!(shrunk.compare(&now[..1], |_| true).gone.is_empty());
    assert!(!shrunk.compare(&now, |_| true).has(&now[1].fingerprint));
    let kept = base.updated(&[], |_| false, false).expect("nothing is new");
    assert_eq!(kept, base, "what was not scanned stays");
}

#[test]
fn a_baseline_holds_only_what_would_count() {
    let one = || finding(Rule::NeedsBql, Grade::Error, 7, 1);
    for not in [
        Finding { grade: Grade::Note, ..one() },
        Finding { status: Status::Fixed, ..one() },
        Finding { suppressed: Some("why".into()), ..one() },
    ] {
        let base = Baseline::empty().updated(&[not], |_| true, false);
        assert_eq!(base, Ok(Baseline::empty()));
    }
}

#[test]
fn a_bad_baseline_is_refused_with_its_place() {
    for (text, says) in [
        ("", "base.json:1:0: EOF"),
        ("{\"schema\": 1}", "base.json:1:13: missing field `findings`"),
        ("{\"schema\": 2, \"findings\": []}", "base.json: schema 2 is not known"),
        ("{\"schema\": 1, \"findings\": [], \"x\": 0}", "base.json:1:33: unknown field `x`"),
        ("\u{1b}", "base.json:1:1: expected value"),
    ] {
        let error = Baseline::parse("base.json", text.as_bytes()).expect_err(text).to_string();
        assert!(error.starts_with(says), "{error}");
    }
}
