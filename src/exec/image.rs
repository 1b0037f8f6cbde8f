//! The image's side of a run: boots QEMU, and runs the executions of a job.
//! Must not know: who started it.

use super::kernel::boot::{self, Image};
use super::kernel::process;
use std::os::raw::{c_char, c_int};

/// Where the image begins (`glue/main.c`).
///
/// # Safety
/// `argv` has `argc` strings.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_main(
    image: &'static Image,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    process::same_addresses();
    // SAFETY: see above.
    let arguments: Vec<String> = (0..argc as usize)
        .map(|nth| unsafe { std::ffi::CStr::from_ptr(*argv.add(nth)) })
        .map(|text| text.to_string_lossy().into_owned())
        .collect();
    let task: boot::Body = std::sync::Arc::new(|_| Some(()));
    match boot::start(image, &arguments, task) {
        Ok(()) => {
            println!("booted");
            0
        }
        Err((ending, said)) => {
            println!("{ending:x?}\n{said}");
            1
        }
    }
}
