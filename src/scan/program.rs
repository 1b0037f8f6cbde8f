//! All files together: which name is which function, type, global.
//! Must not know: locks.

use super::ir::{FileFacts, Function, Member, Name, Type};
use super::map::Map;
use super::outline;
use std::sync::Arc;

/// A name, the same in all files.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Sym(pub u32);

/// A function with a body.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FnId(pub u32);

/// A type by its name, with the pointers round it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SymType {
    pub name: Sym,
    pub pointers: u8,
}

/// One file of the program.
#[derive(Clone)]
pub struct File {
    pub path: Arc<str>,
    pub facts: Arc<FileFacts>,
    /// By `Name`.
    symbols: Vec<Sym>,
    /// Static functions, by name.
    statics: Map<Sym, FnId>,
    globals: Map<Sym, SymType>,
    structs: Map<Sym, u32>,
    typedefs: Map<Sym, SymType>,
}

/// All files.
pub struct Program {
    pub files: Vec<Arc<File>>,
    /// The same in programs that differ only within functions.
    all: Arc<Tables>,
}

/// What is known of all files together.
#[derive(Default)]
struct Tables {
    functions: Vec<(u32, u32)>,
    names: Vec<Arc<str>>,
    numbers: Map<Arc<str>, Sym>,
    /// Functions that other files can call; several where targets or stubs
    /// define one of the same name.
    public: Map<Sym, Vec<FnId>>,
    returns: Map<Sym, SymType>,
    globals: Map<Sym, SymType>,
    /// Where a struct is defined: (file, index).
    structs: Map<Sym, Vec<(u32, u32)>>,
    typedefs: Map<Sym, SymType>,
    casts: Map<Sym, Sym>,
    aliases: Map<Sym, Sym>,
}

fn is_header(path: &str) -> bool {
    path.ends_with(".h") || path.ends_with(".inc")
}

/// How far a definition is from the one that a system emulator links: stubs and
/// user-mode emulators define functions of the same names.
fn distance(path: &str) -> u32 {
    let stub = path.starts_with("stubs/") || path.contains("-stub") || path.contains("/stubs");
    let user = path.starts_with("linux-user/")
        || path.starts_with("bsd-user/")
        || path.starts_with("common-user/")
        || path.contains("user-exec")
        || path.contains("/user-");
    let tool = path.starts_with("tools/")
        || path.starts_with("contrib/")
        || path.starts_with("storage-daemon/")
        || path.starts_with("qga/")
        || path.starts_with("scripts/");
    u32::from(stub) + u32::from(user) + u32::from(tool)
}

impl Tables {
    /// Takes in a file.
    fn add(&mut self, number: u32, path: Arc<str>, facts: Arc<FileFacts>) -> File {
        let symbols: Vec<Sym> = facts.names.iter().map(|name| self.intern(name)).collect();
        let sym = |name: Name| symbols[name.0 as usize];
        let ty = |ty: Type| SymType { name: sym(ty.name), pointers: ty.pointers };
        let header = is_header(&path);
        let mut statics = Map::default();
        for (index, function) in facts.functions.iter().enumerate() {
            let id = FnId(self.functions.len() as u32);
            self.functions.push((number, index as u32));
            let name = sym(function.name);
            if function.is_static {
                statics.insert(name, id);
            }
            if !function.is_static || header {
                self.public.entry(name).or_default().push(id);
            }
        }
        let globals: Map<_, _> = facts.globals.iter().map(|(n, t)| (sym(*n), ty(*t))).collect();
        for (&name, &ty) in &globals {
            self.globals.entry(name).or_insert(ty);
        }
        for (name, returned) in &facts.returns {
            self.returns.entry(sym(*name)).or_insert(ty(*returned));
        }
        let mut structs = Map::default();
        for (index, definition) in facts.structs.iter().enumerate() {
            let name = sym(definition.name);
            structs.insert(name, index as u32);
            self.structs.entry(name).or_default().push((number, index as u32));
        }
        let typedefs: Map<_, _> = facts.typedefs.iter().map(|(n, t)| (sym(*n), ty(*t))).collect();
        for (&name, &ty) in &typedefs {
            self.typedefs.entry(name).or_insert(ty);
        }
        for (name, cast) in &facts.casts {
            self.casts.entry(sym(*name)).or_insert(sym(*cast));
        }
        for (name, callee) in &facts.aliases {
            self.aliases.entry(sym(*name)).or_insert(sym(*callee));
        }
        File { path, facts, symbols, statics, globals, structs, typedefs }
    }

    fn intern(&mut self, text: &str) -> Sym {
        if let Some(&sym) = self.numbers.get(text) {
            return sym;
        }
        let shared: Arc<str> = Arc::from(text);
        let sym = Sym(self.names.len() as u32);
        self.names.push(shared.clone());
        self.numbers.insert(shared, sym);
        sym
    }
}

impl Program {
    /// Puts files together, which are sorted by path. `others` are what files may
    /// become in programs that are `like` this one.
    pub fn new<'f>(
        files: Vec<(Arc<str>, Arc<FileFacts>)>,
        others: impl IntoIterator<Item = &'f FileFacts>,
    ) -> Program {
        let mut all = Tables::default();
        let mut put: Vec<Arc<File>> = Vec::with_capacity(files.len());
        for (path, facts) in files {
            let file = all.add(put.len() as u32, path, facts);
            put.push(Arc::new(file));
        }
        let mut public = std::mem::take(&mut all.public);
        for candidates in public.values_mut() {
            let path = |id: &FnId| &*put[all.functions[id.0 as usize].0 as usize].path;
            let nearest = candidates.iter().map(|id| distance(path(id))).min();
            candidates.retain(|id| Some(distance(path(id))) == nearest);
        }
        all.public = public;
        for name in others.into_iter().flat_map(|facts| facts.names.iter()) {
            all.intern(name);
        }
        Program { files: put, all: Arc::new(all) }
    }

    /// This program with other files of the same paths, if they differ from its
    /// own only in what they do not show to others.
    pub fn like(&self, files: &[(Arc<str>, Arc<FileFacts>)]) -> Option<Program> {
        if files.len() != self.files.len() {
            return None;
        }
        let changed = |(own, (path, facts)): (&Arc<File>, &(Arc<str>, Arc<FileFacts>))| {
            if own.path != *path {
                return None;
            }
            if Arc::ptr_eq(&own.facts, facts) {
                return Some(own.clone());
            }
            let symbols: Option<Vec<Sym>> = facts.names.iter().map(|name| self.sym(name)).collect();
            outline::same(&own.facts, facts).then_some(())?;
            let (path, facts) = (path.clone(), facts.clone());
            Some(Arc::new(File { path, facts, symbols: symbols?, ..(**own).clone() }))
        };
        let files: Option<Vec<Arc<File>>> = self.files.iter().zip(files).map(changed).collect();
        Some(Program { files: files?, all: self.all.clone() })
    }

    /// Whether a function stands in a file that another program, which is like
    /// this one, has in the same version.
    pub fn shares(&self, other: &Program, id: FnId) -> bool {
        let file = self.file_of(id) as usize;
        Arc::ptr_eq(&self.files[file], &other.files[file])
    }

    /// The name's number, if any file has it.
    pub fn sym(&self, text: &str) -> Option<Sym> {
        self.all.numbers.get(text).copied()
    }

    pub fn text(&self, sym: Sym) -> &str {
        &self.all.names[sym.0 as usize]
    }

    /// The number of a file's name.
    pub fn sym_in(&self, file: u32, name: Name) -> Sym {
        self.files[file as usize].symbols[name.0 as usize]
    }

    /// Every function with a body.
    pub fn ids(&self) -> impl Iterator<Item = FnId> + use<> {
        (0..self.all.functions.len() as u32).map(FnId)
    }

    pub fn count(&self) -> usize {
        self.all.functions.len()
    }

    pub fn function(&self, id: FnId) -> &Function {
        let (file, index) = self.all.functions[id.0 as usize];
        &self.files[file as usize].facts.functions[index as usize]
    }

    pub fn file_of(&self, id: FnId) -> u32 {
        self.all.functions[id.0 as usize].0
    }

    pub fn path_of(&self, id: FnId) -> &str {
        &self.files[self.file_of(id) as usize].path
    }

    pub fn name_of(&self, id: FnId) -> &str {
        self.text(self.sym_of(id))
    }

    pub fn sym_of(&self, id: FnId) -> Sym {
        self.sym_in(self.file_of(id), self.function(id).name)
    }

    /// The functions that `name` may mean in `file`: its own static one, else
    /// those that others can call; through macros that are one call.
    pub fn lookup(&self, file: u32, name: Sym) -> &[FnId] {
        let mut name = name;
        for _ in 0..4 {
            if let Some(own) = self.files[file as usize].statics.get(&name) {
                return std::slice::from_ref(own);
            }
            if let Some(public) = self.all.public.get(&name) {
                return public;
            }
            match self.all.aliases.get(&name) {
                Some(&callee) if callee != name => name = callee,
                _ => break,
            }
        }
        &[]
    }

    /// The functions of this name in whatever file, static ones included.
    pub fn named(&self, name: &str) -> Vec<FnId> {
        let Some(sym) = self.sym(name) else { return Vec::new() };
        let statics = self.files.iter().filter_map(|file| file.statics.get(&sym).copied());
        let mut all: Vec<FnId> = statics.collect();
        all.extend(self.all.public.get(&sym).into_iter().flatten());
        all.sort();
        all.dedup();
        all
    }

    /// The type that a QOM cast or a function gives.
    pub fn returned(&self, name: Sym) -> Option<SymType> {
        match self.all.casts.get(&name) {
            Some(&cast) => Some(SymType { name: cast, pointers: 1 }),
            None => self.all.returns.get(&name).copied(),
        }
    }

    /// The type of a variable at file scope.
    pub fn global(&self, file: u32, name: Sym) -> Option<SymType> {
        let own = self.files[file as usize].globals.get(&name);
        own.or_else(|| self.all.globals.get(&name)).copied()
    }

    /// The struct behind typedefs, as seen from `file`.
    pub fn underlying(&self, file: u32, ty: Sym) -> Sym {
        let mut ty = ty;
        for _ in 0..4 {
            if self.files[file as usize].structs.contains_key(&ty)
                || self.all.structs.contains_key(&ty)
            {
                return ty;
            }
            let own = self.files[file as usize].typedefs.get(&ty);
            match own.or_else(|| self.all.typedefs.get(&ty)) {
                Some(next) if next.name != ty => ty = next.name,
                _ => return ty,
            }
        }
        ty
    }

    fn definitions(&self, file: u32, ty: Sym) -> impl Iterator<Item = (u32, u32)> + '_ {
        let own = self.files[file as usize].structs.get(&ty).map(|&index| (file, index));
        own.into_iter().chain(self.all.structs.get(&ty).into_iter().flatten().copied())
    }

    /// The type of a member.
    pub fn member(&self, file: u32, ty: Sym, field: Sym) -> Option<SymType> {
        let ty = self.underlying(file, ty);
        self.definitions(file, ty).find_map(|(in_file, index)| {
            let definition = &self.files[in_file as usize].facts.structs[index as usize];
            definition.fields.iter().find_map(|(name, member)| {
                (self.sym_in(in_file, *name) == field).then(|| SymType {
                    name: self.sym_in(in_file, member.name),
                    pointers: member.pointers,
                })
            })
        })
    }

    /// The member at a position, with its type.
    pub fn member_at(&self, file: u32, ty: Sym, at: u16) -> Option<(Sym, SymType)> {
        let ty = self.underlying(file, ty);
        let (in_file, index) = self.definitions(file, ty).next()?;
        let definition = &self.files[in_file as usize].facts.structs[index as usize];
        let (name, member) = definition.fields.get(usize::from(at))?;
        let member = SymType { name: self.sym_in(in_file, member.name), pointers: member.pointers };
        Some((self.sym_in(in_file, *name), member))
    }

    /// The (struct, member) that an initialiser's path leads to.
    pub fn member_of_path(&self, file: u32, ty: Sym, fields: &[Member]) -> Option<(Sym, Sym)> {
        let mut ty = ty;
        let mut found = None;
        for (step, member) in fields.iter().enumerate() {
            let next = match member {
                Member::Named(name) => {
                    let name = self.sym_in(file, *name);
                    self.member(file, ty, name).map(|member| (name, member))
                }
                Member::At(at) => match self.member_at(file, ty, *at) {
                    // An element of an array at the outside of the initialiser.
                    _ if step == 0
                        && fields.len() > 1
                        && self.is_array_step(file, ty, &fields[1..]) =>
                    {
                        continue;
                    }
                    next => next,
                },
            };
            let (name, member) = next?;
            found = Some((self.underlying(file, ty), name));
            ty = member.name;
        }
        found
    }

    /// Whether the rest of a path fits the type itself, so that the step before
    /// it chose an element of an array.
    fn is_array_step(&self, file: u32, ty: Sym, rest: &[Member]) -> bool {
        match rest.first() {
            Some(Member::Named(name)) => self.member(file, ty, self.sym_in(file, *name)).is_some(),
            Some(Member::At(at)) => self.member_at(file, ty, *at).is_some(),
            None => false,
        }
    }

    /// The structs that have a member of this name.
    pub fn owners_of(&self, field: Sym) -> Vec<Sym> {
        let mut owners = Vec::new();
        for (number, file) in self.files.iter().enumerate() {
            for definition in &file.facts.structs {
                let has = |(name, _): &(Name, Type)| self.sym_in(number as u32, *name) == field;
                if definition.fields.iter().any(has) {
                    owners.push(self.sym_in(number as u32, definition.name));
                }
            }
        }
        owners.sort();
        owners.dedup();
        owners
    }
}
