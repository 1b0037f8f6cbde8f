//! Where something happens: a QEMU function and a step inside it.
//! Must not know: what the step does.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// A place in QEMU's code, named so that it can be grepped for in QEMU.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Site {
    /// QEMU's function, in QEMU's spelling.
    pub function: &'static str,
    /// The step in that function: a call or a line in QEMU's own words.
    pub step: &'static str,
}

/// Names the site of an operation: `at("postcopy_pause_incoming", "qemu_sem_wait")`.
pub const fn at(function: &'static str, step: &'static str) -> Site {
    Site { function, step }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.function, self.step)
    }
}

/// `text`, kept for the life of the program: names that come from outside, of which
/// there are few.
pub fn interned(text: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    match known.get(text) {
        Some(text) => text,
        None => {
            let text: &'static str = Box::leak(text.into());
            known.insert(text);
            text
        }
    }
}
