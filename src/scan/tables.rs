//! The scan's knowledge of QEMU as data: lock functions, waits, roots, protocol
//! facts, contracts. The files are in models/.
//! Must not know: how any of it is used.

#![allow(
    dead_code,
    reason = "a row is read whole, so that a typo in a key is refused; not all is used"
)]

use super::finding::Grade;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// `models/scan/locks.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locks {
    /// Of the file's form.
    pub schema: u32,
    pub bql: BqlNames,
    pub mutex: MutexNames,
    /// Functions that take one certain lock.
    pub wrappers: Vec<Wrapper>,
    pub rcu: Pair,
    #[serde(rename = "aio-context")]
    pub aio_context: Pair,
    /// Documented orders.
    pub order: Vec<Order>,
    /// Classes of which all instances that meet are one lock.
    #[serde(rename = "shared-by-class")]
    pub shared_by_class: Vec<Shared>,
    /// Classes that are another by a pointer.
    pub same: Vec<Same>,
}

/// The BQL's functions, in both spellings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BqlNames {
    pub lock: Vec<String>,
    pub unlock: Vec<String>,
    /// Whether this thread holds it.
    pub locked: Vec<String>,
    /// Guards that take it unless it is held.
    pub guards: Vec<String>,
    /// Macros that assert the main thread, which holds it.
    #[serde(rename = "main-thread")]
    pub main_thread: Vec<String>,
    /// The mutex itself, as a condition wait names it.
    pub mutexes: Vec<String>,
}

/// Functions on a mutex that is their first argument.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MutexNames {
    pub lock: Vec<String>,
    pub trylock: Vec<String>,
    pub unlock: Vec<String>,
    /// Those of `lock` that may be called again by the holder.
    pub recursive: Vec<String>,
    /// Guards of one certain mutex, without an argument.
    pub guards: BTreeMap<String, String>,
}

/// A pair of functions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    pub lock: Vec<String>,
    pub unlock: Vec<String>,
}

/// `qemu_mutex_lock_ramlist()`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrapper {
    pub lock: String,
    pub unlock: String,
    pub class: String,
}

/// `first` is taken before `then`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    pub first: String,
    pub then: String,
    pub source: String,
}

/// A class whose instances are one lock where they meet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shared {
    pub class: String,
    pub source: String,
}

/// A class that is another.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Same {
    pub class: String,
    #[serde(rename = "as")]
    pub other: String,
    pub source: String,
}

/// `models/scan/waits.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waits {
    /// Of the file's form.
    pub schema: u32,
    pub waits: Vec<Wait>,
    pub wakes: Vec<Wake>,
}

/// A function that may block.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    pub function: String,
    /// The argument that says what is waited for.
    pub object: Option<usize>,
    pub kind: WaitKind,
    /// The argument that is the mutex released meanwhile.
    pub mutex: Option<usize>,
    /// Whether the BQL is released meanwhile.
    #[serde(default, rename = "releases-bql")]
    pub releases_bql: bool,
    /// Whether it ends after a while by itself.
    #[serde(default)]
    pub timed: bool,
    /// `yields`: a coroutine does not block there.
    #[serde(rename = "in-coroutine")]
    pub in_coroutine: Option<String>,
}

/// A function that ends a wait.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wake {
    pub function: String,
    pub object: Option<usize>,
    pub kind: WaitKind,
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitKind {
    Semaphore,
    Event,
    Condition,
    Join,
    NetworkRead,
    NetworkWrite,
    Sleep,
    Poll,
    CpuWork,
    Rcu,
    Exclusive,
    BqlCondition,
}

impl WaitKind {
    /// As in a message: "waits for the network".
    pub fn what(self) -> &'static str {
        match self {
            WaitKind::Semaphore => "waits for a semaphore",
            WaitKind::Event => "waits for an event",
            WaitKind::Condition | WaitKind::BqlCondition => "waits for a condition",
            WaitKind::Join => "joins a thread",
            WaitKind::NetworkRead => "reads from the network",
            WaitKind::NetworkWrite => "writes to the network",
            WaitKind::Sleep => "sleeps",
            WaitKind::Poll => "polls for events",
            WaitKind::CpuWork => "waits for work on a vCPU",
            WaitKind::Rcu => "waits for RCU readers",
            WaitKind::Exclusive => "waits for all vCPUs to stop",
        }
    }
}

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

/// `models/scan/guarded.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardedMembers {
    /// Of the file's form.
    pub schema: u32,
    pub guarded: Vec<Guarded>,
}

/// A member that some calls may only be given with a lock held.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guarded {
    #[serde(rename = "type")]
    pub ty: String,
    /// Down to the member: `rp_state.from_dst_file`.
    pub field: String,
    pub lock: String,
    pub calls: Vec<String>,
    pub text: String,
    pub source: String,
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

/// `models/scan/facts.json`: what the protocol says and no function shows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Of the file's form.
    pub schema: u32,
    pub facts: Vec<Fact>,
}

/// A protocol fact.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    pub id: String,
    /// The entry function of the thread, or several with `|`; none: any.
    pub root: Option<String>,
    /// `Type.member` of the hook that it speaks of.
    pub hook: Option<String>,
    /// Only the handlers of owners that set this member are called there.
    #[serde(rename = "only-owners-with")]
    pub only_owners_with: Option<String>,
    /// The kind of wait that it speaks of.
    pub wait: Option<WaitKind>,
    /// A function on the path.
    pub through: Option<String>,
    /// What a finding that it concerns is worth.
    pub grade: Grade,
    pub text: String,
    pub source: String,
}

/// `models/contracts/*.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contracts {
    /// Of the file's form.
    pub schema: u32,
    /// Of QEMU: the first that has them.
    pub version: String,
    pub hooks: Vec<HookContract>,
    pub functions: Vec<FunctionContract>,
    pub locks: Vec<LockContract>,
}

/// What a hook's caller must hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookContract {
    #[serde(rename = "type")]
    pub ty: String,
    pub field: String,
    pub bql: Held,
    /// Whether the hook may release it and take it again.
    #[serde(default, rename = "may-release")]
    pub may_release: bool,
    /// Whether a protocol fact speaks of it.
    #[serde(default, rename = "postcopy-fact")]
    pub postcopy_fact: bool,
    pub text: String,
    pub source: String,
}

/// What a function's caller must hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionContract {
    pub name: String,
    pub bql: Held,
    pub text: String,
    pub source: String,
}

/// A lock other than the BQL that a function's caller must hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockContract {
    pub function: String,
    /// `RAMState.bitmap_mutex`.
    pub lock: String,
    pub held: bool,
    pub text: String,
    pub source: String,
}

/// What is asked of the BQL.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    Held,
    NotHeld,
    Either,
}

fn read<T: DeserializeOwned>(text: &str, file: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("models/{file}: {error}"))
}

macro_rules! table {
    ($file:literal) => {
        read(include_str!(concat!("../../models/", $file)), $file)
    };
}

static LOCKS: LazyLock<Locks> = LazyLock::new(|| table!("scan/locks.json"));
static WAITS: LazyLock<Waits> = LazyLock::new(|| table!("scan/waits.json"));
static ROOTS: LazyLock<Roots> = LazyLock::new(|| table!("scan/roots.json"));
static THREADS: LazyLock<Threads> = LazyLock::new(|| table!("scan/threads.json"));
static GUARDED: LazyLock<GuardedMembers> = LazyLock::new(|| table!("scan/guarded.json"));
static FACTS: LazyLock<Facts> = LazyLock::new(|| table!("scan/facts.json"));
static CONTRACTS: LazyLock<[Contracts; 3]> = LazyLock::new(|| {
    [table!("contracts/7.2.json"), table!("contracts/10.0.json"), table!("contracts/10.2.json")]
});

/// The functions that take and release locks.
pub fn locks() -> &'static Locks {
    &LOCKS
}

/// The functions that wait and wake.
pub fn waits() -> &'static Waits {
    &WAITS
}

/// Where threads of control begin.
pub fn roots() -> &'static Roots {
    &ROOTS
}

/// The names of threads.
pub fn threads() -> &'static [Thread] {
    &THREADS.threads
}

/// Members that a lock guards.
pub fn guarded() -> &'static [Guarded] {
    &GUARDED.guarded
}

/// The protocol facts.
pub fn facts() -> &'static [Fact] {
    &FACTS.facts
}

/// The contracts of the version that a tree's `VERSION` names: of the newest
/// known one that is not newer.
pub fn contracts(version: &str) -> &'static Contracts {
    &CONTRACTS[edition(version).0]
}

/// Which of the tables of contracts speaks of a version, and what it is called.
pub fn edition(version: &str) -> (usize, &'static str) {
    let mut numbers = version.split('.').map(|part| part.trim().parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match version {
        // A tree without a version is taken to be new.
        (0, 0) => (1, "10.0"),
        version if version < (10, 0) => (0, "7.2"),
        version if version < (10, 2) => (1, "10.0"),
        _ => (2, "10.2"),
    }
}
