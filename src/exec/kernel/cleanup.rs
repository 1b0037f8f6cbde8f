//! How a thread ends: its cleanup handlers (`pthread_cleanup_push`), the destructors
//! of its thread-local objects, those of what it keeps by key, in glibc's order.
//! `pthread_exit` unwinds the stack as glibc does, so that frames with something to
//! clean up (`-fexceptions`) do so.
//! Must not know: what is cleaned up.

use super::state::kernel;
use super::{arena, process};
use std::ffi::c_void;

/// PTHREAD_DESTRUCTOR_ITERATIONS.
const ROUNDS: usize = 4;

/// What is left to be done when a thread ends.
#[derive(Clone, Debug, Default)]
pub struct Cleanup {
    /// Handlers that C has pushed, innermost last: jump buffers on its stack.
    handlers: Vec<usize>,
    /// Destructors of thread-local objects, and the objects; the latest first.
    objects: Vec<(usize, usize)>,
    /// What `pthread_exit` was given.
    value: usize,
    /// The object that the unwinder works with; none: it has not begun.
    exception: usize,
}

#[repr(C)]
struct Unwind {
    _opaque: [u8; 0],
}

/// An action of the unwinder: there is no further frame.
const END_OF_STACK: i32 = 16;
/// Its reason code for going on.
const NO_REASON: i32 = 0;

type Stop = unsafe extern "C-unwind" fn(i32, i32, u64, usize, *mut Unwind, usize) -> i32;

unsafe extern "C-unwind" {
    fn _Unwind_ForcedUnwind(exception: usize, stop: Stop, argument: usize) -> i32;
    fn _Unwind_GetCFA(context: *mut Unwind) -> usize;
    fn longjmp(buffer: *mut c_void, value: i32) -> !;
}

fn current() -> &'static mut Cleanup {
    let state = kernel();
    &mut state.threads[state.current].cleanup
}

/// A handler is pushed, the jump buffer that leads to it.
pub fn push(buffer: usize) {
    current().handlers.push(buffer);
}

/// It is popped.
pub fn pop(buffer: usize) {
    current().handlers.retain(|handler| *handler != buffer);
}

/// A thread-local object will have to be destroyed.
pub fn object(destructor: usize, object: usize) {
    current().objects.push((destructor, object));
}

/// `pthread_exit`.
pub fn exit(value: usize) -> ! {
    current().value = value;
    go_on()
}

/// A handler is done: on to the next.
pub fn go_on() -> ! {
    if current().exception == 0 {
        // Not on the stack, which is unwound. An _Unwind_Exception has 32 bytes; zero
        // is of no language, and nobody deletes it.
        // SAFETY: a fresh block.
        unsafe {
            let block = arena::allocate(32, 16);
            std::ptr::write_bytes(block, 0, 32);
            current().exception = block as usize;
        }
    }
    // SAFETY: the frames above are C's, and ours without anything to drop.
    let code = unsafe { _Unwind_ForcedUnwind(current().exception, stop, 0) };
    process::crash(format!("pthread_exit cannot unwind the stack ({code})"))
}

/// Asked at each frame on the way: a handler of a frame that is left has its turn.
unsafe extern "C-unwind" fn stop(
    _: i32,
    actions: i32,
    _: u64,
    _: usize,
    context: *mut Unwind,
    _: usize,
) -> i32 {
    let cleanup = current();
    let last = actions & END_OF_STACK != 0;
    // SAFETY: the unwinder's own context; where the frame at hand begins.
    let frame = unsafe { _Unwind_GetCFA(context) };
    if let Some(buffer) = cleanup.handlers.pop_if(|buffer| last || *buffer < frame) {
        // SAFETY: `pthread_cleanup_push` has filled it, in a frame that is still whole.
        unsafe { longjmp(buffer as *mut c_void, 1) };
    }
    if last {
        process::returned(cleanup.value);
    }
    NO_REASON
}

/// The thread's function has returned, or its stack is unwound: destroys what is the
/// thread's own, until nothing is left or it was tried often enough.
pub fn destroy() {
    while let Some((destructor, object)) = current().objects.pop() {
        call(destructor, object);
    }
    for _ in 0..ROUNDS {
        let mut any = false;
        for key in 0..kernel().keys.len() {
            let state = kernel();
            let kept = state.threads[state.current].specific.get_mut(key).map(std::mem::take);
            let destructor = state.keys[key].filter(|destructor| *destructor != 0);
            if let (Some(kept), Some(destructor)) = (kept.filter(|kept| *kept != 0), destructor) {
                any = true;
                call(destructor, kept);
            }
        }
        if !any {
            break;
        }
    }
}

fn call(destructor: usize, object: usize) {
    // SAFETY: what `pthread_key_create` or `__cxa_thread_atexit_impl` was given.
    let destructor: extern "C" fn(usize) = unsafe { std::mem::transmute(destructor) };
    destructor(object);
}
