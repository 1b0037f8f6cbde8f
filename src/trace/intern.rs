//! Names and addresses to small numbers, quickly: a cache in front of a map.
//! Must not know: what is numbered.

use std::collections::HashMap;

/// Slots of the cache in front.
const SLOTS: usize = 4096;
/// More distinct names than this share the last number: memory is bounded.
pub const MOST: usize = 1 << 16;

/// Numbers names in the order they come.
pub struct Names {
    slots: Vec<u32>,
    map: HashMap<Box<[u8]>, u32>,
    names: Vec<Box<[u8]>>,
}

impl Default for Names {
    fn default() -> Names {
        Names { slots: vec![u32::MAX; SLOTS], map: HashMap::new(), names: Vec::new() }
    }
}

/// Where in the cache `name` goes: by its length and its last 16 bytes.
fn slot(name: &[u8]) -> usize {
    let mut hash = name.len() as u64;
    let tail = &name[name.len().saturating_sub(16)..];
    for part in tail.chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    (hash >> 52) as usize % SLOTS
}

impl Names {
    /// The number of `name`, and whether it is a new one.
    pub fn number(&mut self, name: &[u8]) -> (u32, bool) {
        let slot = slot(name);
        let cached = self.slots[slot];
        if self.names.get(cached as usize).is_some_and(|known| **known == *name) {
            return (cached, false);
        }
        let (number, new) = match self.map.get(name) {
            Some(number) => (*number, false),
            None if self.names.len() == MOST => return (MOST as u32 - 1, false),
            None => {
                let number = self.names.len() as u32;
                self.names.push(name.into());
                self.map.insert(name.into(), number);
                (number, true)
            }
        };
        self.slots[slot] = number;
        (number, new)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether names had to be thrown together.
    pub fn is_full(&self) -> bool {
        self.names.len() == MOST
    }
}

/// Numbers addresses and thread ids; one that is given up may come again.
pub struct Numbers {
    slots: Vec<(u64, u32)>,
    map: HashMap<u64, u32>,
}

impl Default for Numbers {
    fn default() -> Numbers {
        Numbers { slots: vec![(0, u32::MAX); SLOTS], map: HashMap::new() }
    }
}

impl Numbers {
    fn slot(value: u64) -> usize {
        (value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize % SLOTS
    }

    /// The number of `value`, if it has one.
    pub fn get(&mut self, value: u64) -> Option<u32> {
        let slot = &mut self.slots[Numbers::slot(value)];
        if slot.0 == value && slot.1 != u32::MAX {
            return Some(slot.1);
        }
        let number = *self.map.get(&value)?;
        *slot = (value, number);
        Some(number)
    }

    /// `value` has `number` from now on.
    pub fn set(&mut self, value: u64, number: u32) {
        self.map.insert(value, number);
        self.slots[Numbers::slot(value)] = (value, number);
    }

    /// `value` has no number any more.
    pub fn forget(&mut self, value: u64) {
        self.map.remove(&value);
        self.slots[Numbers::slot(value)] = (0, u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_has_the_same_number() {
        let mut names = Names::default();
        for round in 0..3 {
            for n in 0..20_000u32 {
                let name = format!("file{n}.c:{}", n / 7);
                assert_eq!(names.number(name.as_bytes()), (n, round == 0));
            }
        }
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut names = Names::default();
        for n in 0..MOST + 10 {
            names.number(n.to_string().as_bytes());
        }
        assert!(names.is_full());
        assert_eq!(names.number(b"yet another"), (MOST as u32 - 1, false));
        assert_eq!(names.number(b"7"), (7, false));
    }
}
