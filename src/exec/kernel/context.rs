//! A stack for each thread: of QEMU in the arena, with a block of thread-local
//! storage of its own; of a scenario's task outside, so that putting the arena back
//! leaves it alone. A switch between two is a handful of instructions.
//! Must not know: operations.

use super::arena;
use std::arch::{asm, naked_asm};
use std::sync::atomic::{AtomicUsize, Ordering};

/// glibc's `struct pthread`, which lies above the thread pointer; more than any
/// version has.
const CONTROL: usize = 2304;

/// Where a C thread is while it does not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Its stack pointer.
    sp: usize,
    /// Its thread pointer (%fs).
    fs: usize,
    /// Its stack, from and to, if that is one that another thread may have next.
    stack: (usize, usize),
}

/// The thread pointer that this process began with; the main thread keeps it.
static HOME: AtomicUsize = AtomicUsize::new(0);
/// Bytes of thread-local storage below the thread pointer.
static BELOW: AtomicUsize = AtomicUsize::new(0);
/// A copy of the storage as it was before the first thread, in the arena.
static IMAGE: AtomicUsize = AtomicUsize::new(0);

/// Saves the callee's registers and the stack pointer to `save`, goes on at `to`.
#[unsafe(naked)]
unsafe extern "C" fn switch(save: *mut usize, to: usize) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// The first frame of a thread: calls r12 with r13 and gives what it returns to
/// r14, which does not come back. The zero below it ends a backtrace.
#[unsafe(naked)]
unsafe extern "C" fn first_frame() {
    naked_asm!("mov rdi, r13", "call r12", "mov rdi, rax", "call r14", "ud2")
}

/// Reads the thread pointer.
fn thread_pointer() -> usize {
    let fs: usize;
    // SAFETY: on x86-64 the word at %fs:0 is the thread pointer itself.
    unsafe { asm!("mov {}, fs:0", out(reg) fs, options(nostack, readonly)) };
    fs
}

fn set_thread_pointer(fs: usize) {
    // SAFETY: `fs` is a block that `Context::new` laid out, or the process's own.
    // Linux lets user space write it since 5.9 (AT_HWCAP2); `prepare` has checked.
    unsafe { asm!("wrfsbase {}", in(reg) fs, options(nostack)) };
}

/// Takes the storage of the calling thread as the image of all others; done when
/// the first thread is made, which is in a constructor.
fn prepare() {
    if HOME.load(Ordering::Relaxed) != 0 {
        return;
    }
    // SAFETY: getauxval reads a constant; the range copied is the static storage
    // of this thread, as the dynamic linker laid it out.
    unsafe {
        const HWCAP2_FSGSBASE: u64 = 1 << 1;
        assert!(
            libc::getauxval(libc::AT_HWCAP2) & HWCAP2_FSGSBASE != 0,
            "this machine does not let a program set its thread pointer (FSGSBASE)"
        );
        let fs = thread_pointer();
        let mut lowest = fs;
        libc::dl_iterate_phdr(Some(lowest_block), (&raw mut lowest).cast());
        let below = (fs - lowest).next_multiple_of(64);
        let image = arena::allocate(below + CONTROL, 64);
        std::ptr::copy_nonoverlapping((fs - below) as *const u8, image, below + CONTROL);
        HOME.store(fs, Ordering::Relaxed);
        BELOW.store(below, Ordering::Relaxed);
        IMAGE.store(image as usize, Ordering::Relaxed);
    }
}

/// Finds the lowest of the blocks of static storage near the thread pointer.
unsafe extern "C" fn lowest_block(
    info: *mut libc::dl_phdr_info,
    _: usize,
    lowest: *mut libc::c_void,
) -> i32 {
    // SAFETY: the dynamic linker gives a valid `info`, `prepare` the pointer.
    unsafe {
        let (block, lowest) = ((*info).dlpi_tls_data as usize, lowest.cast::<usize>());
        // Blocks that were made later lie elsewhere.
        let near = thread_pointer().saturating_sub(1 << 20);
        if block > near && block < *lowest {
            *lowest = block;
        }
    }
    0
}

/// The first frame at the top of a stack: gives the stack pointer.
///
/// # Safety
/// Nobody runs on the stack.
unsafe fn lay_out(
    top: usize,
    body: usize,
    argument: usize,
    end: extern "C" fn(usize) -> !,
) -> usize {
    let sp = top - 128 - 8;
    // r15, r14, r13, r12, rbx, rbp, then where to go on.
    let first = first_frame as *const () as usize;
    for (nth, word) in [0, end as usize, argument, body, 0, 0, first, 0].into_iter().enumerate() {
        // SAFETY: within the stack.
        unsafe { (sp as *mut usize).add(nth).write(word) };
    }
    // After six pops and the return the stack is aligned for a call.
    assert_eq!((sp + 7 * 8) % 16, 0);
    sp
}

/// A thread on a stack, from and to, with `block` for its thread-local storage.
///
/// # Safety
/// Both are large enough, and nobody uses them.
unsafe fn begin(
    stack: (usize, usize),
    block: usize,
    body: usize,
    argument: usize,
    end: extern "C" fn(usize) -> !,
) -> Context {
    let (below, image) = (BELOW.load(Ordering::Relaxed), IMAGE.load(Ordering::Relaxed));
    // SAFETY: see above.
    unsafe {
        std::ptr::copy_nonoverlapping(image as *const u8, block as *mut u8, below + CONTROL);
        let fs = block + below;
        // The thread pointer points at itself; the words beside it (the vector of
        // dynamic blocks, the descriptor) stay those of the OS thread.
        (fs as *mut usize).write(fs);
        Context { sp: lay_out(stack.1, body, argument, end), fs, stack }
    }
}

impl Context {
    /// A thread that will call `body` with `argument` and hand what that returns
    /// to `end`. The main thread keeps the thread pointer of the process, since
    /// constructors have left addresses of its storage in QEMU's lists. None if the
    /// arena is full.
    pub fn new(
        main: bool,
        body: usize,
        argument: usize,
        end: extern "C" fn(usize) -> !,
    ) -> Option<Context> {
        prepare();
        // SAFETY: both blocks are fresh and as large as `lay_out` has it.
        unsafe {
            if main {
                let fs = HOME.load(Ordering::Relaxed);
                let sp = lay_out(arena::main_stack().end, body, argument, end);
                return Some(Context { sp, fs, stack: (0, 0) });
            }
            let stack = arena::stack()?;
            let block = arena::allocate(BELOW.load(Ordering::Relaxed) + CONTROL, 64);
            let room = !block.is_null();
            room.then(|| begin((stack.start, stack.end), block as usize, body, argument, end))
        }
    }

    /// The same with the stack and the storage of a thread that has ended.
    pub fn again(self, body: usize, argument: usize, end: extern "C" fn(usize) -> !) -> Context {
        let below = BELOW.load(Ordering::Relaxed);
        super::race::fresh(self.stack.0, self.stack.1 - self.stack.0);
        super::race::fresh(self.fs - below, below + CONTROL);
        // SAFETY: both are of `new`, and nobody uses them any more.
        unsafe { begin(self.stack, self.fs - below, body, argument, end) }
    }

    /// Whether another thread can have its stack, once this one has ended.
    pub fn has_own_stack(&self) -> bool {
        self.stack.0 != 0
    }

    /// A task of ours that will call `body`, which does not return, with `argument`.
    pub fn on(stack: &Stack, body: usize, argument: usize) -> Context {
        prepare();
        let sp = stack.0 + STACK_OF_TASK - 128 - 8;
        let words = [0, 0, argument, body, 0, 0, first_frame as *const () as usize, 0];
        for (nth, word) in words.into_iter().enumerate() {
            // SAFETY: the top of the stack, as in `new`.
            unsafe { (sp as *mut usize).add(nth).write(word) };
        }
        Context { sp, fs: HOME.load(Ordering::Relaxed), stack: (0, 0) }
    }

    /// Goes on at `to`, until somebody switches to what is then at `save`.
    ///
    /// # Safety
    /// `to` was left by this function or laid out by the two above.
    pub unsafe fn switch(save: *mut Context, to: Context) {
        // SAFETY: see above; `save` belongs to the stack that runs.
        unsafe {
            if (*save).fs != to.fs {
                set_thread_pointer(to.fs);
            }
            switch(&raw mut (*save).sp, to.sp);
        }
    }

    /// The host's side: the stack of the process.
    pub fn host() -> Context {
        prepare();
        Context { sp: 0, fs: HOME.load(Ordering::Relaxed), stack: (0, 0) }
    }
}

/// Bytes of a task's stack.
const STACK_OF_TASK: usize = 256 << 10;

/// A stack for a task of ours, outside of the arena; with a page below it that
/// nothing may touch.
#[derive(Debug)]
pub struct Stack(usize);

impl Default for Stack {
    fn default() -> Stack {
        // SAFETY: a fresh mapping, whose lowest page is made inaccessible.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let at = libc::mmap(std::ptr::null_mut(), STACK_OF_TASK, protection, flags, -1, 0);
            assert!(at != libc::MAP_FAILED, "no memory for the stack of a task");
            libc::mprotect(at, arena::PAGE, libc::PROT_NONE);
            Stack(at as usize)
        }
    }
}

impl Stack {
    /// One that is never freed: from and to.
    pub fn forever() -> std::ops::Range<usize> {
        let stack = std::mem::ManuallyDrop::new(Stack::default());
        stack.0 + arena::PAGE..stack.0 + STACK_OF_TASK
    }

    /// One that both sides of a pair have.
    pub fn shared() -> Stack {
        let at = super::shared::map(STACK_OF_TASK);
        // SAFETY: the lowest page of the fresh mapping.
        unsafe { libc::mprotect(at as *mut _, arena::PAGE, libc::PROT_NONE) };
        Stack(at)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: mapped above, and nobody runs on it.
        unsafe { libc::munmap(self.0 as *mut _, STACK_OF_TASK) };
    }
}
