//! 128-bit fingerprints: of states, of what a thread has observed, of findings.
//! Must not know: what the bytes mean. The only file that names the hash library.

use std::hash::{Hash, Hasher};
use xxhash_rust::xxh3::xxh3_128;

/// A byte buffer that anything `Hash` can be written into; the bytes, not a
/// running hash, are kept, so that one pass of a 128-bit hash ends it.
#[derive(Default)]
pub struct Bytes(Vec<u8>);

impl Bytes {
    /// Empties the buffer, keeping its memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends the bytes of `value`.
    pub fn feed(&mut self, value: &(impl Hash + ?Sized)) {
        value.hash(self);
    }

    /// The 128-bit fingerprint of everything fed since the last `clear`.
    pub fn fingerprint(&self) -> u128 {
        xxh3_128(&self.0)
    }
}

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("Bytes is ended by fingerprint()")
    }
}

/// The fingerprint of one value, alone.
pub fn fingerprint(value: &(impl Hash + ?Sized)) -> u128 {
    let mut bytes = Bytes::default();
    bytes.feed(value);
    bytes.fingerprint()
}

/// The fingerprint of bytes, as they are.
pub fn fingerprint_of(bytes: &[u8]) -> u128 {
    xxh3_128(bytes)
}

/// A hasher for keys that are fingerprints already: their low half is the hash.
#[derive(Default, Clone, Copy)]
pub struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, _: &[u8]) {
        unreachable!("Identity hashes u128 keys only")
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A set of fingerprints, 16 bytes a member.
pub type FingerprintSet = std::collections::HashSet<u128, std::hash::BuildHasherDefault<Identity>>;

/// A map keyed by fingerprints.
pub type FingerprintMap<V> =
    std::collections::HashMap<u128, V, std::hash::BuildHasherDefault<Identity>>;
