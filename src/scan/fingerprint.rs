//! Fingerprints of findings: the same in every run and wherever the lines move,
//! different for each finding of a report. Baselines and CI key on them.
//! Must not know: line numbers.

use crate::lock::{Bytes, Rule};
use std::collections::HashMap;
use std::hash::Hasher;

/// What makes a finding the one it is.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    pub rule: Rule,
    pub path: &'a str,
    pub function: &'a str,
    /// What is called, waited for or taken there, in the source's words.
    pub sink: &'a str,
    /// The root's thread and entry, where there is a root.
    pub root: Option<(&'a str, &'a str)>,
}

/// Gives the fingerprints of one report. Findings with equal keys are told
/// apart by their order: ask for them in the order of their lines.
#[derive(Default)]
pub struct Fingerprints {
    /// How many there have been with this key.
    seen: HashMap<u128, u64>,
}

impl Fingerprints {
    /// The fingerprint of the next finding with this key: 16 hexadecimal digits.
    pub fn next(&mut self, key: &Key<'_>) -> String {
        let (thread, entry) = key.root.unwrap_or_default();
        self.of(&[key.rule.code(), key.path, key.function, key.sink, thread, entry])
    }

    /// The same for what is no breach of a rule: `parts` make it what it is.
    pub fn of(&mut self, parts: &[&str]) -> String {
        let mut bytes = Bytes::default();
        for part in parts {
            // Not `Hash`: what that writes may change with the compiler.
            bytes.write(&(part.len() as u64).to_le_bytes());
            bytes.write(part.as_bytes());
        }
        let seen = self.seen.entry(bytes.fingerprint()).or_default();
        bytes.write(&seen.to_le_bytes());
        *seen += 1;
        format!("{:016x}", bytes.fingerprint() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key<'static> = Key {
        rule: Rule::NeedsBql,
        path: "migration/savevm.c",
        function: "qemu_loadvm_state_cleanup",
        sink: "se->ops->load_cleanup",
        root: Some(("mig/dst/listen", "postcopy_ram_listen_thread")),
    };

    /// Baselines in the field hold it: it may not change.
    #[test]
    fn a_fingerprint_is_the_same_for_ever() {
        assert_eq!(Fingerprints::default().next(&KEY), "76edb33789130f55");
    }

    #[test]
    fn each_part_of_the_key_counts_and_so_does_the_order_of_equals() {
        let mut prints = Fingerprints::default();
        let mut all = vec![prints.next(&KEY), prints.next(&KEY)];
        for key in [
            Key { rule: Rule::MustNotHold, ..KEY },
            Key { path: "migration/ram.c", ..KEY },
            Key { function: "f", ..KEY },
            Key { sink: "g", ..KEY },
            Key { root: None, ..KEY },
            Key { root: Some(("main loop", "postcopy_ram_listen_thread")), ..KEY },
            Key { root: Some(("mig/dst/listen", "f")), ..KEY },
            // The same letters, cut elsewhere.
            Key { function: "qemu_loadvm_state_cleanups", sink: "e->ops->load_cleanup", ..KEY },
        ] {
            all.push(prints.next(&key));
        }
        assert!(all.iter().all(|print| print.len() == 16));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(Fingerprints::default().next(&KEY), Fingerprints::default().next(&KEY));
    }
}
