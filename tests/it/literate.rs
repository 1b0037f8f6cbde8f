//! Literate cases: Markdown with C blocks that say in comments what is to be
//! found. `tests/rules/README.md` has the form.

use bqlcheck::lock::Rule;
use std::collections::{BTreeMap, BTreeSet};

/// A place in a source with the rule that is broken there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub rule: Rule,
    pub path: String,
    pub function: String,
    pub line: u32,
}

/// A tree in small, and what is wrong with it.
#[derive(Clone, Default, Debug)]
pub struct Half {
    pub files: BTreeMap<String, String>,
    /// `expect`: exactly these findings.
    pub expected: BTreeSet<Place>,
    /// `via`: calls that some finding's path goes through.
    pub via: BTreeSet<Place>,
}

/// One file of tests/rules.
#[derive(Debug)]
pub struct Case {
    pub title: String,
    pub version: String,
    /// None where the case is of something right that looks wrong.
    pub before: Option<Half>,
    pub after: Half,
}

/// Reads a case.
pub fn read(text: &str) -> Result<Case, String> {
    let mut lines = text.lines().enumerate();
    let title = match lines.next() {
        Some((_, line)) if line.starts_with("# ") => line[2..].to_string(),
        _ => return Err("line 1: a title is missing".into()),
    };
    let mut version = "10.0".to_string();
    let mut halves: BTreeMap<String, Half> = BTreeMap::new();
    let mut section: Option<String> = None;
    while let Some((at, line)) = lines.next() {
        let here = at + 1;
        if let Some(name) = line.strip_prefix("## ") {
            if !["Both", "Before", "After"].contains(&name) {
                return Err(format!("line {here}: no section is called '{name}'"));
            }
            if halves.insert(name.into(), Half::default()).is_some() {
                return Err(format!("line {here}: a second section '{name}'"));
            }
            section = Some(name.into());
        } else if let Some(value) = line.strip_prefix("version: ") {
            if !["7.2", "10.0", "10.2"].contains(&value) || section.is_some() {
                return Err(format!("line {here}: a version is 7.2, 10.0 or 10.2, at the top"));
            }
            version = value.into();
        } else if line.starts_with("```") {
            let Some(half) = section.as_ref().and_then(|name| halves.get_mut(name)) else {
                return Err(format!("line {here}: a block outside of a section"));
            };
            let mut block = Vec::new();
            loop {
                match lines.next() {
                    Some((_, "```")) => break,
                    Some((_, line)) => block.push(line),
                    None => return Err(format!("line {here}: the block does not end")),
                }
            }
            file(half, &block).map_err(|message| format!("line {}: {message}", here + 1))?;
        }
    }
    let both = halves.remove("Both").unwrap_or_default();
    let before = halves.remove("Before").map(|half| joined(&both, half)).transpose()?;
    let after = halves.remove("After").ok_or("there is no section 'After'")?;
    let after = joined(&both, after)?;
    Ok(Case { title, version, before, after })
}

/// A block is a file: its path, then its text.
fn file(half: &mut Half, block: &[&str]) -> Result<(), String> {
    let first = block.first().copied().unwrap_or("");
    let path = first
        .strip_prefix("/* file: ")
        .and_then(|rest| rest.strip_suffix(" */"))
        .or_else(|| first.strip_prefix("# file: "))
        .ok_or("a block begins with '/* file: path */' or '# file: path'")?;
    for (at, line) in block[1..].iter().enumerate() {
        for (word, into) in [("expect", &mut half.expected), ("via", &mut half.via)] {
            let Some((_, rest)) = line.split_once(&format!("/* {word}: ")) else { continue };
            let codes = rest.strip_suffix(" */").ok_or("a mark ends its line")?;
            for code in codes.split(", ") {
                let rule = Rule::from_code(code).ok_or(format!("no rule is called '{code}'"))?;
                let function = function_at(&block[1..], at)
                    .ok_or(format!("'{word}: {code}' is in no function"))?;
                into.insert(Place { rule, path: path.into(), function, line: at as u32 + 1 });
            }
        }
    }
    let text = block[1..].iter().map(|line| format!("{line}\n")).collect();
    match half.files.insert(path.into(), text) {
        Some(_) => Err(format!("a second file {path}")),
        None => Ok(()),
    }
}

/// The function that a line is in: its body begins with a brace of its own in
/// the first column, as is QEMU's custom.
fn function_at(block: &[&str], at: usize) -> Option<String> {
    let brace = (0..at).rev().find(|&line| block[line] == "{")?;
    let head = (0..brace).rev().find(|&line| block[line].starts_with(char::is_alphabetic))?;
    let (before, rest) = block[head].split_once('(')?;
    let name = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    match name {
        "HELPER" => Some(format!("helper_{}", rest.split(')').next()?)),
        name => Some(name.into()),
    }
}

fn joined(both: &Half, half: Half) -> Result<Half, String> {
    let mut all = both.clone();
    all.expected.extend(half.expected);
    all.via.extend(half.via);
    for (path, text) in half.files {
        if all.files.insert(path.clone(), text).is_some() {
            return Err(format!("{path} is in 'Both' too"));
        }
    }
    Ok(all)
}
