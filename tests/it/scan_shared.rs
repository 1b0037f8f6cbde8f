//! Trees that are analysed together share what a patch leaves as it is; each comes
//! out as it does alone.

use bqlcheck::scan::{Tree, analyse, analyse_all, facts};
use std::collections::BTreeSet;
use std::sync::Arc;

const HEADER: &str = "typedef struct Box {
    QemuMutex lock;
    int used;
} Box;

int box_take(Box *box);
";
const TAKER: &str = "int box_take(Box *box)
{
    qemu_mutex_lock(&box->lock);
    box->used = 1;
    qemu_mutex_unlock(&box->lock);
    return 0;
}
";
const USER: &str = "static void box_again(Box *box)
{
    qemu_mutex_lock(&box->lock);
    box_take(box);
    qemu_mutex_unlock(&box->lock);
}
";

/// The tree, with `text` for `path`; the facts of the rest are those of `other`.
fn tree(other: &Tree, path: &str, text: &str) -> Tree {
    let mut tree = other.clone();
    tree.files.insert(Arc::from(path), Arc::new(facts(text.as_bytes()).expect("C")));
    tree
}

#[test]
fn a_tree_beside_another_comes_out_as_it_does_alone() {
    let files = [("include/box.h", HEADER), ("hw/take.c", TAKER), ("hw/use.c", USER)];
    let begin = files.iter().fold(Tree::default(), |all, (path, text)| tree(&all, path, text));
    let states: BTreeSet<String> = files.iter().map(|(path, _)| path.to_string()).collect();
    let unlocked = TAKER.replace("    qemu_mutex_lock(&box->lock);\n", "    frobnicate();\n");
    let unlocked = unlocked.replace("    qemu_mutex_unlock(&box->lock);\n", "");
    let early =
        TAKER.replace("    box->used = 1;\n", "    if (box->used) {\n        return -1;\n    }\n");
    let another = TAKER.replace("int box_take", "void box_none(void)\n{\n}\n\nint box_take");
    let renamed = TAKER.replace("box_take", "box_grab");
    let other_lock = HEADER.replace("QemuMutex lock", "QemuMutex other;\n    QemuRecMutex lock");
    let changes = [
        // Within a function: shared.
        ("hw/take.c", unlocked, 0),
        ("hw/take.c", early, 3),
        ("hw/use.c", USER.replace("qemu_mutex_lock", "qemu_mutex_trylock"), 1),
        // What others see: not.
        ("hw/take.c", another, 1),
        ("hw/take.c", renamed, 0),
        ("include/box.h", other_lock, 1),
        ("hw/new.c", USER.replace("box_again", "box_anew"), 2),
    ];
    let alone = analyse(&begin, &states);
    assert_eq!(alone.findings.len(), 1, "{alone:#?}");
    let trees: Vec<Tree> = changes.iter().map(|(path, text, _)| tree(&begin, path, text)).collect();
    let all: Vec<&Tree> = std::iter::once(&begin).chain(&trees).collect();
    let together = analyse_all(&all, &states);
    assert_eq!(format!("{:?}", together[0]), format!("{alone:?}"));
    for (((path, text, found), tree), analysis) in changes.iter().zip(&trees).zip(&together[1..]) {
        assert_eq!(analysis.findings.len(), *found, "{path}\n{text}\n{analysis:#?}");
        assert_eq!(format!("{analysis:?}"), format!("{:?}", analyse(tree, &states)), "{text}");
    }
}
