//! Where text goes: stdout, stderr, the files of `--out`.
//! Must not know: what the text says.

use super::exit::Failure;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Prints to stdout. A reader that went away (`| head`) is no error.
pub fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if let Err(error) = written {
        assert!(error.kind() == ErrorKind::BrokenPipe, "cannot write to stdout: {error}");
    }
}

/// Prints a line to stderr, if there is anybody to read it.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes `text` to `directory`/`name`, making the directory.
pub fn write(directory: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let path = directory.join(name);
    let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, text));
    written.map_err(|error| {
        Failure::new(format!("{}: {error}", path.display()), "--out takes a directory to write to")
    })
}
