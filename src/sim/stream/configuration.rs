//! QEMU_VM_CONFIGURATION: the machine's name and what depends on it
//! (savevm.c: `vmstate_configuration`).
//! Must not know: whether two machines fit.

use super::broken::Broken;
use super::input::Input;
use super::{put_counted, put_u32};
use std::io::Read;

/// QEMU_VM_SUBSECTION.
const SUBSECTION: u8 = 0x05;

/// The configuration section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Configuration {
    /// The machine type.
    pub machine: String,
    pub subsections: Vec<Subsection>,
}

/// A subsection of it, as bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subsection {
    pub name: String,
    pub version: u32,
    pub bytes: Vec<u8>,
}

impl Configuration {
    pub(super) fn read<R: Read>(input: &mut Input<R>) -> Result<Self, Broken> {
        let what = "the configuration";
        let length = input.u32(what)?;
        let machine = input.text(length as usize, what)?;
        let mut subsections = Vec::new();
        // No section type of the stream is 5: what follows tells itself apart.
        while input.available(1)? && input.ahead(1) == [SUBSECTION] {
            input.u8(what)?;
            subsections.push(Subsection::read(input)?);
        }
        Ok(Self { machine, subsections })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put_u32(out, self.machine.len() as u32);
        out.extend_from_slice(self.machine.as_bytes());
        for subsection in &self.subsections {
            out.push(SUBSECTION);
            put_counted(out, &subsection.name);
            put_u32(out, subsection.version);
            out.extend_from_slice(&subsection.bytes);
        }
    }
}

impl Subsection {
    /// Nothing in the stream says how long it is: the three there are, are known.
    fn read<R: Read>(input: &mut Input<R>) -> Result<Self, Broken> {
        let at = input.at();
        let name = input.counted("the configuration")?;
        let version = input.u32(&name)?;
        let bytes = match name.as_str() {
            "configuration/target-page-bits" => input.bytes(4, &name)?,
            "configuration/uuid" => input.bytes(16, &name)?,
            "configuration/capabilities" => {
                let count = input.u32(&name)?;
                let mut bytes = count.to_be_bytes().to_vec();
                for _ in 0..count {
                    put_counted(&mut bytes, &input.counted(&name)?);
                }
                bytes
            }
            _ => {
                let what = format!("a configuration subsection of unknown length: {name}");
                return Err(Broken::malformed(at, what));
            }
        };
        Ok(Self { name, version, bytes })
    }
}
