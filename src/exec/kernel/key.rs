//! What threads wait for, and how a wake-up finds them.
//! Must not know: the threads.

use super::state::Tid;

/// What a blocked thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A mutex, by address.
    Mutex(usize),
    /// A condition variable.
    Cond(usize),
    /// A futex word.
    Futex(usize),
    /// A read-write lock, semaphore, spin lock or once control.
    Lock(usize),
    /// The end of a thread.
    Thread(Tid),
    /// A signal for the thread itself.
    Signal,
    /// A change of a file, by its number in `Files`.
    File(usize),
    /// The page at an address.
    Page(usize),
    /// Time alone.
    Clock,
    /// What a scenario's task waits for.
    Scenario(usize),
}

/// Keys that a thread waits for, all at once. Most wake-ups concern few threads:
/// one bit for each of 64 kinds of key says at once that a key is not here.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Waits {
    keys: Vec<Key>,
    pub(super) bits: u64,
}

impl Key {
    /// Whether it is an address, which is another object on the other side of a pair.
    #[inline]
    pub fn is_memory(self) -> bool {
        matches!(self, Key::Mutex(_) | Key::Cond(_) | Key::Futex(_) | Key::Lock(_) | Key::Page(_))
    }

    pub(super) fn bit(self) -> u64 {
        let (kind, value) = match self {
            Key::Mutex(at) => (1, at >> 3),
            Key::Cond(at) => (2, at >> 3),
            Key::Futex(at) => (3, at >> 2),
            Key::Thread(tid) => (4, tid),
            Key::Signal => (5, 0),
            Key::File(nth) => (6, nth ^ nth >> 27),
            Key::Page(at) => (7, at >> 12),
            Key::Clock => (8, 0),
            Key::Scenario(nth) => (9, nth),
            Key::Lock(at) => (10, at >> 2),
        };
        1 << ((value.wrapping_add(kind * 11)) & 63)
    }
}

impl Waits {
    pub fn push(&mut self, key: Key) {
        self.bits |= key.bit();
        self.keys.push(key);
    }

    pub fn clear(&mut self) {
        self.bits = 0;
        self.keys.clear();
    }

    #[inline]
    pub fn contains(&self, key: &Key) -> bool {
        self.bits & key.bit() != 0 && self.keys.contains(key)
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bits == 0
    }
}

impl std::ops::Deref for Waits {
    type Target = [Key];

    fn deref(&self) -> &[Key] {
        &self.keys
    }
}

impl std::fmt::Debug for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.keys.fmt(f)
    }
}

impl Key {
    /// What waits so, and the address that it waits for, if it has one.
    pub fn name(self) -> (&'static str, usize) {
        match self {
            Key::Mutex(address) => ("lock", address),
            Key::Cond(address) => ("cond_wait", address),
            Key::Futex(address) => ("futex_wait", address),
            Key::Lock(address) => ("lock", address),
            Key::Thread(_) => ("join", 0),
            Key::Signal => ("sigwait", 0),
            Key::File(_) => ("recv", 0),
            Key::Page(_) => ("fault", 0),
            Key::Clock => ("sleep", 0),
            Key::Scenario(_) => ("park", 0),
        }
    }
}
