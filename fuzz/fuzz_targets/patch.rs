//! Hostile patches alone, without the scan, which takes a hundred times as long:
//! a C file, a NUL, a patch for it, as for the target `scan`.

#![no_main]

use bqlcheck::scan::patch::{apply, parse};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fuzz_target!(|bytes: &[u8]| {
    let middle = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (source, rest) = bytes.split_at(middle);
    let diff = rest.strip_prefix(b"\0").unwrap_or(source);
    let source: Arc<[u8]> = source.into();
    let Ok(patches) = parse("x.patch", diff) else { return };
    for patch in &patches {
        let read = |path: &str| (!path.contains("new")).then(|| source.clone());
        let Ok(changed) = apply(patch, &read) else { continue };
        // Sorted, each path once.
        assert!(changed.windows(2).all(|two| two[0].0 < two[1].0));
        let twice = apply(patch, &read);
        assert_eq!(twice.expect("it did apply"), changed);
    }
});
