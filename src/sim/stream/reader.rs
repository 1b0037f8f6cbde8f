//! A stream, piece by piece, as a destination would read it.
//!
//! Nothing in a stream says how long a device's section is; only the code that
//! loads it knows. It is taken to end at the first footer with the section's id
//! that something follows which may follow a section. The test over a real
//! stream compares that with the lengths which its VMDESC states.
//!
//! Must not know: what the pieces are for.

use super::broken::Broken;
use super::command::Command;
use super::configuration::Configuration;
use super::input::Input;
use super::item::{
    COMMAND, CONFIGURATION, EOF, FOOTER, Identity, Item, Section, SectionType, VMDESCRIPTION,
};
use super::ram::{Layout, Ram};
use super::{QEMU_VM_FILE_MAGIC, QEMU_VM_FILE_VERSION};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

/// Bytes of the section `timer` (`vmstate_timers`): three values.
const TIMER: usize = 24;

/// Where in the stream the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Begin,
    Between,
    InRam(u32),
    InDevice(u32),
    BeforeFooter(u32),
    /// On the preempt channel, which is records of ram and nothing else.
    Preempt,
    AfterEof,
    End,
}

/// Reads a stream.
pub struct Reader<R> {
    input: Input<R>,
    layout: Layout,
    place: Place,
    /// Idstr of each section id that a START or FULL has named.
    names: BTreeMap<u32, String>,
    last_block: Option<Arc<str>>,
}

impl<R: Read> Reader<R> {
    /// Of a stream from its header on.
    pub fn new(from: R, layout: Layout) -> Self {
        let input = Input::new(from);
        Self { input, layout, place: Place::Begin, names: BTreeMap::new(), last_block: None }
    }

    /// Of what comes over a new connection after a recovery: no header, and
    /// the section ids of before. So is all that follows RUN.
    pub fn resumed<S: Read>(&self, from: S) -> Reader<S> {
        let input = Input::new(from);
        let (layout, names) = (self.layout.clone(), self.names.clone());
        Reader { input, layout, place: Place::Between, names, last_block: None }
    }

    /// Of what is in a package of this stream.
    pub fn package<'a>(&self, blob: &'a [u8]) -> Reader<&'a [u8]> {
        self.resumed(blob)
    }

    /// Of the preempt channel.
    pub fn preempt(from: R, layout: Layout) -> Self {
        Self { place: Place::Preempt, ..Self::new(from, layout) }
    }

    /// Bytes of the pieces read so far.
    pub fn at(&self) -> u64 {
        self.input.at()
    }

    /// The next piece; none where the bytes end between two pieces.
    ///
    /// # Errors
    /// If the bytes end inside of a piece or are none that QEMU writes.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Item>, Broken> {
        let may_end = matches!(self.place, Place::Between | Place::AfterEof | Place::End);
        if may_end && !self.input.available(1)? {
            return Ok(None);
        }
        match self.place {
            Place::Begin => self.header(),
            Place::Between => self.between(),
            Place::InRam(section_id) => {
                let ram = Ram::read(&mut self.input, &self.layout, &mut self.last_block)?;
                if ram == Ram::Eos {
                    self.place = Place::BeforeFooter(section_id);
                }
                Ok(Item::Ram(ram))
            }
            Place::InDevice(section_id) => self.device(section_id),
            Place::BeforeFooter(section_id) => self.footer(section_id),
            Place::Preempt => {
                let ram = Ram::read(&mut self.input, &self.layout, &mut self.last_block)?;
                if ram == Ram::Eos {
                    self.place = Place::End;
                }
                Ok(Item::Ram(ram))
            }
            Place::AfterEof => self.vmdesc(),
            Place::End => {
                Err(Broken::malformed(self.input.at(), "bytes after the end of the stream"))
            }
        }
        .map(Some)
    }

    /// All that is left.
    ///
    /// # Errors
    /// As for `next`.
    pub fn all(mut self) -> Result<Vec<Item>, Broken> {
        let mut items = Vec::new();
        while let Some(item) = self.next()? {
            items.push(item);
        }
        Ok(items)
    }

    fn header(&mut self) -> Result<Item, Broken> {
        let magic = self.input.u32("the header")?;
        if magic != QEMU_VM_FILE_MAGIC {
            return Err(Broken::malformed(0, format!("no migration stream: magic {magic:#x}")));
        }
        let version = self.input.u32("the header")?;
        if version != QEMU_VM_FILE_VERSION {
            let what = format!("stream version {version}, not {QEMU_VM_FILE_VERSION}");
            return Err(Broken::malformed(4, what));
        }
        self.place = Place::Between;
        Ok(Item::Header)
    }

    fn between(&mut self) -> Result<Item, Broken> {
        let at = self.input.at();
        let byte = self.input.u8("a section")?;
        match byte {
            EOF => {
                self.place = Place::AfterEof;
                Ok(Item::Eof)
            }
            CONFIGURATION => Ok(Item::Configuration(Configuration::read(&mut self.input)?)),
            COMMAND => Ok(Item::Command(Command::read(&mut self.input)?)),
            _ => match SectionType::of(byte) {
                Some(kind) => self.section(at, kind),
                None => Err(Broken::malformed(at, format!("unknown section type {byte:#x}"))),
            },
        }
    }

    fn section(&mut self, at: u64, kind: SectionType) -> Result<Item, Broken> {
        let what = "the head of a section";
        let section_id = self.input.u32(what)?;
        let identity = if matches!(kind, SectionType::Start | SectionType::Full) {
            let idstr = self.input.counted(what)?;
            let (instance_id, version_id) = (self.input.u32(what)?, self.input.u32(what)?);
            self.names.insert(section_id, idstr.clone());
            Some(Identity { idstr, instance_id, version_id })
        } else {
            None
        };
        self.place = match self.names.get(&section_id).map(String::as_str) {
            Some("ram") => Place::InRam(section_id),
            Some(_) => Place::InDevice(section_id),
            None => {
                let what = format!("section {section_id} was never started");
                return Err(Broken::malformed(at, what));
            }
        };
        Ok(Item::Section(Section { kind, section_id, identity }))
    }

    fn device(&mut self, section_id: u32) -> Result<Item, Broken> {
        let mut footer = vec![FOOTER];
        footer.extend_from_slice(&section_id.to_be_bytes());
        // Its values are clocks, in which anything may be found.
        let timer = self.names.get(&section_id).is_some_and(|idstr| idstr == "timer");
        let mut length = if timer { TIMER } else { 0 };
        loop {
            // With the byte after the footer, where there is one.
            let more = self.input.available(length + footer.len() + 1)?;
            let ahead = self.input.ahead(usize::MAX).get(length..).unwrap_or_default();
            if ahead.len() < footer.len() {
                return Err(self.input.cut("a device's section"));
            }
            let follows = !more || matches!(ahead[footer.len()], EOF..=4 | COMMAND);
            if ahead.starts_with(&footer) && follows {
                break;
            }
            let next = ahead[1..].iter().position(|byte| *byte == FOOTER);
            length += 1 + next.unwrap_or(ahead.len() - 1);
        }
        self.place = Place::BeforeFooter(section_id);
        Ok(Item::Device(self.input.bytes(length, "a device's section")?))
    }

    fn footer(&mut self, section_id: u32) -> Result<Item, Broken> {
        let at = self.input.at();
        let (mark, found) = (self.input.u8("a footer")?, self.input.u32("a footer")?);
        if mark != FOOTER || found != section_id {
            let what = format!("no footer of section {section_id}: {mark:#x}, {found:#x}");
            return Err(Broken::malformed(at, what));
        }
        self.place = Place::Between;
        Ok(Item::Footer(section_id))
    }

    fn vmdesc(&mut self) -> Result<Item, Broken> {
        let at = self.input.at();
        let byte = self.input.u8("VMDESC")?;
        if byte != VMDESCRIPTION {
            return Err(Broken::malformed(at, format!("{byte:#x} after QEMU_VM_EOF")));
        }
        let length = self.input.u32("VMDESC")?;
        self.place = Place::End;
        Ok(Item::Vmdesc(self.input.bytes(length as usize, "VMDESC")?))
    }
}
