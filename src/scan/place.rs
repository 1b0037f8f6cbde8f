//! What a path in C stands for: which lock, semaphore or hook, by the struct and
//! the member, and which instance of it.
//! Must not know: what is done with it.

use super::ir::{Base, Function, Path};
use super::program::{FnId, Program, Sym, SymType};

/// A class of locks, semaphores, hooks: `RAMState.bitmap_mutex`, or a variable.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Key {
    /// The struct; `NONE` for a variable.
    pub owner: Sym,
    pub name: Sym,
}

/// No owner.
pub const NONE: Sym = Sym(u32::MAX);
/// An owner whose type is not known.
pub const UNKNOWN: Sym = Sym(u32::MAX - 1);
/// RCU read sections, as a lock.
pub const RCU: Key = Key { owner: NONE, name: Sym(u32::MAX - 2) };
/// AioContexts, as one class of locks.
pub const AIO_CONTEXT: Key = Key { owner: NONE, name: Sym(u32::MAX - 3) };
/// The BQL, where it is one of several locks.
pub const BQL: Key = Key { owner: NONE, name: Sym(u32::MAX - 4) };

impl Key {
    /// As in a message.
    pub fn text(self, program: &Program) -> String {
        match self {
            RCU => "RCU read section".into(),
            AIO_CONTEXT => "AioContext".into(),
            BQL => "BQL".into(),
            Key { owner: NONE, name } => program.text(name).into(),
            Key { owner: UNKNOWN, name } => format!("?.{}", program.text(name)),
            Key { owner, name } => format!("{}.{}", program.text(owner), program.text(name)),
        }
    }
}

/// Where a place begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Root {
    /// A parameter of the function, by position.
    Param(u8),
    Local(Sym),
    Global(Sym),
    /// `migrate_get_current()`: the same each time, as far as we know.
    Call(Sym),
    Unknown,
}

/// An instance: where it begins, and the members down to it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    pub root: Root,
    pub fields: Vec<Sym>,
}

/// A lock (or another object): its class and the instance.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Object {
    pub key: Key,
    pub place: Place,
}

impl Object {
    /// An object of which there is one.
    pub fn only(key: Key) -> Object {
        Object { key, place: Place { root: Root::Global(NONE), fields: Vec::new() } }
    }

    fn is_only(&self) -> bool {
        self.place.root == Root::Global(NONE)
    }

    /// Whether both are surely the same instance.
    pub fn is(&self, other: &Object) -> bool {
        let place = self.place == other.place && self.place.root != Root::Unknown;
        self.key == other.key && (place || self.is_only() || other.is_only())
    }
}

/// Where names of a function lead.
pub struct Scope<'p> {
    pub program: &'p Program,
    pub file: u32,
    pub function: &'p Function,
}

impl<'p> Scope<'p> {
    pub fn new(program: &'p Program, id: FnId) -> Scope<'p> {
        Scope { program, file: program.file_of(id), function: program.function(id) }
    }

    pub fn sym(&self, name: super::ir::Name) -> Sym {
        self.program.sym_in(self.file, name)
    }

    /// The parameter of this name.
    pub fn param(&self, name: super::ir::Name) -> Option<u8> {
        let at = self.function.params.iter().position(|(param, _)| *param == name)?;
        u8::try_from(at).ok()
    }

    fn is_local(&self, name: super::ir::Name) -> bool {
        self.function.locals.iter().any(|(local, _)| *local == name)
    }

    /// Whether a variable of the function hides what is outside.
    pub fn is_variable(&self, name: super::ir::Name) -> bool {
        self.param(name).is_some() || self.is_local(name)
    }

    fn variable_type(&self, name: super::ir::Name) -> Option<SymType> {
        let own = self.function.params.iter().chain(&self.function.locals);
        let own = own.rev_find(name);
        match own {
            Some(ty) => Some(SymType { name: self.sym(ty.name), pointers: ty.pointers }),
            None => self.program.global(self.file, self.sym(name)),
        }
    }

    fn base_type(&self, base: Base) -> Option<SymType> {
        match base {
            Base::Var(name) => self.variable_type(name),
            Base::Call(name) => self.program.returned(self.sym(name)),
            Base::Typed(name) => Some(SymType { name: self.sym(name), pointers: 1 }),
            Base::Unknown => None,
        }
    }

    /// The class of what a path leads to.
    pub fn key_of(&self, path: &Path) -> Key {
        let Some((&last, above)) = path.fields.split_last() else {
            let name = match path.base {
                Base::Var(name) | Base::Call(name) | Base::Typed(name) => self.sym(name),
                Base::Unknown => UNKNOWN,
            };
            let local = matches!(path.base, Base::Var(name) if self.is_variable(name));
            return Key { owner: if local { UNKNOWN } else { NONE }, name };
        };
        let name = self.sym(last);
        let mut ty = self.base_type(path.base);
        for &field in above {
            ty = ty.and_then(|ty| self.program.member(self.file, ty.name, self.sym(field)));
        }
        let owner = ty.map(|ty| self.program.underlying(self.file, ty.name));
        Key { owner: owner.unwrap_or(UNKNOWN), name }
    }

    pub fn place_of(&self, path: &Path) -> Place {
        let root = match path.base {
            Base::Var(name) => match self.param(name) {
                Some(at) => Root::Param(at),
                None if self.is_local(name) => Root::Local(self.sym(name)),
                None => Root::Global(self.sym(name)),
            },
            // The same each time, if there is nothing to tell it apart by.
            Base::Call(name) if self.is_plain(name) => Root::Call(self.sym(name)),
            Base::Call(_) | Base::Typed(_) | Base::Unknown => Root::Unknown,
        };
        Place { root, fields: path.fields.iter().map(|&field| self.sym(field)).collect() }
    }

    /// Whether a function has no parameters.
    pub fn is_plain(&self, name: super::ir::Name) -> bool {
        let functions = self.program.lookup(self.file, self.sym(name));
        !functions.is_empty()
            && functions.iter().all(|&id| self.program.function(id).params.is_empty())
    }

    pub fn object(&self, path: &Path) -> Object {
        Object { key: self.key_of(path), place: self.place_of(path) }
    }
}

/// The last declaration of a name, which hides those before it.
trait Declared {
    fn rev_find(self, name: super::ir::Name) -> Option<super::ir::Type>;
}

impl<'a, I> Declared for I
where
    I: DoubleEndedIterator<Item = &'a (super::ir::Name, super::ir::Type)>,
{
    fn rev_find(mut self, name: super::ir::Name) -> Option<super::ir::Type> {
        self.rfind(|(declared, _)| *declared == name).map(|(_, ty)| *ty)
    }
}
