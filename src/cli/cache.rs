//! The cache of facts: a file per source file, by the content of both the source
//! and what reads it. A file appears whole or not at all, so that a kill or a
//! second run can do no harm. The only file that names postcard.
//! Must not know: what the facts are for.

use crate::scan::ir::FileFacts;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// The user's: `$XDG_CACHE_HOME/bqlcheck`, else `~/.cache/bqlcheck`; none
/// without a home.
pub fn directory() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.filter(|base| base.is_absolute()).or_else(home);
    Some(base?.join("bqlcheck"))
}

/// Where facts are kept.
pub struct Cache {
    /// None: nothing is kept.
    directory: Option<PathBuf>,
    /// Names of files under way, apart from those of other runs.
    next: AtomicU32,
}

impl Cache {
    /// In the user's directory. Without one, or if it is not wanted, nothing is
    /// kept.
    pub fn open(wanted: bool) -> Cache {
        let version = crate::scan::facts_version();
        let directory = directory().map(|base| base.join(format!("facts-{version}")));
        Cache { directory: directory.filter(|_| wanted), next: AtomicU32::new(0) }
    }

    fn file(&self, key: u128) -> Option<PathBuf> {
        let name = format!("{key:032x}");
        let directory = self.directory.as_ref()?;
        Some(directory.join(&name[..2]).join(&name[2..]))
    }

    /// The facts kept under `key`. What is not whole or not ours is as if it were
    /// not there.
    pub fn get(&self, key: u128) -> Option<FileFacts> {
        let bytes = fs::read(self.file(key)?).ok()?;
        let (sum, facts) = bytes.split_at_checked(16)?;
        (sum == check(facts)).then(|| postcard::from_bytes(facts).ok())?
    }

    /// Keeps facts under `key`. A cache that cannot be written to is no error.
    pub fn put(&self, key: u128, facts: &FileFacts) {
        let Some(file) = self.file(key) else { return };
        let Ok(bytes) = postcard::to_stdvec(facts) else { return };
        let Some(directory) = file.parent() else { return };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let partial = directory.join(format!("{}.{number}.partial", std::process::id()));
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(directory)?;
            let mut out = fs::File::create(&partial)?;
            out.write_all(&check(&bytes))?;
            out.write_all(&bytes)?;
            drop(out);
            fs::rename(&partial, &file)
        };
        if write().is_err() {
            let _ = fs::remove_file(&partial);
        }
    }
}

/// The sum in front of the facts.
fn check(bytes: &[u8]) -> [u8; 16] {
    crate::lock::fingerprint_of(bytes).to_le_bytes()
}
