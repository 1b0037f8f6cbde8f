//! What is inside of a section of ram: blocks, pages, marks (ram.c).
//! Must not know: whether the pages are wanted.

use super::broken::Broken;
use super::input::Input;
use super::{TARGET_PAGE_SIZE, put_counted, put_u16, put_u64};
use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

const ZERO: u64 = 0x02;
const MEM_SIZE: u64 = 0x04;
const PAGE: u64 = 0x08;
const EOS: u64 = 0x10;
const CONTINUE: u64 = 0x20;
const XBZRLE: u64 = 0x40;
const HOOK: u64 = 0x80;
const MULTIFD_FLUSH: u64 = 0x200;
/// ENCODING_FLAG_XBZRLE.
const ENCODING: u8 = 1;

/// What both sides know of the block list and the stream does not tell.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Layout {
    /// With postcopy-ram: the blocks of huge pages, which state their page size.
    pub huge: BTreeSet<String>,
    /// With x-ignore-shared: each block states its guest-physical address.
    pub ignore_shared: bool,
}

/// A block, as RAM_SAVE_FLAG_MEM_SIZE lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockHeader {
    pub idstr: String,
    pub used_length: u64,
    pub page_size: Option<u64>,
    pub address: Option<u64>,
}

/// What is in a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Content {
    Zero,
    /// TARGET_PAGE_SIZE bytes.
    Data(Vec<u8>),
    /// The encoded difference to what was sent before.
    Xbzrle(Vec<u8>),
}

/// A page of a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    pub block: Arc<str>,
    /// RAM_SAVE_FLAG_CONTINUE: the block is the last one's and is not repeated.
    pub continues: bool,
    /// In bytes, from the begin of the block.
    pub offset: u64,
    pub content: Content,
}

/// One record of a section of ram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ram {
    MemSize(Vec<BlockHeader>),
    Page(Page),
    /// RAM_SAVE_FLAG_HOOK: registrations follow, outside of this stream (RDMA).
    Hook,
    MultifdFlush,
    /// RAM_SAVE_FLAG_EOS: the end of the section.
    Eos,
}

impl Ram {
    /// `last` is the block of the page before, on the same channel.
    pub(super) fn read<R: Read>(
        input: &mut Input<R>,
        layout: &Layout,
        last: &mut Option<Arc<str>>,
    ) -> Result<Self, Broken> {
        let at = input.at();
        let word = input.u64("a record of ram")?;
        let flags = word & (TARGET_PAGE_SIZE as u64 - 1);
        let offset = word - flags;
        if flags == MEM_SIZE {
            return Self::read_blocks(input, layout, offset);
        }
        // A mark has no offset; QEMU would not look at one.
        match word {
            HOOK => return Ok(Self::Hook),
            MULTIFD_FLUSH => return Ok(Self::MultifdFlush),
            EOS => return Ok(Self::Eos),
            _ => {}
        }
        match flags & !CONTINUE {
            kind @ (ZERO | PAGE | XBZRLE) => {
                let continues = flags & CONTINUE != 0;
                if !continues {
                    *last = Some(input.counted("a page's block")?.into());
                }
                let Some(block) = last.clone() else {
                    let what = "a page continues a block, and there was none";
                    return Err(Broken::malformed(at, what));
                };
                let content = match kind {
                    ZERO => Self::read_zero(input)?,
                    PAGE => Content::Data(input.bytes(TARGET_PAGE_SIZE, "a page")?),
                    _ => Self::read_xbzrle(input)?,
                };
                Ok(Self::Page(Page { block, continues, offset, content }))
            }
            _ => {
                let what = format!("unknown flags of ram: {flags:#x} at {offset:#x}");
                Err(Broken::malformed(at, what))
            }
        }
    }

    /// `parse_ramblocks`: blocks until their lengths make up the total.
    fn read_blocks<R: Read>(
        input: &mut Input<R>,
        layout: &Layout,
        total: u64,
    ) -> Result<Self, Broken> {
        let what = "the list of blocks";
        let mut blocks = Vec::new();
        let mut rest = total;
        while rest > 0 {
            let at = input.at();
            let idstr = input.counted(what)?;
            let used_length = input.u64(what)?;
            let huge = layout.huge.contains(&idstr);
            let page_size = huge.then(|| input.u64(what)).transpose()?;
            let address = layout.ignore_shared.then(|| input.u64(what)).transpose()?;
            let Some(less) = rest.checked_sub(used_length) else {
                let what = format!("block {idstr} of {used_length} bytes, where {rest} are left");
                return Err(Broken::malformed(at, what));
            };
            rest = less;
            blocks.push(BlockHeader { idstr, used_length, page_size, address });
        }
        Ok(Self::MemSize(blocks))
    }

    fn read_zero<R: Read>(input: &mut Input<R>) -> Result<Content, Broken> {
        let at = input.at();
        match input.u8("a zero page")? {
            0 => Ok(Content::Zero),
            byte => Err(Broken::malformed(at, format!("a zero page with value {byte}"))),
        }
    }

    fn read_xbzrle<R: Read>(input: &mut Input<R>) -> Result<Content, Broken> {
        let at = input.at();
        let (encoding, length) = (input.u8("an XBZRLE page")?, input.u16("an XBZRLE page")?);
        if encoding != ENCODING || usize::from(length) > TARGET_PAGE_SIZE {
            let what = format!("an XBZRLE page of encoding {encoding} and {length} bytes");
            return Err(Broken::malformed(at, what));
        }
        Ok(Content::Xbzrle(input.bytes(length.into(), "an XBZRLE page")?))
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::MemSize(blocks) => {
                let total: u64 = blocks.iter().map(|block| block.used_length).sum();
                put_u64(out, total | MEM_SIZE);
                for block in blocks {
                    put_counted(out, &block.idstr);
                    put_u64(out, block.used_length);
                    let fields = block.page_size.iter().chain(&block.address);
                    fields.for_each(|field| put_u64(out, *field));
                }
            }
            Self::Page(page) => page.write(out),
            Self::Hook => put_u64(out, HOOK),
            Self::MultifdFlush => put_u64(out, MULTIFD_FLUSH),
            Self::Eos => put_u64(out, EOS),
        }
    }
}

impl Page {
    fn write(&self, out: &mut Vec<u8>) {
        let kind = match self.content {
            Content::Zero => ZERO,
            Content::Data(_) => PAGE,
            Content::Xbzrle(_) => XBZRLE,
        };
        let more = if self.continues { CONTINUE } else { 0 };
        put_u64(out, self.offset | kind | more);
        if !self.continues {
            put_counted(out, &self.block);
        }
        match &self.content {
            Content::Zero => out.push(0),
            Content::Data(bytes) => out.extend_from_slice(bytes),
            Content::Xbzrle(bytes) => {
                out.push(ENCODING);
                put_u16(out, bytes.len() as u16);
                out.extend_from_slice(bytes);
            }
        }
    }
}
