//! Maps whose keys are numbers of our own: addresses, classes, threads.
//! Must not know: what they number.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// Multiplies: nobody can aim at the collisions of our own numbers.
#[derive(Clone, Default)]
pub struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 29;
    }
}

/// A map from our own numbers.
pub type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<Multiply>>;

/// A set of them.
pub type NumberSet<K> = HashSet<K, BuildHasherDefault<Multiply>>;
