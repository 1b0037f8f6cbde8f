//! What a word of the user names in a tree; what it may have meant if nothing.
//! The only file that names strsim.
//! Must not know: what is asked about it.

use super::Defined;
use crate::scan::place::Key;
use crate::scan::program::{FnId, Program, Sym};
use crate::scan::resolve::{CallStep, Invoke, Step, key};
use crate::scan::summary::Summaries;
use std::collections::BTreeSet;

/// So many names are offered instead of one that is not there.
const OFFERED: usize = 3;

/// What a word names: functions, members that hold functions, both.
pub struct Word {
    pub text: String,
    pub functions: Vec<FnId>,
    pub hooks: Vec<Key>,
    /// The name, where calls have it.
    pub name: Option<Sym>,
}

/// A word that names nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unknown {
    pub word: String,
    /// A function of this name is there, but did not parse.
    pub unparsed: bool,
    /// Names that are spelt like it, the most alike first.
    pub like: Vec<String>,
}

impl Word {
    /// What `text` names: `load_cleanup`, `SaveVMHandlers.load_cleanup`.
    pub fn find(summaries: &Summaries<'_>, text: &str) -> Result<Word, Unknown> {
        let program = summaries.program;
        let hooks = match text.split_once('.') {
            Some(_) => {
                let key = key(program, text);
                let is = |key: &Key| {
                    !summaries.hooks.targets(*key).is_empty()
                        || summaries.primitives.hooks.contains_key(key)
                };
                key.filter(is).into_iter().collect()
            }
            None => members(summaries, program.sym(text)),
        };
        let functions = program.named(text);
        let name = program.sym(text);
        let called = name.filter(|&name| {
            program.ids().any(|id| calls(summaries, id, |call| call.name == Some(name)))
        });
        if functions.is_empty() && hooks.is_empty() && called.is_none() {
            return Err(unknown(summaries, text));
        }
        Ok(Word { text: text.to_owned(), functions, hooks, name })
    }

    /// Whether it names the member, which may be one whose struct is not known.
    pub fn is_hook(&self, key: Key) -> bool {
        let unknown = key.owner == crate::scan::place::UNKNOWN;
        self.hooks.iter().any(|hook| *hook == key || (unknown && hook.name == key.name))
    }

    /// The functions that it names, and those that its members hold.
    pub fn meant(&self, summaries: &Summaries<'_>) -> Vec<FnId> {
        let mut functions = self.functions.clone();
        for &hook in &self.hooks {
            functions.extend(summaries.hooks.targets(hook).iter().map(|target| target.function));
        }
        functions.sort();
        functions.dedup();
        functions
    }

    /// Where its functions stand.
    pub fn defined(&self, program: &Program) -> Vec<Defined> {
        self.functions.iter().map(|&id| defined(program, id)).collect()
    }

    /// Its members, as `Type.member`.
    pub fn members(&self, program: &Program) -> Vec<String> {
        self.hooks.iter().map(|key| key.text(program)).collect()
    }
}

/// Where a function stands.
pub fn defined(program: &Program, id: FnId) -> Defined {
    Defined {
        function: program.name_of(id).to_owned(),
        path: program.path_of(id).to_owned(),
        line: program.function(id).line,
    }
}

/// The members of this name that hold functions, or that the contracts speak of.
fn members(summaries: &Summaries<'_>, name: Option<Sym>) -> Vec<Key> {
    let Some(name) = name else { return Vec::new() };
    let mut keys = summaries.hooks.named(name).to_vec();
    let known = summaries.primitives.hooks.keys().copied();
    // What no struct of the tree has is in the tables only.
    let known = known.filter(|key| summaries.program.owners_of(key.name).contains(&key.owner));
    keys.extend(known.filter(|key| key.name == name));
    keys.retain(|key| key.owner != crate::scan::place::UNKNOWN);
    keys.sort_by_key(|key| key.text(summaries.program));
    keys.dedup();
    keys
}

/// Whether a call of a function is as asked for.
fn calls(summaries: &Summaries<'_>, id: FnId, asked: impl Fn(&CallStep) -> bool) -> bool {
    let resolved = summaries.resolved(id);
    let mut steps = resolved.blocks.iter().flat_map(|block| &block.ops);
    steps.any(|step| matches!(step, Step::Call(call) | Step::Idle(call) if asked(call)))
}

/// Has calls of `functions` kept in whoever leads to them.
pub fn attend(summaries: &mut Summaries<'_>, functions: &[FnId]) {
    let count = summaries.program.count();
    let mut callers: Vec<Vec<FnId>> = vec![Vec::new(); count];
    for id in summaries.program.ids() {
        let resolved = summaries.resolved(id);
        for step in resolved.blocks.iter().flat_map(|block| &block.ops) {
            let (Step::Call(call) | Step::Idle(call)) = step else { continue };
            match &call.invoke {
                Invoke::Functions(functions) => {
                    functions.iter().for_each(|f| callers[f.0 as usize].push(id));
                }
                Invoke::Hook(key) => {
                    let targets = summaries.hooks.targets(*key).iter();
                    targets.for_each(|target| callers[target.function.0 as usize].push(id));
                }
                Invoke::Nothing | Invoke::Param(_) => {}
            }
            for arg in &call.args {
                arg.functions.iter().for_each(|f| callers[f.0 as usize].push(id));
            }
        }
    }
    let mut queue = functions.to_vec();
    while let Some(id) = queue.pop() {
        if summaries.attend_to(id) {
            queue.extend(&callers[id.0 as usize]);
        }
    }
}

fn unknown(summaries: &Summaries<'_>, text: &str) -> Unknown {
    let program = summaries.program;
    let mut names: BTreeSet<&str> = program.ids().map(|id| program.name_of(id)).collect();
    names.extend(summaries.hooks.keys().map(|key| program.text(key.name)));
    let unparsed = program.files.iter().flat_map(|file| &file.facts.unparsed);
    let unparsed = unparsed.map(|(name, _)| name.as_str()).any(|name| name == text);
    // Of `Type.member` the member is what may be misspelt.
    let asked = text.rsplit('.').next().unwrap_or(text);
    let most = (asked.chars().count() / 4).clamp(1, 4);
    let mut like: Vec<(usize, &str)> = names
        .into_iter()
        .filter(|name| name.len().abs_diff(asked.len()) <= most)
        .map(|name| (strsim::osa_distance(asked, name), name))
        .filter(|(distance, _)| *distance <= most)
        .collect();
    like.sort();
    let like = like.into_iter().take(OFFERED).map(|(_, name)| name.to_owned()).collect();
    Unknown { word: text.to_owned(), unparsed, like }
}
