//! What the scan keeps of a source file: the facts that the analysis needs, and
//! nothing else. Purely syntactic, one file at a time, so that they can be
//! cached by the file's content.
//! Must not know: other files, types, which function is which.

use serde::{Deserialize, Serialize};

/// An index into `FileFacts::names`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Name(pub u32);

/// Names in one piece: there are millions in a tree.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct NameList {
    text: String,
    /// Where each ends.
    ends: Vec<u32>,
}

impl NameList {
    /// The names, by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| &self.text[begin as usize..end as usize])
    }
}

impl FromIterator<String> for NameList {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> NameList {
        let mut list = NameList::default();
        for name in names {
            list.text.push_str(&name);
            list.ends.push(list.text.len() as u32);
        }
        list
    }
}

/// An index into `Function::blocks`.
pub type BlockId = u32;

/// The facts of one file.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct FileFacts {
    /// Every identifier and type that the facts mention.
    pub names: NameList,
    pub functions: Vec<Function>,
    /// Functions that did not parse clean, by name and 1-based line.
    pub unparsed: Vec<(String, u32)>,
    pub structs: Vec<StructDef>,
    /// `typedef struct Tag Alias`: (alias, type).
    pub typedefs: Vec<(Name, Type)>,
    /// File-scope variables.
    pub globals: Vec<(Name, Type)>,
    /// Declarations and definitions of functions: (name, returned type).
    pub returns: Vec<(Name, Type)>,
    /// QOM casts and `FOO_GET_CLASS`: (macro, the type that it gives).
    pub casts: Vec<(Name, Name)>,
    /// Members set by initialisers at file scope.
    pub stores: Vec<Store>,
    /// What a comment in front of a function asks of its callers.
    pub contracts: Vec<CommentContract>,
    /// Function-like macros whose body is one call: (macro, what it calls).
    pub aliases: Vec<(Name, Name)>,
    /// `/* bqlcheck: allow(BQL004): reason */`.
    pub allows: Vec<Allow>,
}

/// A type, as far as members and locks ask for it: its name and no more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Type {
    /// The struct's tag or the typedef's name.
    pub name: Name,
    /// How many pointers (and arrays) there are round it.
    pub pointers: u8,
}

/// A struct or union with its members, in order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StructDef {
    /// Its tag, or the typedef's name if it has none. A struct without either,
    /// as the type of a member, is called `Outer.member`.
    pub name: Name,
    pub fields: Vec<(Name, Type)>,
}

/// `.ops.read = function` in an initialiser, or `x = { function }`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Store {
    /// The variable that is initialised.
    pub owner: Name,
    /// Its type.
    pub ty: Name,
    /// Down to the member; a position where the initialiser names none.
    pub fields: Vec<Member>,
    pub value: Name,
    pub line: u32,
}

/// A member of a struct, by name or by position.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Member {
    Named(Name),
    At(u16),
}

/// `/* Called with the BQL held */` in front of a function.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CommentContract {
    pub function: Name,
    /// None: the BQL. Else the member or variable that the comment names.
    pub lock: Option<Name>,
    pub held: bool,
    /// The sentence.
    pub text: String,
    pub line: u32,
}

/// A suppression in a comment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Allow {
    pub rule: String,
    /// Empty if it gives none, which is a finding of its own.
    pub reason: String,
    pub line: u32,
}

/// A function: a graph of blocks with the operations that matter.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Function {
    pub name: Name,
    /// 1-based, of its name.
    pub line: u32,
    pub end_line: u32,
    pub is_static: bool,
    /// `coroutine_fn`: runs in a coroutine only.
    pub coroutine: bool,
    /// `HELPER(x)`: called by generated code in a vCPU thread.
    pub helper: bool,
    pub params: Vec<(Name, Type)>,
    pub locals: Vec<(Name, Type)>,
    /// Block 0 is the entry.
    pub blocks: Vec<Block>,
    /// Results of calls: as many temporaries as there are.
    pub temps: u32,
}

/// Operations one after the other, then a way out.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Block {
    pub ops: Vec<Op>,
    pub end: End,
}

/// What a block does.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Op {
    Call(Call),
    /// `to = value`; also what the left of a compound assignment may then be.
    Assign {
        to: Path,
        value: Expr,
        line: u32,
    },
    /// A guard's scope begins: `WITH_QEMU_LOCK_GUARD`, `RCU_READ_LOCK_GUARD`.
    Enter {
        guard: Guard,
        lock: Path,
        line: u32,
    },
    /// It ends.
    Leave {
        guard: Guard,
        lock: Path,
        line: u32,
    },
    /// `assert(bql_locked())` and its likes.
    Require {
        held: bool,
        what: Name,
        line: u32,
        conditional: bool,
    },
    /// `assert(qemu_in_coroutine())` is no lock matter, but decides the context.
    RequireCoroutine {
        inside: bool,
    },
}

/// What a guard guards.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Guard {
    /// `QEMU_LOCK_GUARD(&x)`, `WITH_QEMU_LOCK_GUARD(&x)`.
    Mutex,
    /// `RCU_READ_LOCK_GUARD()`, `WITH_RCU_READ_LOCK_GUARD()`.
    Rcu,
    /// `BQL_LOCK_GUARD()`: takes it if it is not held.
    Bql,
}

/// A call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Call {
    pub callee: Callee,
    pub args: Vec<Expr>,
    pub line: u32,
    /// 1-based, in bytes.
    pub column: u32,
    /// The temporary that is its result.
    pub temp: u32,
    /// Whether it stands under a condition, a loop or a case.
    pub conditional: bool,
}

/// What is called.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Callee {
    /// A function, a macro, or a variable that holds a function.
    Name(Name),
    /// `se->ops->load_state`.
    Path(Path),
    Unknown,
}

/// A place: a base and members. `&`, `*` and subscripts are left out, but for
/// the outermost `&`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Path {
    pub base: Base,
    pub fields: Vec<Name>,
    /// `&x`.
    pub address: bool,
}

/// Where a path begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Base {
    /// A variable, parameter or function.
    Var(Name),
    /// What a function or a QOM cast gives.
    Call(Name),
    /// `(Type *)x`, `container_of(x, Type, member)`.
    Typed(Name),
    Unknown,
}

/// A value.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Expr {
    /// A number; NULL and false are 0, true is 1.
    Const(i64),
    Text(Name),
    Path(Path),
    /// The result of the call with this temporary.
    Temp(u32),
    /// `!x`.
    Not(Box<Expr>),
    /// Against a constant.
    Compare(Comparison, Box<Expr>, i64),
    /// Anything else, by its text, white space folded: the same text has the
    /// same value until one of its names is assigned.
    Opaque {
        text: Name,
        uses: Vec<Name>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Comparison {
    Equal,
    Less,
    Greater,
}

/// How a block is left.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum End {
    Goto(BlockId),
    /// To the first if the condition holds, else to the second.
    Branch {
        condition: Expr,
        yes: BlockId,
        no: BlockId,
    },
    /// To any of them: a switch, a computed goto.
    Any(Vec<BlockId>),
    Return {
        value: Option<Expr>,
        line: u32,
    },
    /// `abort()`, a failed assertion.
    Never,
}
