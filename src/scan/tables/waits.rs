//! `models/scan/waits.json`: the functions that wait and wake.
//! Must not know: how any of it is used.

use serde::Deserialize;

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
