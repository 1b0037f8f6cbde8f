//! What a tree has to say of a hook or a function: the contract, who calls it,
//! who implements it, and who of these needs the BQL.
//! Must not know: how it is shown.

use super::calls::{CallSite, of_function, of_hook};
use super::need::{Need, Needed, need};
use super::word::{Word, attend};
use super::{Defined, Unknown};
use crate::scan::contexts::{self, Context};
use crate::scan::ir::Member;
use crate::scan::map::Set;
use crate::scan::place::Key;
use crate::scan::program::Sym;
use crate::scan::summary::Summaries;
use crate::scan::tables;
use crate::scan::tree::{Tree, with_summaries};
use serde::Serialize;

/// What is known of a word.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct About {
    /// As it was asked for.
    pub word: String,
    /// The members of this name that hold functions.
    pub hooks: Vec<Hook>,
    /// The functions of this name.
    pub functions: Vec<Asked>,
}

/// A member that holds functions.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Hook {
    /// `SaveVMHandlers.load_cleanup`.
    pub name: String,
    pub contract: Option<Contracted>,
    pub calls: Vec<CallSite>,
    /// Those that need the BQL first.
    pub implementations: Vec<Implementation>,
}

/// What the table of contracts says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Contracted {
    /// The version of the table.
    pub version: String,
    pub text: String,
    pub source: String,
}

/// A function that a member holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Implementation {
    /// The variable that it is a member of; none where code sets it.
    pub owner: Option<String>,
    #[serde(flatten)]
    pub defined: Defined,
    pub bql: Needed,
}

/// A function.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Asked {
    #[serde(flatten)]
    pub defined: Defined,
    pub contract: Option<Contracted>,
    pub calls: Vec<CallSite>,
    pub bql: Needed,
}

/// What the tree has to say of `word`.
pub fn about(tree: &Tree, word: &str) -> Result<About, Unknown> {
    with_summaries(tree, |summaries, commands| {
        let word = Word::find(summaries, word)?;
        attend(summaries, &word.meant(summaries));
        let contexts = contexts::whole(summaries, commands);
        let mut unparsed = Set::default();
        for file in &summaries.program.files {
            let names = file.facts.unparsed.iter();
            unparsed.extend(names.filter_map(|(name, _)| summaries.program.sym(name)));
        }
        let hooks =
            word.hooks.iter().map(|&key| hook(summaries, &contexts, &unparsed, &tree.version, key));
        let hooks = hooks.collect();
        let functions = word.functions.iter().map(|&id| {
            let program = summaries.program;
            let row = summaries.primitives.functions.get(&program.sym_of(id));
            let row = row.map(|&row| &summaries.contracts.functions[usize::from(row)]);
            Asked {
                defined: super::word::defined(program, id),
                contract: row.map(|row| contracted(&tree.version, &row.text, &row.source)),
                calls: of_function(summaries, &contexts, id),
                bql: need(summaries, &unparsed, id),
            }
        });
        let functions = functions.collect();
        Ok(About { word: word.text.clone(), hooks, functions })
    })
}

fn contracted(version: &str, text: &str, source: &str) -> Contracted {
    Contracted {
        version: tables::edition(version).1.to_owned(),
        text: text.to_owned(),
        source: source.to_owned(),
    }
}

fn hook(
    summaries: &mut Summaries<'_>,
    contexts: &[Context],
    unparsed: &Set<Sym>,
    version: &str,
    key: Key,
) -> Hook {
    let program = summaries.program;
    let row = summaries.primitives.hooks.get(&key);
    let row = row.map(|&row| &summaries.contracts.hooks[usize::from(row)]);
    let contract = row.map(|row| contracted(version, &row.text, &row.source));
    let mut implementations = Vec::new();
    for target in summaries.hooks.targets(key).to_vec() {
        implementations.push(Implementation {
            owner: target.owner.map(|(_, owner)| program.text(owner).to_owned()),
            defined: super::word::defined(program, target.function),
            bql: need(summaries, unparsed, target.function),
        });
    }
    implementations.extend(not_understood(summaries, key));
    implementations.sort_by(|a, b| {
        let by = |one: &Implementation| (one.bql.needs, one.defined.clone(), one.owner.clone());
        by(a).cmp(&by(b))
    });
    let calls = of_hook(summaries, contexts, key);
    Hook { name: key.text(program), contract, calls, implementations }
}

/// Functions that a variable gives the member, and that did not parse.
fn not_understood(summaries: &Summaries<'_>, key: Key) -> Vec<Implementation> {
    let program = summaries.program;
    let mut found = Vec::new();
    for (number, file) in program.files.iter().enumerate() {
        let number = number as u32;
        for store in &file.facts.stores {
            let value = program.sym_in(number, store.value);
            let text = program.text(value);
            let Some((_, line)) = file.facts.unparsed.iter().find(|(name, _)| name == text) else {
                continue;
            };
            let named = |name| program.sym_in(number, name) == key.name;
            if !matches!(store.fields.last(), Some(Member::Named(name)) if named(*name)) {
                continue;
            }
            let ty = program.sym_in(number, store.ty);
            let member = program.member_of_path(number, ty, &store.fields);
            if member == Some((key.owner, key.name)) {
                found.push(Implementation {
                    owner: Some(program.text(program.sym_in(number, store.owner)).to_owned()),
                    defined: Defined {
                        function: text.to_owned(),
                        path: file.path.to_string(),
                        line: *line,
                    },
                    bql: Needed::unknown(),
                });
            }
        }
    }
    found
}

impl Hook {
    /// How many implementations there are of each answer.
    pub fn count(&self, needs: Need) -> usize {
        self.implementations.iter().filter(|one| one.bql.needs == needs).count()
    }
}
