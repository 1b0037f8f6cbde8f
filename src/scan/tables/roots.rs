//! `models/scan/roots.json` and `models/scan/threads.json`: where threads of control
//! begin, and what they are called.
//! Must not know: how any of it is used.

use serde::Deserialize;

/// `models/scan/roots.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roots {
    /// Of the file's form.
    pub schema: u32,
    pub registrars: Vec<Registrar>,
    pub hooks: Vec<HookRoot>,
    pub functions: Vec<FunctionRoot>,
    pub callers: Vec<Caller>,
}

/// A function from outside the tree that calls an argument before it returns,
/// with its own first argument or an element of it.
#[derive(Deserialize)]
pub struct Caller {
    pub function: String,
    /// The argument that is called.
    pub callback: usize,
}

/// A function that hands a callback to some thread.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registrar {
    pub function: String,
    /// The argument that is the callback.
    pub callback: usize,
    /// The argument that is the thread's name.
    pub name: Option<usize>,
    /// The argument that is the thread's handle.
    pub handle: Option<usize>,
    /// The argument that says in which context it runs.
    #[serde(rename = "where")]
    pub place: Option<usize>,
    pub context: ContextKind,
}

/// A member whose functions some thread calls.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookRoot {
    #[serde(rename = "type")]
    pub ty: String,
    pub field: String,
    pub context: ContextKind,
}

/// A function that is a root by its name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionRoot {
    /// With `*` at its end: every function that others can call whose name
    /// begins so.
    pub name: String,
    /// Only in files whose path begins so.
    #[serde(default)]
    pub under: String,
    pub context: ContextKind,
}

/// Who runs a root, and with what.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContextKind {
    /// A thread of its own, without the BQL.
    Thread,
    /// The main loop, with the BQL.
    Main,
    /// A coroutine that the main loop runs.
    MainCoroutine,
    /// A coroutine; who enters it is taken to be the main loop.
    Coroutine,
    /// An AioContext: the main loop's, or an IOThread's.
    Aio,
    /// A pool's thread, without the BQL.
    Worker,
    /// The RCU thread, with the BQL.
    Rcu,
    /// A vCPU's thread with the BQL.
    VcpuHeld,
    /// A vCPU's thread without the BQL.
    Vcpu,
    /// A vCPU's thread while all others stand still, without the BQL.
    Exclusive,
    /// The main thread before its loop, without the BQL at first.
    Startup,
    /// Whoever registers it.
    Registrar,
    /// The main loop, or the registrar's own main context.
    RegistrarOrMain,
    Signal,
}

/// `models/scan/threads.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threads {
    /// Of the file's form.
    pub schema: u32,
    pub threads: Vec<Thread>,
}

/// A thread's name as `-name debug-threads=on` shows it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thread {
    /// Its entry function.
    pub entry: String,
    pub name: String,
}
