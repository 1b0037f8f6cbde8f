//! Names for the addresses of an image: functions with file and line, variables,
//! members of structs. From its DWARF, as far as it is asked for.
//! Must not know: who asks. Addresses are the image's own, as if loaded at 0.

mod elf;
mod frames;
mod types;

use elf::Elf;
use frames::Frames;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use types::Types;

/// A function that an address lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub function: String,
    /// From the root of QEMU's tree, where it lies in it.
    pub file: String,
    pub line: u32,
}

/// The names of an image.
pub struct Symbols {
    elf: Elf,
    types: Types,
    frames: Frames,
    source: PathBuf,
    /// What was asked for before.
    known: Mutex<HashMap<u64, Vec<Frame>>>,
    members: Mutex<HashMap<Member, Option<String>>>,
}

/// A question for a member: of what, its first member, and the offset.
type Member = (String, Option<String>, u64);

impl Symbols {
    /// Reads `image`, which was built from the tree `source`.
    pub fn open(image: &Path, source: &Path) -> Result<Symbols, String> {
        let told = |error: String| format!("{}: {error}", image.display());
        let bytes = std::fs::read(image).map_err(|error| told(error.to_string()))?;
        let elf = Elf::parse(&bytes).map_err(told)?;
        let types = Types::new(&elf).map_err(told)?;
        let frames = Frames::new(&types).map_err(told)?;
        let source = source.canonicalize().unwrap_or_else(|_| source.to_path_buf());
        Ok(Symbols {
            elf,
            types,
            frames,
            source,
            known: Mutex::default(),
            members: Mutex::default(),
        })
    }

    /// The functions at `address`: what was inlined there first, each inside the
    /// next. Empty if it is in none.
    pub fn frames(&self, address: u64) -> Vec<Frame> {
        let mut known = self.known.lock().expect("no panic while held");
        let frames = known.entry(address).or_insert_with(|| {
            let mut frames = self.frames.at(address);
            frames.iter_mut().for_each(|frame| frame.file = self.shorten(&frame.file));
            frames
        });
        frames.clone()
    }

    /// The line of source at `address`, without what is round it; empty if the file is
    /// not there.
    pub fn line(&self, address: u64) -> String {
        let frames = self.frames(address);
        let Some(frame) = frames.first() else { return String::new() };
        let text = std::fs::read_to_string(self.source.join(&frame.file)).unwrap_or_default();
        let line = (frame.line as usize).checked_sub(1).and_then(|nth| text.lines().nth(nth));
        line.unwrap_or_default().trim().to_string()
    }

    /// The variable that `address` lies in, with the member: `mis_current`,
    /// `rcu_sync_lock`, `bql.lock`.
    pub fn variable(&self, address: u64) -> Option<String> {
        let found = self.elf.variable(address)?;
        let name = &found.name;
        let offset = address - found.address;
        if offset == 0 {
            // The debug information need not be searched for that.
            return Some(name.clone());
        }
        let member = self.member((String::new(), None, address), || {
            self.types.variable_member(name, found.address, offset)
        });
        match member {
            Some(member) => Some(joined(name, &member)),
            None => Some(format!("{name}+{offset:#x}")),
        }
    }

    /// The debug information is searched once for each question.
    fn member(&self, of: Member, search: impl FnOnce() -> Option<String>) -> Option<String> {
        let mut known = self.members.lock().expect("no panic while held");
        known.entry(of).or_insert_with(search).clone()
    }

    /// Where the variable `name` is.
    pub fn address(&self, name: &str) -> Option<u64> {
        self.elf.address(name)
    }

    /// The member at `offset` of what the variable `name` points to:
    /// `main_thread_load_event`, `load_threads[2].sem`.
    pub fn pointed(&self, name: &str, offset: u64) -> Option<String> {
        let of = (name.to_string(), None, offset);
        self.member(of, || self.types.pointed_member(name, None, offset))
    }

    /// The member at `offset` of the array that `first` points to, the first member of
    /// what the variable `name` points to: `[1].sem_sync`.
    pub fn element(&self, name: &str, first: &str, offset: u64) -> Option<String> {
        let of = (name.to_string(), Some(first.to_string()), offset);
        self.member(of, || self.types.pointed_member(name, Some(first), offset))
    }

    /// `file` without `..` and without the tree that it is in.
    fn shorten(&self, file: &str) -> String {
        let mut path = PathBuf::new();
        for part in Path::new(file).components() {
            match part {
                Component::ParentDir => drop(path.pop()),
                Component::CurDir => {}
                other => path.push(other),
            }
        }
        path.strip_prefix(&self.source).unwrap_or(&path).display().to_string()
    }
}

/// `member` of `variable`, which may be an array.
fn joined(variable: &str, member: &str) -> String {
    match member.starts_with(['[', '+']) || member.is_empty() {
        true => format!("{variable}{member}"),
        false => format!("{variable}.{member}"),
    }
}
