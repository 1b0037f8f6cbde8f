//! The bytes on their way from one end of a connection to the other.
//! Must not know: descriptors.

use super::file::File;
use super::state::{Kernel, Key};
use std::collections::VecDeque;

/// Bytes that a pipe holds before its writer waits, where nothing else is said.
const CAPACITY: usize = 208 << 10;

/// A queue of bytes between two ends.
#[derive(Clone, Debug, Default)]
pub struct Pipe {
    pub bytes: VecDeque<u8>,
    /// No more will come.
    pub ended: bool,
    /// Nobody will read.
    pub deaf: bool,
    /// The connection was cut: what is in it is lost.
    pub broken: bool,
    /// Bytes that went through.
    pub total: u64,
    /// Bytes that it holds, if not the usual.
    room: Option<usize>,
    /// It has stalled: so many bytes still come out of it.
    left: Option<usize>,
}

impl Pipe {
    /// One that holds so many bytes, if not the usual.
    pub fn new(room: Option<usize>) -> Pipe {
        Pipe { room, ..Pipe::default() }
    }

    /// Bytes that it takes now.
    pub fn room(&self) -> usize {
        self.room.unwrap_or(CAPACITY).saturating_sub(self.bytes.len())
    }

    /// Bytes that come out of it now.
    pub fn there(&self) -> usize {
        self.bytes.len().min(self.left.unwrap_or(usize::MAX))
    }

    /// So many bytes have come out of it.
    pub fn taken(&mut self, bytes: usize) {
        self.left = self.left.map(|left| left - bytes);
    }

    /// Nothing comes out of it any more after so many bytes, until it is cut.
    pub fn stall(&mut self, after: usize) {
        self.left = Some(after);
    }
}

/// `Key::File` of a pipe; files have theirs by number.
pub fn pipe_key(pipe: usize) -> Key {
    Key::File(pipe | 1 << 32)
}

/// What a reader of `file` waits for.
pub fn readable_key(kernel: &Kernel, file: usize) -> Key {
    match kernel.files.all[file] {
        File::Stream { from: Some(from), .. } => pipe_key(from),
        _ => Key::File(file),
    }
}

/// What a writer of `file` waits for.
pub fn writable_key(kernel: &Kernel, file: usize) -> Key {
    match kernel.files.all[file] {
        File::Stream { to: Some(to), .. } => pipe_key(to),
        _ => Key::File(file),
    }
}
