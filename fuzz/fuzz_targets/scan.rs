//! Hostile sources and patches: a C file, a NUL, a patch for it. Whatever the
//! bytes are, the mask keeps their length and lines, errors can be shown, paths
//! stay in the tree, and the file can be scanned before and after.

#![no_main]

use bqlcheck::scan::patch::{self, PatchError};
use bqlcheck::scan::{self, Sources, mask};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|bytes: &[u8]| {
    let middle = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (source, rest) = bytes.split_at(middle);
    let diff = rest.strip_prefix(b"\0").unwrap_or(source);
    let source: Arc<[u8]> = source.into();
    scanned(&source);

    let patches = match patch::parse("x.patch", diff) {
        Ok(patches) => patches,
        Err(error) => return shown(&error),
    };
    for missing in patch::missing(&patches) {
        assert!(missing.contains("missing"));
    }
    for patch in &patches {
        // Every file has the same text, but for those that are to be made.
        let read = |path: &str| (!path.contains("new")).then(|| source.clone());
        match patch::apply(patch, &read) {
            Ok(changed) => {
                for (path, contents) in changed {
                    let parts: Vec<&str> = path.split('/').collect();
                    assert!(!parts.contains(&"..") && !parts.contains(&""), "{path:?}");
                    if let Some(contents) = contents.filter(|contents| **contents != *source) {
                        scanned(&contents);
                    }
                }
            }
            Err(error) => shown(&error),
        }
    }
});

/// One file, from the mask to the findings.
fn scanned(source: &Arc<[u8]>) {
    let masked = mask::mask(source).text;
    assert_eq!(masked.len(), source.len());
    let newlines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(newlines(&masked), newlines(source));
    let sources = Sources::from([("migration/x.c".to_owned(), source.clone())]);
    let report = scan::scan(&sources);
    assert!(report.functions >= report.functions_unparsed.len());
}

/// An error says what, where and what to do, in plain text.
fn shown(error: &PatchError) {
    for text in [&error.message, &error.place, &error.help] {
        assert!(!text.is_empty(), "{error:?}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{error:?}");
        assert!(text.lines().all(|line| line.len() < 1000), "{error:?}");
    }
}
