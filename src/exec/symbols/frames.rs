//! Addresses to functions and lines. The only file that names addr2line.
//! Must not know: types and variables.

use super::Frame;
use super::types::{Reader, Types};

/// Where code came from.
pub struct Frames(addr2line::Context<Reader>);

impl Frames {
    /// Reads little of it: units are parsed when they are asked for.
    pub fn new(types: &Types) -> Result<Frames, String> {
        let context = addr2line::Context::from_arc_dwarf(types.sections());
        Ok(Frames(context.map_err(|error| error.to_string())?))
    }

    /// What was inlined at `address` first, then what it is inlined in.
    pub fn at(&self, address: u64) -> Vec<Frame> {
        let mut all = Vec::new();
        let Ok(mut frames) = self.0.find_frames(address).skip_all_loads() else {
            return all;
        };
        while let Ok(Some(frame)) = frames.next() {
            let function = frame.function.and_then(|name| Some(name.raw_name().ok()?.into_owned()));
            let place = frame.location;
            all.push(Frame {
                function: function.unwrap_or_default(),
                file: place.as_ref().and_then(|place| place.file).unwrap_or_default().into(),
                line: place.and_then(|place| place.line).unwrap_or_default(),
            });
        }
        all.retain(|frame| !frame.function.is_empty());
        all
    }
}
