//! Hash maps that are fast on small keys. The only file that names rustc_hash.
//! Must not know: what is in them.

pub type Map<K, V> = rustc_hash::FxHashMap<K, V>;
pub type Set<K> = rustc_hash::FxHashSet<K>;
