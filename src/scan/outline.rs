//! What a file shows to the others: the names and types that they can see. Two
//! versions of a file that show the same leave what others resolve as it is.
//! Must not know: bodies of functions.

use super::ir::{FileFacts, Name, Type};

type Typed<'f> = (&'f str, (&'f str, u8));

#[derive(PartialEq)]
struct Outline<'f> {
    /// Each with whether it is static, and whether it has parameters.
    functions: Vec<(&'f str, bool, bool)>,
    structs: Vec<(&'f str, Vec<Typed<'f>>)>,
    typedefs: Vec<Typed<'f>>,
    globals: Vec<Typed<'f>>,
    returns: Vec<Typed<'f>>,
    casts: Vec<(&'f str, &'f str)>,
    aliases: Vec<(&'f str, &'f str)>,
}

impl Outline<'_> {
    fn new(facts: &FileFacts) -> Outline<'_> {
        let names: Vec<&str> = facts.names.iter().collect();
        let text = |name: Name| names[name.0 as usize];
        let typed = |(name, ty): &(Name, Type)| (text(*name), (text(ty.name), ty.pointers));
        let all = |list: &[(Name, Type)]| list.iter().map(typed).collect::<Vec<_>>();
        let pairs = |list: &[(Name, Name)]| {
            list.iter().map(|(one, other)| (text(*one), text(*other))).collect()
        };
        let functions = facts.functions.iter();
        let structs = facts.structs.iter();
        Outline {
            functions: functions
                .map(|f| (text(f.name), f.is_static, f.params.is_empty()))
                .collect(),
            structs: structs.map(|s| (text(s.name), all(&s.fields))).collect(),
            typedefs: all(&facts.typedefs),
            globals: all(&facts.globals),
            returns: all(&facts.returns),
            casts: pairs(&facts.casts),
            aliases: pairs(&facts.aliases),
        }
    }
}

/// Whether two versions of a file show the same, in the same order.
pub fn same(one: &FileFacts, other: &FileFacts) -> bool {
    Outline::new(one) == Outline::new(other)
}
