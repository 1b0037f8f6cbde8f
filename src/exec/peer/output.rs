//! What goes out, held back until it is flushed, as in a QEMUFile: the footer
//! of a section leaves with whatever comes next.
//! Must not know: what it is.

use super::wire::Wire;
use crate::sim::stream::Item;

/// IO_BUF_SIZE: that much is never held back.
const HELD: usize = 32768;

/// A QEMUFile that is written to. An error stays, and silences it.
pub(super) struct Output<W> {
    wire: W,
    held: Vec<u8>,
    error: Option<String>,
}

impl<W: Wire> Output<W> {
    pub fn new(wire: W) -> Self {
        Self { wire, held: Vec::new(), error: None }
    }

    pub fn put(&mut self, item: &Item) {
        item.write(&mut self.held);
        // `qemu_savevm_command_send` flushes; a package's blob is not held long.
        if self.held.len() >= HELD || matches!(item, Item::Command(_)) {
            self.flush();
        }
    }

    pub fn flush(&mut self) {
        let held = std::mem::take(&mut self.held);
        if self.error.is_none()
            && !held.is_empty()
            && let Err(error) = self.wire.send(&held)
        {
            self.error = Some(error.to_string());
        }
    }

    /// `qemu_file_get_error`.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// `qemu_file_set_error`: the first one stays.
    pub fn fail(&mut self, error: String) {
        self.error.get_or_insert(error);
    }

    /// `qemu_file_shutdown`.
    pub fn shutdown(&mut self) {
        self.wire.shutdown();
    }
}
