//! Variables and types as DWARF describes them, and the member at an offset. The
//! only file that names gimli.
//! Must not know: how the sections got into memory.

use super::elf::Elf;
use super::joined;
use gimli::{AttributeValue, UnitSectionOffset};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub type Reader = gimli::EndianArcSlice<gimli::LittleEndian>;
type Unit = gimli::Unit<Reader>;
type Entry = gimli::DebuggingInformationEntry<Reader>;

/// The debug information of an image.
pub struct Types {
    sections: Arc<gimli::Dwarf<Reader>>,
    /// Types that were asked for, by name, and variables with a star behind theirs: the
    /// entry that describes them.
    known: Mutex<HashMap<String, Option<UnitSectionOffset>>>,
}

impl Types {
    /// Reads little of it: units are parsed when they are asked for.
    pub fn new(elf: &Elf) -> Result<Types, String> {
        let load = |id: gimli::SectionId| -> Result<Reader, gimli::Error> {
            Ok(Reader::new(elf.section(id.name()), gimli::LittleEndian))
        };
        let sections = gimli::Dwarf::load(load).map_err(|error| error.to_string())?;
        Ok(Types { sections: Arc::new(sections), known: Mutex::default() })
    }

    /// All sections, for who reads other things in them.
    pub fn sections(&self) -> Arc<gimli::Dwarf<Reader>> {
        self.sections.clone()
    }

    /// The member at `offset` of what the variable `name` points to; or of the elements
    /// that `first` points to, the first member of that.
    pub fn pointed_member(&self, name: &str, first: Option<&str>, offset: u64) -> Option<String> {
        let (unit, entry) = self.entry(self.known(name)?)?;
        let whole = pointee(&unit, &entry)?;
        let Some(first) = first else { return member(self, &unit, whole, offset) };
        let whole = resolved(&unit, Some(whole))?;
        let part = children(&unit, &whole).into_iter().next()?;
        let begins = number(&part, gimli::DW_AT_data_member_location).unwrap_or(0) == 0;
        let part = Some(part).filter(|part| begins && self.named(&unit, part, first))?;
        let element = pointee(&unit, &part)?;
        let whole = resolved(&unit, unit.entry(element.offset()).ok())?;
        let long = size(&unit, &whole).filter(|long| *long > 0)?;
        let path = member(self, &unit, element, offset % long)?;
        Some(joined(&format!("[{}]", offset / long), &path))
    }

    /// The member at `offset` of the variable `name` at `address`.
    pub fn variable_member(&self, name: &str, address: u64, offset: u64) -> Option<String> {
        let mut expected = vec![gimli::DW_OP_addr.0];
        expected.extend(address.to_le_bytes());
        let at = self.find(|unit, entry| {
            let Some(AttributeValue::Exprloc(place)) =
                entry.attr(gimli::DW_AT_location).map(|attribute| attribute.value())
            else {
                return false;
            };
            let here = gimli::Reader::to_slice(&place.0).is_ok_and(|bytes| *bytes == expected[..]);
            entry.tag() == gimli::DW_TAG_variable
                && here
                && (self.named(unit, entry, name)
                    || entry.attr(gimli::DW_AT_specification).is_some())
        });
        let (unit, entry) = self.entry(at?)?;
        let described = match entry.attr(gimli::DW_AT_specification).map(|a| a.value()) {
            Some(AttributeValue::UnitRef(offset)) => unit.entry(offset).ok()?,
            _ => entry,
        };
        let described = of(&unit, &described)?;
        member(self, &unit, described, offset)
    }

    /// The entry of the variable `name`, looked for once.
    fn known(&self, name: &str) -> Option<UnitSectionOffset> {
        let wanted = |unit: &Unit, entry: &Entry| {
            let here = entry.attr(gimli::DW_AT_location).is_some();
            here && entry.tag() == gimli::DW_TAG_variable && self.named(unit, entry, name)
        };
        let mut known = self.known.lock().expect("no panic while held");
        *known.entry(name.to_string()).or_insert_with(|| self.find(wanted))
    }

    /// The first entry at the top of a unit for which `wanted` holds.
    fn find(&self, wanted: impl Fn(&Unit, &Entry) -> bool) -> Option<UnitSectionOffset> {
        let mut headers = self.sections.units();
        while let Ok(Some(header)) = headers.next() {
            let Ok(unit) = self.sections.unit(header) else { continue };
            let mut entries = unit.entries();
            // The unit itself, then its children, each skipped by its sibling.
            if !matches!(entries.next_dfs(), Ok(Some(_))) || entries.next_dfs().is_err() {
                continue;
            }
            loop {
                if let Some(entry) = entries.current().filter(|entry| wanted(&unit, entry)) {
                    return Some(entry.offset().to_unit_section_offset(&unit));
                }
                if !matches!(entries.next_sibling(), Ok(Some(_))) {
                    break;
                }
            }
        }
        None
    }

    /// The unit and the entry at `offset` of the section.
    fn entry(&self, offset: UnitSectionOffset) -> Option<(Unit, Entry)> {
        let mut headers = self.sections.units();
        while let Ok(Some(header)) = headers.next() {
            if let Some(at) = offset.to_unit_offset(&header) {
                let unit = self.sections.unit(header).ok()?;
                let entry = unit.entry(at).ok()?;
                return Some((unit, entry));
            }
        }
        None
    }

    fn named(&self, unit: &Unit, entry: &Entry, name: &str) -> bool {
        self.name(unit, entry).is_some_and(|have| have == name)
    }

    /// Its name, if it has one.
    fn name(&self, unit: &Unit, entry: &Entry) -> Option<String> {
        let value = entry.attr(gimli::DW_AT_name)?.value();
        let text = self.sections.attr_string(unit, value).ok()?;
        Some(gimli::Reader::to_string_lossy(&text).ok()?.into_owned())
    }
}

/// Members are not looked for in these, but for another part of them: a lock is
/// known by the name of the whole.
const WHOLE: [&str; 3] = ["Qemu", "pthread_", "GMutex"];

fn number(entry: &Entry, name: gimli::DwAt) -> Option<u64> {
    entry.attr(name)?.udata_value()
}

/// The entry of the type of `entry`.
fn of(unit: &Unit, entry: &Entry) -> Option<Entry> {
    match entry.attr(gimli::DW_AT_type)?.value() {
        AttributeValue::UnitRef(offset) => unit.entry(offset).ok(),
        _ => None,
    }
}

/// The type that `entry`, a pointer, points to.
fn pointee(unit: &Unit, entry: &Entry) -> Option<Entry> {
    let pointer = resolved(unit, of(unit, entry))?;
    of(unit, &pointer).filter(|_| pointer.tag() == gimli::DW_TAG_pointer_type)
}

/// `entry` without typedefs and qualifiers.
fn resolved(unit: &Unit, entry: Option<Entry>) -> Option<Entry> {
    let mut entry = entry?;
    // Types do not lead back to themselves but through pointers; broken ones may.
    for _ in 0..32 {
        match entry.tag() {
            gimli::DW_TAG_typedef
            | gimli::DW_TAG_const_type
            | gimli::DW_TAG_volatile_type
            | gimli::DW_TAG_atomic_type
            | gimli::DW_TAG_restrict_type => entry = of(unit, &entry)?,
            _ => return Some(entry),
        }
    }
    None
}

fn size(unit: &Unit, entry: &Entry) -> Option<u64> {
    let mut all = 1u64;
    let mut element = None;
    for _ in 0..32 {
        let entry = element.as_ref().unwrap_or(entry);
        match entry.tag() {
            gimli::DW_TAG_array_type => {
                let (count, next) = array(unit, entry)?;
                all = all.checked_mul(count)?;
                element = Some(next);
            }
            gimli::DW_TAG_pointer_type => {
                return all.checked_mul(number(entry, gimli::DW_AT_byte_size).unwrap_or(8));
            }
            _ => return all.checked_mul(number(entry, gimli::DW_AT_byte_size)?),
        }
    }
    None
}

/// Elements of all dimensions together, and their type.
fn array(unit: &Unit, entry: &Entry) -> Option<(u64, Entry)> {
    let element = resolved(unit, of(unit, entry))?;
    let mut count = 1;
    for part in children(unit, entry) {
        if part.tag() == gimli::DW_TAG_subrange_type {
            let upper = number(&part, gimli::DW_AT_upper_bound).map(|last| last.saturating_add(1));
            let own = number(&part, gimli::DW_AT_count).or(upper).unwrap_or(0);
            count = u64::saturating_mul(count, own);
        }
    }
    Some((count, element))
}

fn children(unit: &Unit, entry: &Entry) -> Vec<Entry> {
    let mut all = Vec::new();
    let Ok(mut tree) = unit.entries_tree(Some(entry.offset())) else { return all };
    let Ok(root) = tree.root() else { return all };
    let mut below = root.children();
    while let Ok(Some(child)) = below.next() {
        all.extend(unit.entry(child.entry().offset()));
    }
    all
}

/// The path to what is at `offset` of `entry`; empty for the whole of it.
fn member(types: &Types, unit: &Unit, entry: Entry, offset: u64) -> Option<String> {
    let mut path = String::new();
    let mut entry = entry;
    let mut offset = offset;
    // So deep is no struct of QEMU.
    for _ in 0..32 {
        let named = types.name(unit, &entry);
        let end = resolved(unit, Some(entry))?;
        if offset >= size(unit, &end)? {
            return None;
        }
        let own = named.or_else(|| types.name(unit, &end)).unwrap_or_default();
        if offset == 0 && WHOLE.iter().any(|begin| own.starts_with(begin)) {
            return Some(path);
        }
        match end.tag() {
            gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type
                if !own.starts_with("pthread_") =>
            {
                let found = children(unit, &end).into_iter().find_map(|part| {
                    let at = number(&part, gimli::DW_AT_data_member_location).unwrap_or(0);
                    let of = of(unit, &part).filter(|_| part.tag() == gimli::DW_TAG_member)?;
                    let long = size(unit, &resolved(unit, unit.entry(of.offset()).ok())?)?;
                    (at..at.saturating_add(long)).contains(&offset).then_some((part, of, at))
                });
                // Between members, where nothing lies.
                let (part, of, at) = found?;
                if let Some(name) = types.name(unit, &part) {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(&name);
                }
                (entry, offset) = (of, offset - at);
            }
            gimli::DW_TAG_array_type => {
                let (_, element) = array(unit, &end)?;
                let long = size(unit, &element).filter(|long| *long > 0)?;
                path.push_str(&format!("[{}]", offset / long));
                (entry, offset) = (of(unit, &end)?, offset % long);
            }
            _ => break,
        }
    }
    if offset > 0 {
        path.push_str(&format!("+{offset:#x}"));
    }
    Some(path)
}
