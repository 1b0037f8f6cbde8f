//! What can be wrong with a build, its link or this machine: a sentence each,
//! with a way out.
//! Must not know: where the sentence is printed.

use std::fmt;
use std::path::Path;

/// Why there is no image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkError {
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LinkError {}

impl LinkError {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> LinkError {
        LinkError { message: message.into(), help: help.into() }
    }

    /// A file of the build directory that is missing or cannot be understood.
    pub(super) fn build(path: &Path, problem: &str) -> LinkError {
        LinkError::new(
            format!("{}: {problem}", path.display()),
            "--build takes a directory in which QEMU was configured and built with ninja",
        )
    }

    /// A file of the source tree that is missing or cannot be read.
    pub(super) fn source(path: &Path, problem: &str) -> LinkError {
        LinkError::new(
            format!("{}: {problem}", path.display()),
            "the build was configured from that tree: it has to be there, and readable",
        )
    }

    /// The cache directory cannot be written to.
    pub(super) fn cache(path: &Path, error: &std::io::Error) -> LinkError {
        let help = match error.kind() {
            std::io::ErrorKind::StorageFull => {
                "make room there, or let --cache DIR name a directory elsewhere"
            }
            _ => "--cache DIR takes a directory that can be written to",
        };
        LinkError::new(format!("{}: {error}", path.display()), help)
    }

    /// The same, if it is that which a compiler or linker complains about.
    pub(super) fn full(path: &Path, said: &str) -> Option<LinkError> {
        // lld maps the file that it writes.
        let full = ["No space left on device", "ld terminated with signal 7 [Bus error]"];
        let full = full.iter().any(|words| said.contains(words));
        full.then(|| LinkError::cache(path, &std::io::ErrorKind::StorageFull.into()))
    }

    /// The compiler that QEMU was configured with cannot be started.
    pub(super) fn compiler(name: &str, error: &std::io::Error) -> LinkError {
        let message = format!("{name}: cannot be run: {error}");
        LinkError::new(message, "QEMU was configured with that compiler: install it again")
    }

    /// A program that cannot be started.
    pub(super) fn program(name: &str, package: &str, error: &std::io::Error) -> LinkError {
        let message = format!("{name}: cannot be run: {error}");
        LinkError::new(message, format!("install it: apt-get install {package}"))
    }

    /// `symbol` is wrapped, and neither the runtime nor our C defines it.
    pub(super) fn symbol(symbol: &str, needed_by: &str) -> LinkError {
        let message = format!("{symbol}: {needed_by} needs it and nothing defines it");
        let help = match symbol.strip_prefix("__wrap_") {
            Some(name) => format!(
                "take \"{name}\" off models/exec/libc.json, or define {symbol} in \
                 src/exec/kernel/ or src/exec/glue/"
            ),
            None => "define it in a file of src/exec/glue/; or the build is not whole: \
                     run ninja there"
                .into(),
        };
        LinkError::new(message, help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_full_is_no_fault_of_what_was_compiled() {
        let said = "/usr/bin/as: Fatal error: can't close main.o: No space left on device";
        let error = LinkError::full(Path::new("cache"), said).expect("it says so");
        assert_eq!(error.message, "cache: no storage space");
        let help = "make room there, or let --cache DIR name a directory elsewhere";
        assert_eq!(error.help, help);
        let killed = "collect2: fatal error: ld terminated with signal 7 [Bus error]";
        assert!(LinkError::full(Path::new("cache"), killed).is_some());
        assert_eq!(LinkError::full(Path::new("cache"), "main.c:1: error: No such file"), None);
    }
}
