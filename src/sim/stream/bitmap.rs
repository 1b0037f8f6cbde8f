//! Which pages of a block the destination has: what a recovery is told by.
//! Must not know: when it is asked for.

use super::broken::Broken;
use super::input::Input;
use super::put_u64;
use std::io::Read;

/// RAMBLOCK_RECV_BITMAP_ENDING.
const ENDING: u64 = 0x0123_4567_89ab_cdef;

/// The receivedmap of a block (`ramblock_recv_bitmap_send`): a bit a page,
/// little endian, filled up to 8 bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReceivedBitmap {
    bytes: Vec<u8>,
}

impl ReceivedBitmap {
    /// Of a block with so many pages, none of them received.
    pub fn of(pages: usize) -> Self {
        Self { bytes: vec![0; pages.div_ceil(8).next_multiple_of(8)] }
    }

    /// Marks a page as received.
    pub fn set(&mut self, page: usize) {
        if let Some(byte) = self.bytes.get_mut(page / 8) {
            *byte |= 1 << (page % 8);
        }
    }

    /// Whether the page is there.
    pub fn received(&self, page: usize) -> bool {
        self.bytes.get(page / 8).is_some_and(|byte| byte & (1 << (page % 8)) != 0)
    }

    /// Its length on the wire; a source refuses one that is not its block's.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn read<R: Read>(input: &mut Input<R>) -> Result<Self, Broken> {
        let what = "a received bitmap";
        let at = input.at();
        let size = input.u64(what)?;
        let size = usize::try_from(size).ok().filter(|size| size.is_multiple_of(8));
        let Some(size) = size else {
            return Err(Broken::malformed(at, format!("{what} of no multiple of 8 bytes")));
        };
        let bytes = input.bytes(size, what)?;
        let at = input.at();
        let ending = input.u64(what)?;
        if ending != ENDING {
            let what = format!("{what} ends with {ending:#x} in place of {ENDING:#x}");
            return Err(Broken::malformed(at, what));
        }
        Ok(Self { bytes })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_u64(out, self.bytes.len() as u64);
        out.extend_from_slice(&self.bytes);
        put_u64(out, ENDING);
    }
}
