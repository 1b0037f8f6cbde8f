//! Where the real source trees are that some tests read.
//! `scripts/` has one that fetches them; without them these tests say so.

use std::path::{Path, PathBuf};

/// The tree of that version: below `BQLCHECK_TREES`, else `../qemu`, else
/// `target/qemu`. None, and a line that says so: it is not there.
pub fn tree(version: &str) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = match std::env::var_os("BQLCHECK_TREES") {
        Some(place) => vec![PathBuf::from(place)],
        None => vec![here.join("../qemu"), here.join("target/qemu")],
    };
    let found = places
        .iter()
        .map(|place| place.join(format!("qemu-{version}")))
        .find(|tree| tree.join("VERSION").is_file());
    if found.is_none() {
        eprintln!("skipped: there is no tree of QEMU {version}; see BQLCHECK_TREES");
    }
    found
}
