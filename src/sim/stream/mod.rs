//! The bytes of a migration: QEMU's stream, its packages, the preempt channel,
//! multifd channels and the return path, read and written. What is written is, byte for byte,
//! what was read.
//! Must not know: who carries the bytes, or what becomes of a page.

mod bitmap;
mod broken;
mod command;
mod configuration;
mod input;
mod item;
mod multifd;
mod ram;
mod reader;
mod reply;

pub use bitmap::ReceivedBitmap;
pub use broken::{Broken, Kind};
pub use command::{Command, PageSizes};
pub use configuration::{Configuration, Subsection};
pub use item::{Identity, Item, Section, SectionType};
pub use multifd::{
    MULTIFD_FLAG_SYNC, MULTIFD_MAGIC, MULTIFD_PAGES, MultifdInit, MultifdPacket, MultifdReader,
};
pub use ram::{BlockHeader, Content, Layout, Page, Ram};
pub use reader::Reader;
pub use reply::{Replies, Reply};

/// QEMU_VM_FILE_MAGIC, "QEVM".
pub const QEMU_VM_FILE_MAGIC: u32 = 0x5145_564d;
/// QEMU_VM_FILE_VERSION.
pub const QEMU_VM_FILE_VERSION: u32 = 3;
/// TARGET_PAGE_SIZE of x86: the low bits of a page's offset are its flags.
pub const TARGET_PAGE_SIZE: usize = 4096;
/// MIGRATION_RESUME_ACK_VALUE.
pub const MIGRATION_RESUME_ACK_VALUE: u32 = 1;

/// A name with its length before it, as most of the stream has them.
fn put_counted(out: &mut Vec<u8>, name: &str) {
    // QEMU's id strings are `char[256]`: longer ones cannot be asked for.
    let name = &name.as_bytes()[..name.len().min(255)];
    out.push(name.len() as u8);
    out.extend_from_slice(name);
}

fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}
