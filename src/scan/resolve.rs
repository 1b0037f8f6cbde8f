//! A function with its names resolved: which call locks, waits, wakes, registers
//! or invokes what; which variables a condition looks at.
//! Must not know: which state a lock is in.

use super::ir::{Base, Callee, Comparison, End, Expr, Guard, Name, Op, Path};
use super::map::{Map, Set};
use super::place::{AIO_CONTEXT, Key, NONE, Object, Place, RCU, Root, Scope};
use super::program::{FnId, Program, Sym};
use super::tables::{self, Contracts};

/// What is known of a value: which signs it may have.
pub type Signs = u8;
pub const NEGATIVE: Signs = 1;
pub const ZERO: Signs = 2;
pub const POSITIVE: Signs = 4;
pub const ANY: Signs = 7;
pub const TRUE: Signs = NEGATIVE | POSITIVE;

/// A variable, member, condition or temporary of a function whose sign is
/// followed.
pub type Var = u32;

/// The signs of a constant.
pub fn signs(constant: i64) -> Signs {
    match constant {
        ..0 => NEGATIVE,
        0 => ZERO,
        1.. => POSITIVE,
    }
}

/// What a function's name says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockCall {
    BqlLock,
    BqlUnlock,
    BqlLocked,
    InCoroutine,
    InVcpu,
    Lock,
    TryLock,
    Unlock,
    /// Of one certain lock.
    LockOf(Key),
    UnlockOf(Key),
}

/// The functions that the tables name, by symbol.
pub struct Primitives {
    pub locks: Map<Sym, LockCall>,
    pub waits: Map<Sym, u16>,
    pub wakes: Map<Sym, u16>,
    /// One row for each callback that is handed over.
    pub registrars: Map<Sym, Vec<u16>>,
    /// Functions from outside that call an argument: which.
    pub callers: Map<Sym, usize>,
    /// Into `Contracts::functions`.
    pub functions: Map<Sym, u16>,
    /// Into `Contracts::hooks`.
    pub hooks: Map<Key, u16>,
    /// Into `Contracts::locks`, with the lock.
    pub held: Map<Sym, Vec<(u16, Key)>>,
    /// `tables::guarded`, in order.
    pub guarded: Vec<GuardedMember>,
    /// The BQL's mutex, by name.
    pub bql: Vec<Sym>,
    /// Classes that are another.
    pub same: Map<Key, Key>,
}

/// A member that a lock guards.
pub struct GuardedMember {
    /// The member's name, and that of its struct (of the outermost).
    pub field: Option<Sym>,
    pub owners: Vec<Sym>,
    pub lock: Key,
    pub calls: Vec<Sym>,
}

impl GuardedMember {
    /// Whether a key is this member.
    pub fn is(&self, key: Key) -> bool {
        self.field == Some(key.name) && self.owners.contains(&key.owner)
    }
}

/// The key that `Type.member` (or a variable) names, if the program has it.
pub fn key(program: &Program, text: &str) -> Option<Key> {
    match text {
        "RCU" => return Some(RCU),
        "AioContext" => return Some(AIO_CONTEXT),
        _ => {}
    }
    match text.split_once('.') {
        Some((owner, name)) => {
            let owner = program.sym(owner)?;
            Some(Key { owner, name: program.sym(name)? })
        }
        None => Some(Key { owner: NONE, name: program.sym(text)? }),
    }
}

impl Primitives {
    pub fn new(program: &Program, contracts: &Contracts) -> Primitives {
        let mut locks = Map::default();
        let mut put = |names: &[String], call: LockCall| {
            for name in names {
                if let Some(sym) = program.sym(name) {
                    locks.insert(sym, call);
                }
            }
        };
        let table = tables::locks();
        put(&table.bql.lock, LockCall::BqlLock);
        put(&table.bql.unlock, LockCall::BqlUnlock);
        put(&table.bql.locked, LockCall::BqlLocked);
        put(&["qemu_in_coroutine".into()], LockCall::InCoroutine);
        put(&["qemu_in_vcpu_thread".into()], LockCall::InVcpu);
        put(&table.mutex.lock, LockCall::Lock);
        put(&table.mutex.trylock, LockCall::TryLock);
        put(&table.mutex.unlock, LockCall::Unlock);
        put(&table.rcu.lock, LockCall::LockOf(RCU));
        put(&table.rcu.unlock, LockCall::UnlockOf(RCU));
        put(&table.aio_context.lock, LockCall::Lock);
        put(&table.aio_context.unlock, LockCall::Unlock);
        for wrapper in &table.wrappers {
            if let Some(key) = key(program, &wrapper.class) {
                put(std::slice::from_ref(&wrapper.lock), LockCall::LockOf(key));
                put(std::slice::from_ref(&wrapper.unlock), LockCall::UnlockOf(key));
            }
        }
        let numbered = |names: Vec<&String>| {
            let numbered = names.into_iter().enumerate();
            numbered.filter_map(|(at, name)| Some((program.sym(name)?, at as u16))).collect()
        };
        let waits = tables::waits();
        let mut hooks = Map::default();
        for (at, hook) in contracts.hooks.iter().enumerate() {
            if let Some(key) = key(program, &format!("{}.{}", hook.ty, hook.field)) {
                hooks.insert(key, at as u16);
            }
        }
        let mut held: Map<Sym, Vec<(u16, Key)>> = Map::default();
        for (at, contract) in contracts.locks.iter().enumerate() {
            if let (Some(function), Some(key)) =
                (program.sym(&contract.function), key(program, &contract.lock))
                && contract.held
            {
                held.entry(function).or_default().push((at as u16, key));
            }
        }
        let mut registrars: Map<Sym, Vec<u16>> = Map::default();
        for (at, registrar) in tables::roots().registrars.iter().enumerate() {
            if let Some(sym) = program.sym(&registrar.function) {
                registrars.entry(sym).or_default().push(at as u16);
            }
        }
        let guarded = tables::guarded().iter().map(|row| {
            let (above, field) = row.field.rsplit_once('.').unwrap_or(("", &row.field));
            let owner = match above {
                "" => row.ty.clone(),
                above => format!("{}.{above}", row.ty),
            };
            GuardedMember {
                field: program.sym(field),
                owners: program.sym(&owner).into_iter().collect(),
                lock: key(program, &row.lock)
                    .unwrap_or(Key { owner: NONE, name: super::place::UNKNOWN }),
                calls: row.calls.iter().filter_map(|call| program.sym(call)).collect(),
            }
        });
        let guarded = guarded.collect();
        let callers = tables::roots().callers.iter();
        let callers = callers.filter_map(|row| Some((program.sym(&row.function)?, row.callback)));
        let callers = callers.collect();
        let bql = table.bql.mutexes.iter().filter_map(|name| program.sym(name)).collect();
        let same = table.same.iter();
        let same =
            same.filter_map(|row| Some((key(program, &row.class)?, key(program, &row.other)?)));
        let same = same.collect();
        Primitives {
            callers,
            guarded,
            bql,
            same,
            locks,
            waits: numbered(waits.waits.iter().map(|wait| &wait.function).collect()),
            wakes: numbered(waits.wakes.iter().map(|wake| &wake.function).collect()),
            registrars,
            functions: numbered(contracts.functions.iter().map(|f| &f.name).collect()),
            hooks,
            held,
        }
    }

    /// Whether a function is known by name alone, so that its body is not looked
    /// into.
    pub fn is_primitive(&self, name: Sym) -> bool {
        self.locks.contains_key(&name)
            || self.waits.contains_key(&name)
            || self.wakes.contains_key(&name)
            || self.registrars.contains_key(&name)
    }
}

/// A resolved function.
pub struct Resolved {
    pub blocks: Vec<Block>,
    /// The variable of each parameter, for the first few.
    pub params: Vec<Var>,
    /// Parameters that a condition looks at.
    pub interesting: u16,
    /// Members that are set to functions.
    pub stores: Vec<(Key, Stored)>,
}

/// What a member is set to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stored {
    Functions(Vec<FnId>),
    /// Whatever a parameter holds.
    Param(u8),
}

pub struct Block {
    pub ops: Vec<Step>,
    pub end: Way,
}

/// An operation.
pub enum Step {
    Call(Box<CallStep>),
    /// Sets a variable, and forgets what depends on it.
    Set {
        var: Option<Var>,
        value: Value,
        forget: Vec<Var>,
        root: Option<Root>,
    },
    Enter {
        guard: Guard,
        lock: Object,
        line: u32,
    },
    Leave {
        guard: Guard,
        lock: Object,
        line: u32,
    },
    Require {
        held: bool,
        what: Sym,
        line: u32,
        conditional: bool,
    },
    RequireCoroutine {
        inside: bool,
    },
}

/// A value as far as its sign goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    Signs(Signs),
    Of(Var),
    /// 1 if the variable has one of the signs, else 0.
    Test(Var, Signs),
}

/// A way out of a block.
pub enum Way {
    Goto(u32),
    /// To `yes` if the variable has one of `signs`, else to `no`.
    Branch {
        var: Var,
        signs: Signs,
        yes: u32,
        no: u32,
    },
    Any(Vec<u32>),
    Return {
        value: Value,
        line: u32,
    },
    Never,
}

/// A call.
pub struct CallStep {
    pub name: Option<Sym>,
    pub lock: Option<LockCall>,
    /// What a lock call, wait or wake works on.
    pub object: Option<Object>,
    pub wait: Option<u16>,
    /// The mutex that a condition wait releases.
    pub mutex: Option<Object>,
    pub wake: Option<u16>,
    /// Into `Roots::registrars`, one for each callback.
    pub register: Vec<u16>,
    pub invoke: Invoke,
    pub line: u32,
    pub column: u32,
    pub conditional: bool,
    pub temp: Var,
    pub args: Vec<Arg>,
    /// What is no longer known after it: `&x` was passed.
    pub forget: Vec<Var>,
    /// Whether it gives the same each time: `kvm_pic_in_kernel()`.
    pub predicate: bool,
}

/// Whose body a call enters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Invoke {
    /// None that we know.
    Nothing,
    /// One of these.
    Functions(Vec<FnId>),
    /// The function that a parameter holds.
    Param(u8),
    /// The functions that a member holds.
    Hook(Key),
}

/// An argument.
pub struct Arg {
    pub value: Value,
    /// The parameter of the caller that is passed on.
    pub param: Option<u8>,
    pub place: Option<Place>,
    /// The functions that it may name.
    pub functions: Vec<FnId>,
    /// The member that it leads to: a semaphore, a thread's handle.
    pub key: Option<Key>,
    /// A call's name or a text: `g_main_context_get_thread_default`, "mig/dst".
    pub word: Option<Sym>,
}

struct Resolver<'p> {
    scope: Scope<'p>,
    primitives: &'p Primitives,
    /// Variables by base and members.
    paths: Map<(Base, Vec<Name>), Var>,
    opaque: Map<Name, (Var, Vec<Name>)>,
    temps: Map<u32, Var>,
    /// The name that a temporary's call has.
    temp_names: Map<u32, Sym>,
    /// Those whose call has no arguments.
    plain_temps: Set<u32>,
    /// By the text of a call that gives the same each time.
    predicates: Map<(Sym, Vec<Name>), Var>,
    /// The variables that locks are reached through.
    lock_roots: Vec<Root>,
    vars: u32,
}

/// Resolves a function.
pub fn resolve(program: &Program, primitives: &Primitives, id: FnId) -> Resolved {
    let scope = Scope::new(program, id);
    let function = scope.function;
    let mut this = Resolver {
        scope,
        primitives,
        paths: Map::default(),
        opaque: Map::default(),
        temps: Map::default(),
        temp_names: Map::default(),
        plain_temps: Set::default(),
        predicates: Map::default(),
        lock_roots: Vec::new(),
        vars: 0,
    };
    this.find_predicates();
    // Conditions and returned values first: only what they look at is followed.
    for block in &function.blocks {
        match &block.end {
            End::Branch { condition, .. } => {
                this.test(condition);
            }
            End::Return { value: Some(value), .. } => {
                this.value(value);
            }
            _ => {}
        }
        for op in &block.ops {
            if let Op::Assign { value, .. } = op {
                this.value(value);
            }
        }
    }
    let params: Vec<Var> = (function.params.iter().take(8))
        .map(|(name, _)| this.path_var(Base::Var(*name), &[]))
        .collect();
    let mut interesting = 0;
    let blocks = (function.blocks.iter())
        .map(|block| {
            let ops = block.ops.iter().filter_map(|op| this.step(op)).collect();
            let end = match &block.end {
                End::Goto(to) => Way::Goto(*to),
                End::Branch { condition, yes, no } => match this.test(condition) {
                    Some((var, signs)) => Way::Branch { var, signs, yes: *yes, no: *no },
                    None => Way::Any(vec![*yes, *no]),
                },
                End::Any(to) => Way::Any(to.clone()),
                End::Return { value, line } => {
                    let value = value.as_ref().map(|value| this.value(value));
                    Way::Return { value: value.unwrap_or(Value::Signs(ANY)), line: *line }
                }
                End::Never => Way::Never,
            };
            if let Way::Branch { var, .. } = &end
                && let Some(at) = params.iter().position(|param| param == var)
            {
                interesting |= 1 << at;
            }
            Block { ops, end }
        })
        .collect();
    let stores = function.blocks.iter().flat_map(|block| &block.ops);
    let stores = stores.filter_map(|op| this.store(op)).collect();
    Resolved { blocks, params, interesting, stores }
}

impl Resolver<'_> {
    /// Calls that give the same each time share a variable; and the variables
    /// through which locks are reached.
    fn find_predicates(&mut self) {
        let function = self.scope.function;
        for op in function.blocks.iter().flat_map(|block| &block.ops) {
            let lock = match op {
                Op::Call(call) => {
                    self.predicate(call);
                    if let Callee::Name(name) = call.callee {
                        self.temp_names.insert(call.temp, self.scope.sym(name));
                    }
                    match (&call.callee, call.args.first()) {
                        (Callee::Name(name), Some(Expr::Path(path)))
                            if self.primitives.locks.contains_key(&self.scope.sym(*name)) =>
                        {
                            path
                        }
                        _ => continue,
                    }
                }
                Op::Enter { lock, .. } => lock,
                _ => continue,
            };
            let root = self.scope.place_of(lock).root;
            if matches!(root, Root::Local(_) | Root::Param(_)) && !self.lock_roots.contains(&root) {
                self.lock_roots.push(root);
            }
        }
    }

    fn predicate(&mut self, call: &super::ir::Call) {
        let Callee::Name(name) = call.callee else { return };
        let sym = self.scope.sym(name);
        if self.primitives.is_primitive(sym) {
            return;
        }
        let text = self.scope.program.text(sym);
        let asks = ["_is_", "is_", "has_", "_in_", "_enabled", "_supported", "use_", "can_"];
        let says = call.args.is_empty() || asks.iter().any(|word| text.contains(word));
        if !says || call.args.len() > 2 {
            return;
        }
        let mut words = Vec::new();
        for arg in &call.args {
            let Expr::Path(Path { base: Base::Var(base), fields, address: false }) = arg else {
                return;
            };
            words.push(*base);
            words.extend(fields);
        }
        let known = self.predicates.get(&(sym, words.clone())).copied();
        let var = known.unwrap_or_else(|| self.fresh());
        self.predicates.insert((sym, words), var);
        self.temps.insert(call.temp, var);
    }

    fn fresh(&mut self) -> Var {
        self.vars += 1;
        self.vars - 1
    }

    fn path_var(&mut self, base: Base, fields: &[Name]) -> Var {
        if let Some(&var) = self.paths.get(&(base, fields.to_vec())) {
            return var;
        }
        let var = self.fresh();
        self.paths.insert((base, fields.to_vec()), var);
        var
    }

    fn temp(&mut self, temp: u32) -> Var {
        if let Some(&var) = self.temps.get(&temp) {
            return var;
        }
        let var = self.fresh();
        self.temps.insert(temp, var);
        var
    }

    /// The variable that an expression is true by, and the signs it is true with.
    fn test(&mut self, expr: &Expr) -> Option<(Var, Signs)> {
        match expr {
            Expr::Not(inner) => self.test(inner).map(|(var, signs)| (var, ANY & !signs)),
            Expr::Compare(how, inner, constant) => {
                let positive = match (how, constant) {
                    (Comparison::Equal, 0) => Some(ZERO),
                    (Comparison::Less, 0) => Some(NEGATIVE),
                    (Comparison::Less, 1) => Some(NEGATIVE | ZERO),
                    (Comparison::Greater, 0) => Some(POSITIVE),
                    (Comparison::Greater, -1) => Some(POSITIVE | ZERO),
                    // `== true`; of other numbers only the sign is known.
                    // What a failed trylock gives is negative, if it is told at all.
                    (Comparison::Equal, ..=-1) if self.is_trylock(inner) => Some(NEGATIVE),
                    (Comparison::Equal, 1) if matches!(**inner, Expr::Temp(_)) => Some(POSITIVE),
                    _ => None,
                };
                match positive {
                    Some(signs) => match &**inner {
                        // `!x == 0` and the like.
                        Expr::Not(_) | Expr::Compare(..) => {
                            let (var, truth) = self.test(inner)?;
                            match signs {
                                ZERO => Some((var, ANY & !truth)),
                                _ => Some((var, truth)),
                            }
                        }
                        _ => Some((self.var(inner)?, signs)),
                    },
                    None => {
                        // The comparison itself is the variable.
                        let (base, mut fields) = match &**inner {
                            Expr::Path(path) => (path.base, path.fields.clone()),
                            _ => return None,
                        };
                        fields.push(Name(u32::MAX - *how as u32));
                        fields.push(Name(*constant as u32));
                        Some((self.path_var(base, &fields), TRUE))
                    }
                }
            }
            Expr::Const(_) | Expr::Text(_) => None,
            _ => self.var(expr).map(|var| (var, TRUE)),
        }
    }

    fn is_trylock(&self, expr: &Expr) -> bool {
        let name = match expr {
            Expr::Temp(temp) => self.temp_names.get(temp),
            _ => None,
        };
        name.is_some_and(|name| self.primitives.locks.get(name) == Some(&LockCall::TryLock))
    }

    fn var(&mut self, expr: &Expr) -> Option<Var> {
        match expr {
            Expr::Path(Path { address: true, .. }) => None,
            Expr::Path(path) if path.base == Base::Unknown => None,
            Expr::Path(path) => Some(self.path_var(path.base, &path.fields)),
            Expr::Temp(temp) => Some(self.temp(*temp)),
            Expr::Opaque { text, uses } => {
                if uses.is_empty() {
                    return None;
                }
                if let Some((var, _)) = self.opaque.get(text) {
                    return Some(*var);
                }
                let var = self.fresh();
                self.opaque.insert(*text, (var, uses.clone()));
                Some(var)
            }
            _ => None,
        }
    }

    fn value(&mut self, expr: &Expr) -> Value {
        match expr {
            Expr::Const(constant) => Value::Signs(signs(*constant)),
            Expr::Text(_) | Expr::Path(Path { address: true, .. }) => Value::Signs(POSITIVE),
            Expr::Path(_) | Expr::Temp(_) | Expr::Opaque { .. } => match self.var(expr) {
                Some(var) => Value::Of(var),
                None => Value::Signs(ANY),
            },
            Expr::Not(_) | Expr::Compare(..) => match self.test(expr) {
                Some((var, signs)) => Value::Test(var, signs),
                None => Value::Signs(ZERO | POSITIVE),
            },
        }
    }

    /// What is no longer known once `to` is assigned.
    fn forgets(&self, to: &Path) -> Vec<Var> {
        let mut vars: Vec<Var> = Vec::new();
        for ((base, fields), &var) in &self.paths {
            let below = *base == to.base && fields.starts_with(&to.fields);
            if below {
                vars.push(var);
            }
        }
        // An assigned member is known by its name; a variable by itself.
        let name = match (to.fields.last(), to.base) {
            (Some(&field), _) => Some(field),
            (None, Base::Var(name)) => Some(name),
            _ => None,
        };
        if let Some(name) = name {
            let calls = self.predicates.iter().filter(|((_, words), _)| words.contains(&name));
            vars.extend(calls.map(|(_, var)| *var));
            let uses = self.opaque.values().filter(|(_, uses)| uses.contains(&name));
            vars.extend(uses.map(|(var, _)| *var));
        }
        vars.sort_unstable();
        vars
    }

    fn step(&mut self, op: &Op) -> Option<Step> {
        match op {
            Op::Call(call) => Some(Step::Call(Box::new(self.call(call)))),
            Op::Assign { to, value, .. } => {
                let value = self.value(value);
                let forget = self.forgets(to);
                let var = self.paths.get(&(to.base, to.fields.clone())).copied();
                let root = to.fields.is_empty().then(|| self.scope.place_of(to).root);
                let root = root.filter(|root| self.lock_roots.contains(root));
                (var.is_some() || !forget.is_empty() || root.is_some()).then_some(Step::Set {
                    var,
                    value,
                    forget,
                    root,
                })
            }
            Op::Enter { guard, lock, line } => {
                Some(Step::Enter { guard: *guard, lock: self.scope.object(lock), line: *line })
            }
            Op::Leave { guard, lock, line } => {
                Some(Step::Leave { guard: *guard, lock: self.scope.object(lock), line: *line })
            }
            Op::Require { held, what, line, conditional } => Some(Step::Require {
                held: *held,
                what: self.scope.sym(*what),
                line: *line,
                conditional: *conditional,
            }),
            Op::RequireCoroutine { inside } => Some(Step::RequireCoroutine { inside: *inside }),
        }
    }

    fn functions_of(&self, name: Name) -> Vec<FnId> {
        match self.scope.is_variable(name) {
            true => Vec::new(),
            false => self.scope.program.lookup(self.scope.file, self.scope.sym(name)).to_vec(),
        }
    }

    /// A member that an operation sets to a function.
    fn store(&self, op: &Op) -> Option<(Key, Stored)> {
        let Op::Assign { to, value: Expr::Path(path), .. } = op else { return None };
        let (Base::Var(name), true) = (path.base, path.fields.is_empty()) else { return None };
        if to.fields.is_empty()
            && !matches!(to.base, Base::Var(name) if !self.scope.is_variable(name))
        {
            return None;
        }
        let stored = match self.scope.param(name) {
            Some(at) => Stored::Param(at),
            None => Stored::Functions(self.functions_of(name)),
        };
        (stored != Stored::Functions(Vec::new())).then(|| (self.scope.key_of(to), stored))
    }

    fn arg(&mut self, expr: &Expr) -> Arg {
        let value = self.value(expr);
        let mut arg =
            Arg { value, param: None, place: None, functions: Vec::new(), key: None, word: None };
        match expr {
            Expr::Path(path) => {
                if let (Base::Var(name), true) = (path.base, path.fields.is_empty()) {
                    arg.param = self.scope.param(name);
                    arg.functions = self.functions_of(name);
                }
                let object = self.scope.object(path);
                arg.key = Some(object.key);
                arg.place = Some(object.place);
                if path.fields.is_empty() && matches!(path.base, Base::Call(_)) {
                    arg.word = match path.base {
                        Base::Call(name) => Some(self.scope.sym(name)),
                        _ => None,
                    };
                }
            }
            Expr::Text(text) => arg.word = Some(self.scope.sym(*text)),
            Expr::Temp(temp) => {
                arg.word = self.temp_names.get(temp).copied();
                // `foo(migrate_get_current())`: what a call gives, by its name.
                if let Some(name) = arg.word
                    && self.plain_temps.contains(temp)
                {
                    arg.place = Some(Place { root: Root::Call(name), fields: Vec::new() });
                }
            }
            _ => {}
        }
        arg
    }

    fn call(&mut self, call: &super::ir::Call) -> CallStep {
        let temp = self.temp(call.temp);
        let args: Vec<Arg> = call.args.iter().map(|arg| self.arg(arg)).collect();
        let mut step = CallStep {
            name: None,
            lock: None,
            object: None,
            wait: None,
            mutex: None,
            wake: None,
            register: Vec::new(),
            invoke: Invoke::Nothing,
            line: call.line,
            column: call.column,
            conditional: call.conditional,
            temp,
            args,
            forget: Vec::new(),
            predicate: self.predicates.values().any(|&var| var == temp),
        };
        for arg in &call.args {
            if let Expr::Path(path @ Path { address: true, .. }) = arg {
                step.forget.extend(self.forgets(path));
            }
        }
        match &call.callee {
            Callee::Name(name) => {
                let sym = self.scope.sym(*name);
                step.name = Some(sym);
                self.temp_names.insert(call.temp, sym);
                if call.args.is_empty() {
                    self.plain_temps.insert(call.temp);
                }
                match self.scope.param(*name) {
                    Some(at) => step.invoke = Invoke::Param(at),
                    None => self.named(sym, call, &mut step),
                }
            }
            Callee::Path(path) => {
                let key = self.scope.key_of(path);
                step.name = Some(key.name);
                step.invoke = Invoke::Hook(key);
            }
            Callee::Unknown => {}
        }
        step
    }

    fn named(&mut self, sym: Sym, call: &super::ir::Call, step: &mut CallStep) {
        let object = |at: Option<usize>| {
            let mut object = at.and_then(|at| call.args.get(at)).and_then(|arg| match arg {
                Expr::Path(path) => Some(self.scope.object(path)),
                _ => None,
            });
            if let Some(object) = &mut object
                && let Some(&other) = self.primitives.same.get(&object.key)
            {
                object.key = other;
            }
            object
        };
        let unknown = Object {
            key: Key { owner: super::place::UNKNOWN, name: sym },
            place: Place { root: Root::Unknown, fields: Vec::new() },
        };
        if let Some(&lock) = self.primitives.locks.get(&sym) {
            step.lock = Some(lock);
            let aio = &tables::locks().aio_context;
            let text = self.scope.program.text(sym);
            let is_aio = aio.lock.iter().chain(&aio.unlock).any(|name| name == text);
            step.object = match lock {
                LockCall::LockOf(key) | LockCall::UnlockOf(key) => Some(match object(Some(0)) {
                    // `bdrv_dirty_bitmap_lock(bitmap)` is of that bitmap.
                    Some(Object { mut place, .. }) => {
                        place.fields.push(key.name);
                        Object { key, place }
                    }
                    None => Object::only(key),
                }),
                _ if is_aio => Some(Object { key: AIO_CONTEXT, ..unknown }),
                _ => Some(object(Some(0)).unwrap_or(unknown)),
            };
            return;
        }
        if let Some(&at) = self.primitives.waits.get(&sym) {
            let wait = &tables::waits().waits[usize::from(at)];
            step.wait = Some(at);
            step.object = object(wait.object);
            step.mutex = object(wait.mutex);
        }
        if let Some(&at) = self.primitives.wakes.get(&sym) {
            step.wake = Some(at);
            step.object = object(tables::waits().wakes[usize::from(at)].object);
        }
        if let Some(rows) = self.primitives.registrars.get(&sym) {
            step.register.clone_from(rows);
        }
        if step.wait.is_none() && step.wake.is_none() && step.register.is_empty() {
            let functions = self.scope.program.lookup(self.scope.file, sym);
            if !functions.is_empty() {
                step.invoke = Invoke::Functions(functions.to_vec());
            } else if let Some(&callback) = self.primitives.callers.get(&sym)
                && let Some(arg) = step.args.get(callback)
                && !arg.functions.is_empty()
            {
                step.invoke = Invoke::Functions(arg.functions.clone());
            }
        }
    }
}
