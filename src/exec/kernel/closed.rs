//! A call on a descriptor that is closed: whoever makes it has kept a file for longer
//! than that lives, and the next time the number may be another file's.
//! Must not know: which calls there are.

use super::file::FIRST;
use super::state::{Kernel, Tid};
use crate::exec::judge::{self, Breach};
use crate::lock::Rule;

/// What the call gives, which is the thread's fault if the descriptor was one of ours.
pub fn error(kernel: &mut Kernel, tid: Tid, fd: i32) -> Option<isize> {
    if fd >= FIRST && !kernel.threads[tid].scenario {
        let message = format!("{} uses a file that is closed", judge::name(kernel, tid));
        kernel.noted.push(Breach::new(Rule::UseAfterTeardown, message));
    }
    super::file::error(libc::EBADF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::kernel::state::Thread;

    fn noted(name: &str, scenario: bool, fd: i32) -> Vec<String> {
        let mut kernel = Kernel::default();
        kernel.threads.push(Thread { name: name.into(), scenario, ..Thread::default() });
        assert_eq!(error(&mut kernel, 0, fd), Some(-libc::EBADF as isize));
        kernel.noted.into_iter().map(|breach| breach.message).collect()
    }

    #[test]
    fn only_a_thread_that_had_the_descriptor_is_at_fault() {
        assert_eq!(noted("main", false, FIRST), ["main uses a file that is closed"]);
        assert_eq!(noted("main", false, -1), Vec::<String>::new());
        assert_eq!(noted("network", true, FIRST), Vec::<String>::new());
    }
}
