//! The mask, one rule after the other, on small pieces in QEMU's idiom; and on
//! input that nobody would write.

use bqlcheck::scan::ir::Guard;
use bqlcheck::scan::mask::{Mark, Masked, mask};
use bqlcheck::scan::parse;
use std::time::{Duration, Instant};

/// Masks, and checks what holds for any input.
fn masked(text: &str) -> (String, Masked) {
    let masked = mask(text.as_bytes());
    let lines = |bytes: &[u8]| -> Vec<usize> {
        (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect()
    };
    assert_eq!(masked.text.len(), text.len());
    assert_eq!(lines(&masked.text), lines(text.as_bytes()));
    (String::from_utf8(masked.text.clone()).expect("still text"), masked)
}

/// The masked text with white space folded.
fn folded(text: &str) -> String {
    masked(text).0.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every function of the piece parses clean.
fn clean(text: &str) -> Vec<String> {
    let masked = mask(text.as_bytes());
    let tree = parse::parse(&masked).expect("not deep");
    let functions = parse::functions(&tree, &masked);
    let shown = String::from_utf8_lossy(&masked.text).into_owned();
    assert!(functions.iter().all(|function| function.clean), "{functions:?}\n{shown}");
    functions.into_iter().map(|function| function.name).collect()
}

/// The masked piece is `expected`, and parses.
fn becomes(text: &str, expected: &str) {
    assert_eq!(folded(text), expected);
    clean(text);
}

#[test]
fn attributes_go() {
    becomes(
        "static int GRAPH_RDLOCK foo(int a) TSA_NO_TSA G_GNUC_PRINTF(1, 2);",
        "static int foo(int a) ;",
    );
    becomes("struct QEMU_PACKED X { int a; } QEMU_ALIGNED(8);", "struct X { int a; } ;");
    becomes("void f(void) { g_autofree char *x = NULL; }", "void f(void) { char *x = NULL; }");
    becomes(
        "struct D { int GRAPH_RDLOCK_PTR (*open)(int a); };",
        "struct D { int (*open)(int a); };",
    );
}

#[test]
fn an_unknown_attribute_between_type_and_name_goes() {
    becomes("static void FROB_API frob(int a) { }", "static void frob(int a) { }");
    becomes("static FILE *open_it(int a) { }", "static FILE *open_it(int a) { }");
    becomes("static UINT get(int a) { }", "static UINT get(int a) { }");
}

#[test]
fn a_coroutine_is_marked() {
    let text = "static int coroutine_fn foo(int a)\n{\n}\n";
    assert_eq!(folded(text), "static int foo(int a) { }");
    let at = text.find("coroutine_fn").expect("there");
    assert_eq!(masked(text).1.marks.get(&at), Some(&Mark::Coroutine));
    assert_eq!(clean(text), ["foo"]);
}

#[test]
fn automatic_pointers_are_declarations() {
    becomes("void f(void) { g_autoptr(GString) x = y; }", "void f(void) { GString* x = y; }");
    becomes("void f(void) { g_auto(GStrv) x = y; }", "void f(void) { GStrv x = y; }");
}

#[test]
fn list_heads_are_pointers_to_the_element() {
    becomes(
        "struct S { QLIST_HEAD(, struct Elem) list; QTAILQ_ENTRY(S) next; };",
        "struct S { Elem* list; S* next; };",
    );
    becomes("struct S { DECLARE_BITMAP(seen, 64); };", "struct S { long seen ; };");
}

#[test]
fn guards_are_loops_with_a_mark() {
    let text = "void f(S *s)\n{\n    WITH_QEMU_LOCK_GUARD(&s->lock) {\n        g();\n    }\n}\n";
    assert_eq!(folded(text), "void f(S *s) { for (;;) { g(); } }");
    let at = text.find("WITH_").expect("there");
    let mark = Mark::Guard { guard: Guard::Mutex, lock: "&s->lock".to_owned() };
    let (shown, result) = masked(text);
    assert_eq!(result.marks.get(&at), Some(&mark));
    assert!(shown[at..].starts_with("for (;;)"));
    clean(text);

    let text = "void f(void) { WITH_RCU_READ_LOCK_GUARD() { g(); } }";
    let at = text.find("WITH_").expect("there");
    let mark = Mark::Guard { guard: Guard::Rcu, lock: String::new() };
    assert_eq!(masked(text).1.marks.get(&at), Some(&mark));
    clean(text);
}

#[test]
fn guards_that_are_statements_stay() {
    let text =
        "void f(S *s) { QEMU_LOCK_GUARD(&s->lock); RCU_READ_LOCK_GUARD(); BQL_LOCK_GUARD(); }";
    becomes(text, text);
}

#[test]
fn loops_keep_their_name_and_arguments() {
    for (head, name, args) in [
        (
            "QTAILQ_FOREACH_SAFE(a, &s->list, next, b)",
            "QTAILQ_FOREACH_SAFE",
            "a, &s->list, next, b",
        ),
        ("CPU_FOREACH(cpu)", "CPU_FOREACH", "cpu"),
        ("RAMBLOCK_FOREACH_MIGRATABLE(rb)", "RAMBLOCK_FOREACH_MIGRATABLE", "rb"),
        ("each_of_my_things(a, b)", "each_of_my_things", "a, b"),
    ] {
        let text = format!("void f(S *s) {{\n    {head} {{ g(a); }}\n}}\n");
        assert_eq!(folded(&text), "void f(S *s) { for (;;) { g(a); } }");
        let at = text.find(head).expect("there");
        let mark = Mark::Loop { name: name.to_owned(), args: args.to_owned() };
        assert_eq!(masked(&text).1.marks.get(&at), Some(&mark));
        clean(&text);
    }
    becomes("void f(void) { CPU_FOREACH(cpu) g(cpu); }", "void f(void) { for (;;) g(cpu); }");
}

#[test]
fn a_block_of_the_graph_lock_is_a_block() {
    becomes("void f(void) { WITH_GRAPH_RDLOCK_GUARD() { g(); } }", "void f(void) { { g(); } }");
}

#[test]
fn helpers_get_their_name() {
    let text = "void HELPER(frob)(CPUState *s, int a)\n{\n}\n";
    assert_eq!(clean(text), ["helper_frob"]);
    let at = text.find("HELPER").expect("there");
    let mark = Mark::Helper { name: "frob".to_owned() };
    assert_eq!(masked(text).1.marks.get(&at), Some(&mark));
}

#[test]
fn macros_in_place_of_declarations_go_and_are_marked() {
    let text =
        "OBJECT_DECLARE_TYPE(A, AClass, AN_A)\ntype_init(a_register)\nstatic int f(void)\n{\n}\n";
    assert_eq!(folded(text), "static int f(void) { }");
    let marks = masked(text).1.marks;
    let first = Mark::Macro { name: "OBJECT_DECLARE_TYPE".into(), args: "A, AClass, AN_A".into() };
    let second = Mark::Macro { name: "type_init".into(), args: "a_register".into() };
    assert_eq!(marks.values().collect::<Vec<_>>(), [&first, &second]);
    assert_eq!(clean(text), ["f"]);
}

#[test]
fn types_as_arguments_become_names() {
    becomes("void f(void) { x = g_new0(struct X *, 3); }", "void f(void) { x = g_new0( X , 3); }");
    becomes(
        "void f(void) { x = va_arg(ap, unsigned int); }",
        "void f(void) { x = va_arg(ap, Int); }",
    );
    becomes("void f(int a, struct X *x);", "void f(int a, struct X *x);");
    becomes(
        "void f(void) { return offsetof(struct X, a[i].b); }",
        "void f(void) { return Offsetof( X, a[i].b); }",
    );
}

#[test]
fn parts_of_strings_go() {
    becomes(
        "void f(void) { g(\"a\" PRIx64 \"b\", PRId64 \"c\"); }",
        "void f(void) { g(\"a\" \"b\", \"c\"); }",
    );
    becomes("int f(void) { return \"a\"[0]; }", "int f(void) { return \"a\"[0]; }");
}

#[test]
fn ranges_and_macros_of_cases() {
    becomes(
        "void f(int a) { switch (a) { case 0 ... 3: g(); } }",
        "void f(int a) { switch (a) { case 0 : g(); } }",
    );
    becomes(
        "void f(int a) { switch (a) { CASE_BOTH(x): g(); } }",
        "void f(int a) { switch (a) { case 0 : g(); } }",
    );
}

#[test]
fn comments_and_strings_are_left_alone() {
    let text = "/* QLIST_FOREACH(a) { */ char *x = \"coroutine_fn \\\" HELPER(x)\"; // g_autofree 'x\nchar c = '\"';\n";
    let (shown, result) = masked(text);
    assert_eq!(shown, text);
    assert!(result.marks.is_empty());
}

#[test]
fn halves_that_are_whole_stay() {
    let text = "void f(void)\n{\n#ifdef A\n    g();\n#else\n    h();\n#endif\n}\n";
    assert_eq!(masked(text).0, text);
    clean(text);
}

#[test]
fn of_halves_that_split_a_statement_the_first_stays() {
    becomes(
        "void f(void)\n{\n#ifdef A\n    if (a) {\n#else\n    if (b) {\n#endif\n        g();\n    }\n}\n",
        "void f(void) { if (a) { g(); } }",
    );
    becomes(
        "#ifdef A\nint f(int a)\n#else\nint f(void)\n#endif\n{\n    return 0;\n}\n",
        "int f(int a) { return 0; }",
    );
    becomes(
        "void f(void)\n{\n    if (a) {\n    }\n#ifdef A\n    else if (b) {\n    }\n#endif\n    g();\n}\n",
        "void f(void) { if (a) { } else if (b) { } g(); }",
    );
}

#[test]
fn of_halves_that_exclude_one_another_the_one_for_a_system_stays() {
    becomes(
        "#ifdef CONFIG_USER_ONLY\nint f(int a)\n#else\nint f(void)\n#endif\n{\n    return 0;\n}\n",
        "int f(void) { return 0; }",
    );
}

#[test]
fn halves_of_a_list_all_stay() {
    becomes(
        "int a[] = {\n#ifdef A\n    1,\n#else\n    2,\n#endif\n    3,\n};\n",
        "int a[] = { 1, 2, 3, };",
    );
}

#[test]
fn dead_halves_go() {
    becomes(
        "void f(void)\n{\n#if 0\n    don't; (\n#else\n    g();\n#endif\n}\n",
        "void f(void) { g(); }",
    );
    becomes(
        "#ifdef __cplusplus\nextern \"C\" {\n#endif\nint a;\n#ifdef __cplusplus\n}\n#endif\n",
        "int a;",
    );
}

#[test]
fn crlf_is_as_lf() {
    let text = "void f(S *s)\r\n{\r\n    QLIST_FOREACH(a,\r\n        &s->l, n) {\r\n        g();\r\n    }\r\n}\r\n";
    assert_eq!(clean(text), ["f"]);
    assert!(masked(text).1.text.iter().filter(|b| **b == b'\r').count() == 7);
}

/// A small source of numbers, the same in every run.
fn random(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*state >> 33) as usize
}

#[test]
fn any_words_in_any_order_keep_every_line_and_offset() {
    let words = [
        "QLIST_FOREACH",
        "HELPER",
        "(",
        ")",
        "{",
        "}",
        ";",
        ":",
        ",",
        "*",
        "case",
        "...",
        "1...2",
        "64BX",
        "DECLARE_BITMAP",
        "g_autoptr",
        "g_auto",
        "QLIST_HEAD",
        "offsetof",
        "typeof",
        "WITH_QEMU_LOCK_GUARD",
        "\n#if 0\n",
        "\n#ifdef A\n",
        "\n#else\n",
        "\n#elif B\n",
        "\n#endif\n",
        "\n#define A /* x */ y\n",
        "\n",
        "\r\n",
        "\"a\"",
        "'",
        "\"",
        "/*",
        "*/",
        "//",
        "\\",
        "\\\n",
        "x",
        "FOO",
        "struct",
        "int",
        "coroutine_fn",
        "QEMU_PACKED",
        "type_init",
        "sizeof",
        "extern \"C\" {",
        "\u{0}",
        "é",
        "__attribute__",
        "=",
        "PRIx64",
    ];
    let mut state = 1;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..random(&mut state) % 40 {
            text.push_str(words[random(&mut state) % words.len()]);
            if random(&mut state) & 3 > 0 {
                text.push(' ');
            }
        }
        let result = mask(text.as_bytes());
        assert_eq!(result.text.len(), text.len());
        for (before, after) in text.bytes().zip(&result.text) {
            assert_eq!(before == b'\n', *after == b'\n', "{text:?}");
        }
    }
}

#[test]
fn any_bytes_are_masked() {
    let mut state = 7;
    for _ in 0..2_000 {
        let bytes: Vec<u8> =
            (0..random(&mut state) % 300).map(|_| random(&mut state) as u8).collect();
        assert_eq!(mask(&bytes).text.len(), bytes.len());
    }
}

#[test]
fn a_long_or_deep_input_takes_linear_time() {
    let megabytes = 2;
    for part in [
        "(",
        ")",
        "{",
        "}",
        "#if A\n",
        "#else\n",
        "#endif\n",
        "F(",
        "F(a;",
        "F(a,",
        "case ",
        "case 0 ... ",
        "/*",
        "//",
        "\"",
        "'",
        "\\\n",
        "QLIST_FOREACH(",
        "x ",
        "X ",
        "{F(",
        "{F(a;",
        "{F(x) ",
        "#define A /* */ x\\\n",
        "f(,",
        "\0",
        "struct X * ",
        "#if 0\n#else\n",
        "A\n",
        "{A\n",
        "*",
        "\u{e9}",
        "HELPER(x)",
        "\"a\" X ",
        "#",
        "1...",
        "{for(;;)",
        "if(x){",
        "{}",
        "a ? b : ",
        "QLIST_HEAD(",
        "__attribute__((x))",
    ] {
        let text = part.repeat(megabytes * 1_000_000 / part.len());
        let began = Instant::now();
        assert_eq!(mask(text.as_bytes()).text.len(), text.len());
        let taken = began.elapsed();
        assert!(taken < Duration::from_secs(megabytes as u64), "{part:?}: {taken:?}");
    }
}

#[test]
fn an_empty_line_of_a_comment_in_a_directive_stays() {
    masked("#/*\n\n*/)");
    masked("#define A /* one\n\n two */ 1\nint a;\n");
}
