//! The pieces that a stream is a flat sequence of.
//! Must not know: which may follow which; the reader knows.

use super::command::Command;
use super::configuration::Configuration;
use super::ram::Ram;
use super::{QEMU_VM_FILE_MAGIC, QEMU_VM_FILE_VERSION, put_counted, put_u32};

pub(super) const EOF: u8 = 0x00;
pub(super) const VMDESCRIPTION: u8 = 0x06;
pub(super) const CONFIGURATION: u8 = 0x07;
pub(super) const COMMAND: u8 = 0x08;
pub(super) const FOOTER: u8 = 0x7e;

/// QEMU_VM_SECTION_*.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SectionType {
    Start = 1,
    Part = 2,
    End = 3,
    Full = 4,
}

impl SectionType {
    pub(super) fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Start),
            2 => Some(Self::Part),
            3 => Some(Self::End),
            4 => Some(Self::Full),
            _ => None,
        }
    }
}

/// Whose section it is; stated by START and FULL.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub idstr: String,
    pub instance_id: u32,
    pub version_id: u32,
}

/// The head of a section; `Ram` or `Device` items and a `Footer` follow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    pub kind: SectionType,
    pub section_id: u32,
    /// There for START and FULL only.
    pub identity: Option<Identity>,
}

/// One piece of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// QEMU_VM_FILE_MAGIC and version.
    Header,
    Configuration(Configuration),
    Section(Section),
    /// A record of a section of ram, or of the preempt channel.
    Ram(Ram),
    /// All of a device's section, up to its footer.
    Device(Vec<u8>),
    /// QEMU_VM_SECTION_FOOTER, with the section's id.
    Footer(u32),
    Command(Command),
    /// QEMU_VM_EOF.
    Eof,
    /// QEMU_VM_VMDESCRIPTION: JSON.
    Vmdesc(Vec<u8>),
}

impl Item {
    /// Appends its bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Header => {
                put_u32(out, QEMU_VM_FILE_MAGIC);
                put_u32(out, QEMU_VM_FILE_VERSION);
            }
            Self::Configuration(configuration) => {
                out.push(CONFIGURATION);
                configuration.write(out);
            }
            Self::Section(section) => {
                out.push(section.kind as u8);
                put_u32(out, section.section_id);
                if let Some(identity) = &section.identity {
                    put_counted(out, &identity.idstr);
                    put_u32(out, identity.instance_id);
                    put_u32(out, identity.version_id);
                }
            }
            Self::Ram(ram) => ram.write(out),
            Self::Device(bytes) => out.extend_from_slice(bytes),
            Self::Footer(section_id) => {
                out.push(FOOTER);
                put_u32(out, *section_id);
            }
            Self::Command(command) => {
                out.push(COMMAND);
                command.write(out);
            }
            Self::Eof => out.push(EOF),
            Self::Vmdesc(json) => {
                out.push(VMDESCRIPTION);
                put_u32(out, json.len() as u32);
                out.extend_from_slice(json);
            }
        }
    }

    /// The bytes of many.
    pub fn bytes<'a>(items: impl IntoIterator<Item = &'a Self>) -> Vec<u8> {
        let mut out = Vec::new();
        items.into_iter().for_each(|item| item.write(&mut out));
        out
    }
}
