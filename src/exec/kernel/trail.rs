//! The values that some variables of the image go through in an execution, in order:
//! they are looked at whenever its C code asks for an operation, so that all are seen
//! that another thread could notice.
//! Must not know: what the variables are.

use super::state::kernel;
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

/// The values so far, of the variables that are watched.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    watched: &'static [c_int],
    last: [c_int; 3],
    /// Each change: the variable, by its number in `glue/qemu/state.c`, and its value;
    /// first of all, the first variable as it was at the beginning.
    pub values: Vec<(c_int, c_int)>,
}

/// From now on the values of `watched` are kept; an image that does not tell them has
/// none.
pub fn begin(watched: &'static [c_int]) {
    let (Some(states), Some(first)) = (STATES.get(), watched.first()) else { return };
    let trail = &mut kernel().trail;
    *trail = Trail { watched, ..Trail::default() };
    for which in watched {
        trail.last[*which as usize] = (states.state)(*which);
    }
    trail.values.push((*first, trail.last[*first as usize]));
}

/// Keeps what has changed.
#[inline]
pub fn look() {
    let trail = &mut kernel().trail;
    if !trail.watched.is_empty() {
        trail.look();
    }
}

/// What the image calls a value of its first two variables.
pub fn name(value: c_int) -> String {
    let Some(states) = STATES.get() else { return String::new() };
    // SAFETY: one of the image's own literals.
    unsafe { CStr::from_ptr((states.name)(value)) }.to_string_lossy().into_owned()
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
