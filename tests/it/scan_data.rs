//! The scan's tables of names: of one form, and every name is in the tree that
//! it is said to be of.

use crate::trees::tree;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Names that neither QEMU 7.2 nor 10.0 has, and who has.
const ELSEWHERE: [(&str, &str); 5] = [
    ("QEMU_IOTHREAD_LOCK_GUARD", "8.0 to 8.2"),
    ("postcopy_listen_thread", "10.2"),
    ("pre_load_errp", "10.2"),
    ("post_load_errp", "10.2"),
    ("pre_save_errp", "10.2"),
];

fn table(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let table: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert_eq!(table["schema"], 1, "{file}");
    table
}

fn rows<'a>(table: &'a Value, list: &str) -> &'a [Value] {
    table[list].as_array().unwrap_or_else(|| panic!("no list '{list}'"))
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_else(|| panic!("'{key}' is missing in {row}"))
}

/// What a row names, a member's type and name apart, one of several apart.
fn names<'a>(rows: &'a [Value], keys: &[&str]) -> impl Iterator<Item = &'a str> {
    let texts: Vec<&str> =
        rows.iter().flat_map(|row| keys.iter().filter_map(|key| row[*key].as_str())).collect();
    texts.into_iter().flat_map(|text| text.split(['.', '|']))
}

/// Which of the names no source of the tree has.
fn missing(tree: &Path, names: BTreeSet<&str>) -> BTreeSet<String> {
    let mut missing = names.iter().map(|name| name.to_string()).collect();
    look(tree, &mut missing);
    missing
}

fn look(folder: &Path, missing: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if !["roms", "tests", "pc-bios", "subprojects"].contains(&&name[..]) {
                look(&path, missing);
            }
        } else if [".c", ".h", ".inc"].iter().any(|end| name.ends_with(end)) {
            let text = std::fs::read(&path).expect("readable");
            let text = String::from_utf8_lossy(&text);
            for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                missing.remove(word);
            }
        }
    }
}

#[test]
fn contracts_say_what_and_who_says_so() {
    for version in ["7.2", "10.0", "10.2"] {
        let table = table(&format!("contracts/{version}.json"));
        assert_eq!(table["version"], version);
        let mut seen = BTreeSet::new();
        for (list, keys) in [
            ("hooks", &["type", "field", "bql", "text", "source"][..]),
            ("functions", &["name", "bql", "text", "source"]),
            ("locks", &["function", "lock", "text", "source"]),
        ] {
            for row in rows(&table, list) {
                keys.iter().for_each(|key| assert!(!text(row, key).is_empty(), "{key} in {row}"));
                assert!(seen.insert((
                    list,
                    keys[..2].iter().map(|key| text(row, key)).collect::<Vec<_>>()
                )));
            }
        }
        for row in rows(&table, "hooks").iter().chain(rows(&table, "functions")) {
            assert!(["held", "not-held", "either"].contains(&text(row, "bql")), "{row}");
        }
    }
}

/// A hook of one name may ask for another lock state in another version.
#[test]
fn contracts_differ_where_versions_do() {
    let bql = |version: &str, field: &str| {
        let table = table(&format!("contracts/{version}.json"));
        let rows = rows(&table, "hooks").iter();
        let row = rows.clone().find(|row| row["field"] == field);
        row.map(|row| text(row, "bql").to_string())
    };
    assert_eq!(bql("7.2", "save_setup").as_deref(), Some("not-held"));
    assert_eq!(bql("10.0", "save_setup").as_deref(), Some("held"));
    assert_eq!(bql("7.2", "load_cleanup").as_deref(), Some("held"));
    assert_eq!(bql("7.2", "switchover_start"), None);
    assert_eq!(bql("10.2", "save_live_complete_precopy"), None);
    assert_eq!(bql("10.2", "save_complete").as_deref(), Some("held"));
}

#[test]
fn contracts_name_what_their_tree_has() {
    for version in ["7.2", "10.0", "10.2"] {
        let Some(tree) = tree(version) else { continue };
        let table = table(&format!("contracts/{version}.json"));
        let mut wanted: BTreeSet<&str> = names(rows(&table, "hooks"), &["type", "field"]).collect();
        wanted.extend(names(rows(&table, "functions"), &["name"]));
        wanted.extend(names(rows(&table, "locks"), &["function", "lock"]));
        assert_eq!(missing(&tree, wanted), BTreeSet::new(), "not in QEMU {version}");
    }
}

#[test]
fn tables_of_the_scan_name_what_some_tree_has() {
    let (roots, waits) = (table("scan/roots.json"), table("scan/waits.json"));
    let (locks, facts) = (table("scan/locks.json"), table("scan/facts.json"));
    let mut wanted: BTreeSet<&str> = names(rows(&roots, "registrars"), &["function"]).collect();
    wanted.extend(names(rows(&roots, "hooks"), &["type", "field"]));
    let functions = names(rows(&roots, "functions"), &["name"]);
    wanted.extend(functions.filter(|name| !name.ends_with('*')));
    wanted.extend(names(rows(&waits, "waits"), &["function"]));
    wanted.extend(names(rows(&waits, "wakes"), &["function"]));
    wanted.extend(names(rows(&locks, "wrappers"), &["lock", "unlock"]));
    wanted.extend(names(rows(&facts, "facts"), &["root", "hook", "through", "function"]));
    for group in ["bql", "mutex", "rcu", "aio-context"] {
        let lists = locks[group].as_object().expect("lists of names");
        for list in lists.values().filter_map(Value::as_array) {
            wanted.extend(list.iter().filter_map(Value::as_str));
        }
    }
    for (name, _) in ELSEWHERE {
        wanted.remove(name);
    }
    // Contexts that have no entry function of their own.
    for context in ["main loop", "vCPU without the BQL"] {
        wanted.remove(context);
    }
    let trees: BTreeMap<&str, _> =
        ["7.2", "10.0"].into_iter().filter_map(|version| Some((version, tree(version)?))).collect();
    if trees.len() < 2 {
        return;
    }
    let missing_in = |version| missing(&trees[version], wanted.clone());
    let (old, new) = (missing_in("7.2"), missing_in("10.0"));
    let nowhere: BTreeSet<&String> = old.intersection(&new).collect();
    assert_eq!(nowhere, BTreeSet::new(), "in no tree");
}

#[test]
fn arguments_are_in_the_order_of_c() {
    let (roots, waits) = (table("scan/roots.json"), table("scan/waits.json"));
    for row in rows(&roots, "registrars") {
        for key in ["callback", "name", "handle", "where"] {
            assert!(row[key].is_null() || row[key].as_u64().is_some_and(|at| at < 8), "{row}");
        }
        assert!(row["callback"].is_u64(), "{row}");
    }
    for row in rows(&waits, "waits").iter().chain(rows(&waits, "wakes")) {
        assert!(
            row["object"].is_null() || row["object"].as_u64().is_some_and(|at| at < 4),
            "{row}"
        );
    }
}
