//! A multifd channel: which one it is, then packets of pages (multifd.c).
//! Must not know: what the main channel says meanwhile.

use super::broken::Broken;
use super::input::Input;
use super::{TARGET_PAGE_SIZE, put_u32, put_u64};
use std::io::Read;

/// MULTIFD_MAGIC: the first bytes of a channel and of each packet.
pub const MULTIFD_MAGIC: u32 = 0x1122_3344;
/// MULTIFD_VERSION.
const VERSION: u32 = 1;
/// MULTIFD_FLAG_SYNC: the other side waits here for the main channel.
pub const MULTIFD_FLAG_SYNC: u32 = 1;
/// Offsets in a packet: MULTIFD_PACKET_SIZE, which is 512 KiB, in pages.
pub const MULTIFD_PAGES: usize = (512 << 10) / TARGET_PAGE_SIZE;
/// Of MultiFDPacket_t.
const RAMBLOCK: usize = 256;
/// Bytes in reserve: of MultiFDInit_t, of MultiFDPacket_t.
const UNUSED: [usize; 2] = [7 + 32, 4 + 24];

/// MultiFDInit_t: whose channel it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MultifdInit {
    /// Of the source; both sides must have the same.
    pub uuid: [u8; 16],
    pub id: u8,
}

/// MultiFDPacket_t, and the pages behind it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MultifdPacket {
    pub flags: u32,
    pub pages_alloc: u32,
    pub normal_pages: u32,
    /// Bytes of pages; 7.2 repeats the last in a packet without.
    pub next_packet_size: u32,
    pub packet_num: u64,
    /// Since 9.0; before that they travel on the main channel.
    pub zero_pages: u32,
    pub ramblock: String,
    /// Those of normal pages, of zero pages, and what 7.2 has left from before. Zeros
    /// fill it up to MULTIFD_PAGES.
    pub offset: Vec<u64>,
    /// The normal pages.
    pub pages: Vec<u8>,
}

impl MultifdInit {
    /// Appends its bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_u32(out, MULTIFD_MAGIC);
        put_u32(out, VERSION);
        out.extend_from_slice(&self.uuid);
        out.push(self.id);
        out.extend_from_slice(&[0; UNUSED[0]]);
    }
}

impl MultifdPacket {
    /// Whether MULTIFD_FLAG_SYNC is set.
    pub fn syncs(&self) -> bool {
        self.flags & MULTIFD_FLAG_SYNC != 0
    }

    /// The normal pages: offset in the block, and bytes.
    pub fn normal(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let normal = &self.offset[..self.normal_pages as usize];
        normal.iter().copied().zip(self.pages.chunks(TARGET_PAGE_SIZE))
    }

    /// The zero pages' offsets.
    pub fn zero(&self) -> &[u64] {
        let from = self.normal_pages as usize;
        &self.offset[from..from + self.zero_pages as usize]
    }

    /// Appends its bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_u32(out, MULTIFD_MAGIC);
        put_u32(out, VERSION);
        let words = [self.flags, self.pages_alloc, self.normal_pages, self.next_packet_size];
        words.iter().for_each(|word| put_u32(out, *word));
        put_u64(out, self.packet_num);
        put_u32(out, self.zero_pages);
        out.extend_from_slice(&[0; UNUSED[1]]);
        let mut ramblock = [0; RAMBLOCK];
        let name = &self.ramblock.as_bytes()[..self.ramblock.len().min(RAMBLOCK - 1)];
        ramblock[..name.len()].copy_from_slice(name);
        out.extend_from_slice(&ramblock);
        let filled = self.offset.iter().copied().chain(std::iter::repeat(0));
        filled.take(MULTIFD_PAGES).for_each(|offset| put_u64(out, offset));
        out.extend_from_slice(&self.pages);
    }

    /// `multifd_recv_unfill_packet`: magic and version are read.
    fn read<R: Read>(input: &mut Input<R>) -> Result<Self, Broken> {
        let what = "a multifd packet";
        let at = input.at();
        let flags = input.u32(what)?;
        if flags & !MULTIFD_FLAG_SYNC != 0 {
            let what = format!("multifd flags {flags:#x}: compressed pages, or no pages");
            return Err(Broken::malformed(at, what));
        }
        let at = input.at();
        let (pages_alloc, normal_pages) = (input.u32(what)?, input.u32(what)?);
        let (next_packet_size, packet_num) = (input.u32(what)?, input.u64(what)?);
        let zero_pages = input.u32(what)?;
        input.bytes(UNUSED[1], what)?;
        let used = u64::from(normal_pages) + u64::from(zero_pages);
        if used > u64::from(pages_alloc) || pages_alloc as usize > MULTIFD_PAGES {
            let what = format!(
                "{what} of {normal_pages} pages and {zero_pages} zero pages, where {pages_alloc} \
                 of {MULTIFD_PAGES} are allocated"
            );
            return Err(Broken::malformed(at, what));
        }
        let at = input.at();
        let mut ramblock = input.bytes(RAMBLOCK, what)?;
        let end = ramblock.iter().position(|byte| *byte == 0).unwrap_or(RAMBLOCK);
        ramblock.truncate(end);
        let ramblock = String::from_utf8(ramblock)
            .map_err(|_| Broken::malformed(at, "a multifd packet's block is not text"))?;
        let mut offset = Vec::with_capacity(MULTIFD_PAGES);
        for _ in 0..MULTIFD_PAGES {
            offset.push(input.u64(what)?);
        }
        let last = offset.iter().rposition(|offset| *offset != 0).map_or(0, |last| last + 1);
        offset.truncate(last.max(used as usize));
        let size = TARGET_PAGE_SIZE * normal_pages as usize;
        let pages = input.bytes(size, "the pages of a multifd packet")?;
        Ok(Self {
            flags,
            pages_alloc,
            normal_pages,
            next_packet_size,
            packet_num,
            zero_pages,
            ramblock,
            offset,
            pages,
        })
    }
}

/// Reads a channel.
pub struct MultifdReader<R> {
    input: Input<R>,
}

impl<R: Read> MultifdReader<R> {
    pub fn new(from: R) -> Self {
        Self { input: Input::new(from) }
    }

    fn head(&mut self, what: &str) -> Result<(), Broken> {
        let at = self.input.at();
        let (magic, version) = (self.input.u32(what)?, self.input.u32(what)?);
        if (magic, version) != (MULTIFD_MAGIC, VERSION) {
            let what = format!(
                "{what} of magic {magic:#x} and version {version}, not {MULTIFD_MAGIC:#x} and \
                 {VERSION}"
            );
            return Err(Broken::malformed(at, what));
        }
        Ok(())
    }

    /// What comes first.
    ///
    /// # Errors
    /// If the bytes end inside of it or are none that QEMU writes.
    pub fn init(&mut self) -> Result<MultifdInit, Broken> {
        let what = "a multifd channel's first packet";
        self.head(what)?;
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&self.input.bytes(16, what)?);
        let id = self.input.u8(what)?;
        self.input.bytes(UNUSED[0], what)?;
        Ok(MultifdInit { uuid, id })
    }

    /// The next packet; none where the bytes end between two.
    ///
    /// # Errors
    /// As for `init`.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<MultifdPacket>, Broken> {
        if !self.input.available(1)? {
            return Ok(None);
        }
        self.head("a multifd packet")?;
        MultifdPacket::read(&mut self.input).map(Some)
    }
}
