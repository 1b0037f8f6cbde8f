//! A guest of few pages and its devices, as `-M none -m 64K` has them.
//! Must not know: how they travel.

use crate::sim::Version;
use crate::sim::stream::{
    BlockHeader, Command, Configuration, Content, Identity, Item, Section, SectionType, Subsection,
    TARGET_PAGE_SIZE,
};

/// MAX_DISCARDS_PER_COMMAND.
const DISCARDS: usize = 12;

/// A block of RAM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    pub idstr: String,
    /// A byte that the page is full of; 0 is a zero page.
    pub pages: Vec<u8>,
}

/// A device, or what else has a section of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    pub section_id: u32,
    pub idstr: String,
    pub version_id: u32,
    pub bytes: Vec<u8>,
}

/// What is migrated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guest {
    /// The machine type.
    pub machine: String,
    /// The binary logarithm of a page's size, where the stream has to say it.
    pub page_bits: Option<u32>,
    pub ram_section_id: u32,
    pub blocks: Vec<Block>,
    pub devices: Vec<Device>,
}

impl Guest {
    /// What a source of this version sends for `-M none`: the block `ram`, and
    /// the sections `timer` and `globalstate` of a guest that runs.
    pub fn none(version: Version, pages: Vec<u8>) -> Self {
        let old = version == Version::V7_2;
        let mut runstate = vec![0; 100];
        runstate[..8].copy_from_slice(b"running\0");
        if !old {
            // has_vm_was_suspended, after 32 bytes of the name.
            runstate[32] = 1;
        }
        let device = |section_id, idstr: &str, version_id, bytes| Device {
            section_id,
            idstr: idstr.into(),
            version_id,
            bytes,
        };
        Self {
            machine: "none".into(),
            page_bits: None,
            ram_section_id: if old { 2 } else { 1 },
            blocks: vec![Block { idstr: "ram".into(), pages }],
            devices: vec![
                // cpu_ticks_offset, unused, cpu_clock_offset: 8 bytes each.
                device(0, "timer", 2, vec![0; 24]),
                device(
                    if old { 4 } else { 3 },
                    "globalstate",
                    1,
                    [&8_u32.to_be_bytes()[..], &runstate].concat(),
                ),
            ],
        }
    }

    /// The first item after the header.
    pub fn configuration(&self) -> Item {
        let machine = self.machine.clone();
        let subsections = self.page_bits.map(|bits| Subsection {
            name: "configuration/target-page-bits".into(),
            version: 1,
            bytes: bits.to_be_bytes().to_vec(),
        });
        Item::Configuration(Configuration { machine, subsections: Vec::from_iter(subsections) })
    }

    /// Of `RAM_SAVE_FLAG_MEM_SIZE`.
    pub fn block_headers(&self) -> Vec<BlockHeader> {
        let header = |block: &Block| BlockHeader {
            idstr: block.idstr.clone(),
            used_length: (block.pages.len() * TARGET_PAGE_SIZE) as u64,
            page_size: None,
            address: None,
        };
        self.blocks.iter().map(header).collect()
    }

    /// What is in a page of the block.
    pub fn content(&self, block: usize, page: usize) -> Content {
        match self.blocks[block].pages[page] {
            0 => Content::Zero,
            byte => Content::Data(vec![byte; TARGET_PAGE_SIZE]),
        }
    }

    /// What was in a page that the guest writes to once it has been sent: data where
    /// it becomes zero, and now and then zero where it becomes data.
    pub(super) fn earlier(&self, block: usize, page: usize) -> Content {
        match self.blocks[block].pages[page] {
            byte if byte != 0 && page % 2 == 1 => Content::Zero,
            byte => Content::Data(vec![byte ^ 0x80; TARGET_PAGE_SIZE]),
        }
    }

    /// `qemu_savevm_state_complete_precopy_non_iterable`.
    pub fn device_items(&self) -> Vec<Item> {
        let items = self.devices.iter().map(|device| {
            let identity = Some(Identity {
                idstr: device.idstr.clone(),
                instance_id: 0,
                version_id: device.version_id,
            });
            let section_id = device.section_id;
            [
                Item::Section(Section { kind: SectionType::Full, section_id, identity }),
                Item::Device(device.bytes.clone()),
                Item::Footer(section_id),
            ]
        });
        items.flatten().collect()
    }

    /// The head of a section of ram.
    pub fn ram(&self, kind: SectionType) -> Item {
        let identity = (kind == SectionType::Start).then(|| Identity {
            idstr: "ram".into(),
            instance_id: 0,
            version_id: 4,
        });
        Item::Section(Section { kind, section_id: self.ram_section_id, identity })
    }

    /// The end of a section of ram.
    pub fn ram_footer(&self) -> Item {
        Item::Footer(self.ram_section_id)
    }

    /// `postcopy_each_ram_send_discard`.
    pub(super) fn discards(&self, dirty: &[Vec<bool>]) -> Vec<Command> {
        let mut commands = Vec::new();
        for (block, row) in self.blocks.iter().zip(dirty) {
            let mut ranges: Vec<(u64, u64)> = Vec::new();
            let size = TARGET_PAGE_SIZE as u64;
            for (page, _) in row.iter().enumerate().filter(|(_, dirty)| **dirty) {
                let at = page as u64 * size;
                match ranges.last_mut() {
                    Some((start, length)) if *start + *length == at => *length += size,
                    _ => ranges.push((at, size)),
                }
            }
            commands.extend(ranges.chunks(DISCARDS).map(|ranges| Command::PostcopyRamDiscard {
                block: block.idstr.clone(),
                ranges: ranges.to_vec(),
            }));
        }
        commands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_pages_is_said_where_it_is_not_taken_for_granted() {
        let mut guest = Guest::none(Version::V10_0, vec![1]);
        let bytes = |guest: &Guest| {
            let mut out = Vec::new();
            guest.configuration().write(&mut out);
            out
        };
        assert_eq!(bytes(&guest), b"\x07\0\0\0\x04none");
        guest.page_bits = Some(12);
        let said = b"\x07\0\0\0\x04none\x05\x1econfiguration/target-page-bits\0\0\0\x01\0\0\0\x0c";
        assert_eq!(bytes(&guest), said);
    }
}
