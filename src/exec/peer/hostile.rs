//! Streams that no source sends, for a destination to survive.
//! Must not know: what the destination makes of them.

use super::guest::Guest;
use crate::sim::stream::{Command, Item, PageSizes, Ram, SectionType};

/// What is wrong with the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hostile {
    /// After RUN, the section of a device that is not postcopiable.
    DeviceInPostcopy,
    /// LISTEN without a RAM_DISCARD before it, as a source sends whose pages
    /// are all clean.
    ListenAfterAdvise,
    /// RUN in the package, and no LISTEN.
    RunWithoutListen,
    /// It ends after so many bytes.
    Cut(usize),
}

impl Hostile {
    /// The whole stream; a precopy pass has sent no page.
    pub fn stream(self, guest: &Guest) -> Vec<u8> {
        let sizes = PageSizes { summary: 4096, target: 4096 };
        let mut items = vec![
            Item::Header,
            guest.configuration(),
            Item::Command(Command::OpenReturnPath),
            Item::Command(Command::Ping(1)),
            Item::Command(Command::PostcopyAdvise(Some(sizes))),
            guest.ram(SectionType::Start),
            Item::Ram(Ram::MemSize(guest.block_headers())),
            Item::Ram(Ram::Eos),
            guest.ram_footer(),
        ];
        if self != Self::ListenAfterAdvise {
            items.extend(guest.block_headers().into_iter().map(|block| {
                let ranges = vec![(0, block.used_length)];
                Item::Command(Command::PostcopyRamDiscard { block: block.idstr, ranges })
            }));
        }
        let mut package = Vec::new();
        if self != Self::RunWithoutListen {
            package.push(Item::Command(Command::PostcopyListen));
        }
        package.extend(guest.device_items());
        package.push(Item::Command(Command::PostcopyRun));
        items.push(Item::Command(Command::Packaged(Item::bytes(&package))));
        if self == Self::DeviceInPostcopy {
            items.extend(guest.device_items());
        }
        items.extend([
            guest.ram(SectionType::End),
            Item::Ram(Ram::Eos),
            guest.ram_footer(),
            Item::Eof,
        ]);
        let mut bytes = Item::bytes(&items);
        if let Self::Cut(length) = self {
            bytes.truncate(length);
        }
        bytes
    }
}
