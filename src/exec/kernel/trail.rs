//! The states that a migration goes through in an execution, in order: they are
//! looked at whenever C code of QEMU asks for an operation, so that all are seen
//! that another thread could notice.
//! Must not know: what the states mean.

use super::state::kernel;
use crate::sim::{PostcopyState, Side};
use std::ffi::CStr;
use std::os::raw::{c_char, c_int};
use std::sync::OnceLock;

/// What the image tells of itself (`glue/qemu/state.c`).
struct States {
    state: extern "C" fn(c_int) -> c_int,
    name: extern "C" fn(c_int) -> *const c_char,
}

static STATES: OnceLock<States> = OnceLock::new();

#[unsafe(no_mangle)]
extern "C" fn bqlcheck_states(
    state: extern "C" fn(c_int) -> c_int,
    name: extern "C" fn(c_int) -> *const c_char,
) {
    let _ = STATES.set(States { state, name });
}

/// Variables, as `glue/qemu/state.c` numbers them.
const SOURCE: c_int = 0;
const DESTINATION: c_int = 1;
const POSTCOPY: c_int = 2;

/// The values so far, of the variables that are watched.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    watched: &'static [c_int],
    last: [c_int; 3],
    values: Vec<(c_int, c_int)>,
}

/// From now on the states of a side are kept; an image that does not tell them has
/// none.
pub fn begin(side: Side) {
    let watched: &[c_int] = match side {
        Side::Source => &[SOURCE],
        Side::Destination => &[DESTINATION, POSTCOPY],
    };
    let Some(states) = STATES.get() else { return };
    let trail = &mut kernel().trail;
    *trail = Trail { watched, ..Trail::default() };
    for which in watched {
        trail.last[*which as usize] = (states.state)(*which);
    }
    trail.values.push((watched[0], trail.last[watched[0] as usize]));
}

/// Keeps what has changed.
#[inline]
pub fn look() {
    let trail = &mut kernel().trail;
    if !trail.watched.is_empty() {
        trail.look();
    }
}

/// All of it, by name: a `PostcopyState` in capitals, as `sim::Outcome` has it.
pub fn names() -> Vec<String> {
    look();
    let Some(states) = STATES.get() else { return Vec::new() };
    let named = kernel().trail.values.iter().map(|(which, value)| match *which {
        POSTCOPY => PostcopyState::from(*value as u64).to_string(),
        _ => {
            // SAFETY: one of the image's own literals.
            let name = unsafe { CStr::from_ptr((states.name)(*value)) };
            name.to_string_lossy().into_owned()
        }
    });
    named.collect()
}

/// The last `MigrationStatus`.
pub fn status() -> String {
    let is_status = |name: &String| name.starts_with(|letter: char| letter.is_ascii_lowercase());
    names().into_iter().rfind(is_status).unwrap_or_default()
}

impl Trail {
    fn look(&mut self) {
        let Some(states) = STATES.get() else { return };
        for which in self.watched {
            let (value, last) = ((states.state)(*which), &mut self.last[*which as usize]);
            if value != *last {
                *last = value;
                self.values.push((*which, value));
            }
        }
    }
}
