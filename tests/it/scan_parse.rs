//! The parser: what it finds in small pieces and in hostile ones, and how many
//! functions of the real trees it understands.

use super::trees;
use bqlcheck::cli::tree;
use bqlcheck::scan::mask::mask;
use bqlcheck::scan::parse::{self, FunctionSpan};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

fn functions(text: &[u8]) -> Option<Vec<FunctionSpan>> {
    let masked = mask(text);
    parse::parse(&masked).ok().map(|tree| parse::functions(&tree, &masked))
}

/// Name, line, whether clean.
fn shown(text: &str) -> Vec<(String, u32, bool)> {
    let found = functions(text.as_bytes()).expect("not deep");
    found.into_iter().map(|function| (function.name, function.line, function.clean)).collect()
}

#[test]
fn definitions_have_the_line_of_their_name() {
    let text = "static int\nfoo(int a)\n{\n}\n#ifdef A\nvoid *bar(void)\n{\n}\n#endif\n";
    assert_eq!(shown(text), [("foo".into(), 2, true), ("bar".into(), 6, true)]);
}

#[test]
fn a_function_that_is_not_understood_is_told() {
    let text = "void a(void)\n{\n    x = = ) 3 4;\n}\n\nvoid b(void)\n{\n}\n";
    assert_eq!(shown(text), [("a".into(), 1, false), ("b".into(), 6, true)]);
}

#[test]
fn a_function_lost_in_an_error_is_found_by_its_look() {
    let text = "int x = ((((;\n@@ [ { ]\nint a(int b)\n{\n    return ((b;\n";
    let found = shown(text);
    assert!(found.contains(&("a".into(), 3, false)), "{found:?}");
}

#[test]
fn what_stands_in_a_comment_or_a_macro_is_no_function() {
    let text = "/*\nint a(int b)\n{\n}\n*/\n#define B(x) \\\nint x(void) \\\n{ \\\n}\nint @@;\n";
    assert_eq!(shown(text), []);
}

#[test]
fn hostile_input_is_no_trouble() {
    let deep = 100_000;
    for text in [
        format!("void f(void)\n{{\n{}{}\n}}\n", "{".repeat(deep), "}".repeat(deep)),
        format!("void f(void)\n{{\n x = {}1{};\n}}\n", "(".repeat(deep), ")".repeat(deep)),
        format!("void f(void)\n{{\n{}", "if (x) {".repeat(deep)),
        format!("int {}x{};", "(*".repeat(deep), ")".repeat(deep)),
        "#if A\n".repeat(deep),
    ] {
        let began = Instant::now();
        // Understood or too deep: either is said.
        let _ = functions(text.as_bytes());
        assert!(began.elapsed() < Duration::from_secs(20), "{}", &text[..40]);
    }
    assert_eq!(functions(b""), Some(vec![]));
    assert_eq!(functions(b"\0\xff\xfe\x80 {"), Some(vec![]));
    assert!(functions("int a;".repeat(200_000).as_bytes()).is_some_and(|found| found.is_empty()));
}

#[test]
fn a_file_nested_too_deep_is_refused() {
    let text = |deep| format!("void f(void)\n{{\n{}{}\n}}\n", "{".repeat(deep), "}".repeat(deep));
    assert!(functions(text(900).as_bytes()).is_some());
    assert!(functions(text(1100).as_bytes()).is_none());
}

#[test]
fn a_file_cut_anywhere_is_read() {
    let whole = "static int coroutine_fn f(S *s)\n{\n    QLIST_FOREACH(a, &s->l, n) {\n        \
                 WITH_QEMU_LOCK_GUARD(&s->m) {\n            /* no */ g(\"x\", 'y');\n        }\n    \
                 }\n#if 0\n#else\n#endif\n}\n";
    for cut in 0..whole.len() {
        assert!(functions(&whole.as_bytes()[..cut]).is_some());
    }
}

/// The directories that are held to more than the others.
const CLOSE: [&str; 7] = ["migration", "hw/vfio", "system", "softmmu", "block", "io", "monitor"];

/// Functions and unclean functions of each directory of a tree.
fn counts(version: &str) -> Option<BTreeMap<String, (usize, usize)>> {
    let sources = tree::read(&trees::tree(version)?, &[]).expect("a tree");
    assert_eq!(sources.problems, []);
    let each = |(path, text): &(String, Vec<u8>)| {
        let place = match path.split_once('/') {
            _ if path.starts_with("hw/vfio/") => "hw/vfio",
            Some((directory, _)) => directory,
            None => ".",
        };
        let found = functions(text).unwrap_or_else(|| panic!("{path} is too deep"));
        let unclean = found.iter().filter(|function| !function.clean).count();
        (place.to_owned(), (found.len(), unclean))
    };
    let mut sums: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (place, (all, unclean)) in sources.code.par_iter().map(each).collect::<Vec<_>>() {
        let sum = sums.entry(place).or_default();
        *sum = (sum.0 + all, sum.1 + unclean);
    }
    Some(sums)
}

/// Holds a tree to the counts that are kept of it.
fn pinned(version: &str, expected: &str) {
    let Some(counts) = counts(version) else { return };
    let (mut table, mut all, mut unclean) = (String::new(), 0, 0);
    for (place, (functions, bad)) in &counts {
        writeln!(table, "{place:<16} {functions:>6} {bad:>4}").expect("memory");
        (all, unclean) = (all + functions, unclean + bad);
        if CLOSE.contains(&place.as_str()) {
            assert!(bad * 1000 <= functions * 5, "{place}: {bad} of {functions}");
        }
    }
    assert!(unclean * 100 <= all, "{unclean} of {all}");
    assert_eq!(table, expected, "QEMU {version}; now:\n{table}");
}

#[test]
fn the_functions_of_7_2_are_understood() {
    pinned("7.2", include_str!("expect/functions-7.2.txt"));
}

#[test]
fn the_functions_of_10_0_are_understood() {
    pinned("10.0", include_str!("expect/functions-10.0.txt"));
}
