//! The directory in which images are kept: who makes one there is alone with it.
//! Must not know: what an image is.

use super::LinkError;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// A cache directory that nobody else writes to meanwhile.
#[derive(Debug)]
pub struct Cache {
    pub folder: PathBuf,
    /// Held until it is closed. Without it one may only read: a directory that cannot
    /// be written to nobody writes to.
    _lock: Option<File>,
}

impl Cache {
    /// Waits for another run that makes an image there.
    pub fn enter(folder: &Path) -> Result<Cache, LinkError> {
        std::fs::create_dir_all(folder).map_err(|error| LinkError::cache(folder, &error))?;
        let path = folder.join("lock");
        let lock = OpenOptions::new().create(true).append(true).open(&path);
        // Where locks are not to be had it goes without, as it would alone.
        let lock = lock.or_else(|_| File::open(&path)).ok().filter(|file| file.lock().is_ok());
        Ok(Cache { folder: folder.into(), _lock: lock })
    }

    /// A name of the file `path` as it is now, whoever puts another in its place; and
    /// what keeps it.
    pub fn keep(path: &Path) -> Result<(File, PathBuf), LinkError> {
        use std::os::fd::AsRawFd;
        let file = File::open(path).map_err(|error| LinkError::cache(path, &error))?;
        let name = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        Ok((file, name.into()))
    }
}
