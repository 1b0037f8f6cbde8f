//! The table of macros that the mask knows, as data: `models/scan/mask.json`.
//! Must not know: how a macro is masked.

use crate::scan::ir::Guard;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// What is done with a macro.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Nothing is left, of its arguments neither.
    Blank,
    /// `g_autoptr(T)`, `QLIST_HEAD(name, T)`: `T *`.
    Pointer,
    /// `g_auto(T)`: `T`.
    Value,
    /// `DECLARE_BITMAP(name, bits)`: `long name`.
    Array,
    /// `offsetof(T, a[i])`: a call, which admits more than the grammar's own.
    Call,
    Guard(Guard),
    /// The block alone is left.
    Block,
    Loop,
    /// At file scope, without a semicolon.
    Declares,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    blank: Vec<String>,
    pointers: Vec<String>,
    values: Vec<String>,
    arrays: Vec<String>,
    calls: Vec<String>,
    absent: Vec<String>,
    unlikely: Vec<String>,
    guards: BTreeMap<String, Guard>,
    blocks: Vec<String>,
    loops: Vec<String>,
    declares: Vec<String>,
}

/// The table, ready for looking up.
pub struct Table {
    /// What is never defined in C for QEMU: its half of an `#ifdef` is dead.
    pub absent: Vec<String>,
    /// What is not defined in the QEMU that migrates guests, if one must choose.
    pub unlikely: Vec<String>,
    exact: HashMap<Vec<u8>, Rule>,
    /// Up to two `*`: before, inside, after.
    patterns: Vec<(String, Rule)>,
    /// First bytes that any name or pattern has; `*` in front: capitals.
    first: [bool; 256],
}

/// The table in the program.
pub static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let text = include_str!("../../../models/scan/mask.json");
    let file: File = serde_json::from_str(text).expect("models/scan/mask.json is tested");
    let (absent, unlikely) = (file.absent, file.unlikely);
    let mut table = Table {
        absent,
        unlikely,
        exact: HashMap::new(),
        patterns: Vec::new(),
        first: [false; 256],
    };
    for (names, rule) in [
        (file.blank, Rule::Blank),
        (file.pointers, Rule::Pointer),
        (file.values, Rule::Value),
        (file.arrays, Rule::Array),
        (file.calls, Rule::Call),
        (file.blocks, Rule::Block),
        (file.loops, Rule::Loop),
        (file.declares, Rule::Declares),
    ] {
        names.into_iter().for_each(|name| table.add(name, rule));
    }
    file.guards.into_iter().for_each(|(name, guard)| table.add(name, Rule::Guard(guard)));
    table
});

impl Table {
    fn add(&mut self, name: String, rule: Rule) {
        match name.as_bytes()[0] {
            b'*' => (b'A'..=b'Z').for_each(|byte| self.first[byte as usize] = true),
            byte => self.first[byte as usize] = true,
        }
        match name.contains('*') {
            true => self.patterns.push((name, rule)),
            false => drop(self.exact.insert(name.into_bytes(), rule)),
        }
    }

    /// What to do with the macro called `word`.
    pub fn rule(&self, word: &[u8]) -> Option<Rule> {
        if !self.first[*word.first()? as usize] {
            return None;
        }
        let exact = self.exact.get(word).copied();
        exact.or_else(|| self.patterns.iter().find(|(p, _)| fits(p, word)).map(|(_, rule)| *rule))
    }
}

/// Whether `word` is as `pattern` says: `x*`, `*x*`.
fn fits(pattern: &str, word: &[u8]) -> bool {
    let inner = pattern.trim_matches('*').as_bytes();
    match pattern.starts_with('*') {
        true => word.len() >= inner.len() && word.windows(inner.len()).any(|part| part == inner),
        false => word.starts_with(inner),
    }
}
