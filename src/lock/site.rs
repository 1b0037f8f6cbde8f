//! Where something happens: a QEMU function and a step inside it.
//! Must not know: what the step does.

use std::fmt;

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
