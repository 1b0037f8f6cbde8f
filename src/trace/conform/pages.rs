//! Which pages the destination has, has asked for, and where they are: by the
//! host's addresses, as the events print them.
//! Must not know: which thread does what.

use std::collections::{BTreeMap, HashSet};

/// Of the guest's memory.
const PAGE: u64 = 4096;
/// Pages in a chunk of the bitmap.
const CHUNK: u64 = 1 << 15;
/// More chunks than this (2 TiB) are not followed.
const MOST_CHUNKS: usize = 1 << 14;
/// More requests at a time than this are not followed.
const MOST_REQUESTS: usize = 1 << 20;

/// The pages of a destination.
#[derive(Clone, Default)]
pub struct Pages {
    /// Name and host address of each RAM block.
    blocks: Vec<(String, u64)>,
    received: BTreeMap<u64, Box<[u64; (CHUNK / 64) as usize]>>,
    requested: HashSet<u64>,
    /// The page that is being placed: its offset, and whether it is in the same
    /// block as the last.
    pub placing: Option<(u64, bool)>,
    /// Its address, once its request is resolved.
    pub resolved: Option<u64>,
    /// The block of the last page.
    block: Option<usize>,
    /// The zero page that is being placed: it has not come until that is done.
    pub zeroed: Option<u64>,
    /// The block of the last request on this connection.
    pub last_rb: Option<String>,
    /// So many of the fault thread's requests may name their block or not.
    pub any_rb: u8,
}

impl Pages {
    /// `postcopy_init_range NAME: 0xHOST offset=...`.
    pub fn block(&mut self, text: &str) {
        let Some((name, rest)) = text.rsplit_once(": ") else { return };
        let host = rest.split(' ').next().and_then(hex);
        if let (Some(host), true) = (host, self.blocks.len() < 4096) {
            self.blocks.push((name.into(), host));
        }
    }

    fn bit(host: u64) -> (u64, usize, u64) {
        let page = host / PAGE;
        (page / CHUNK, (page % CHUNK / 64) as usize, 1 << (page % 64))
    }

    /// Whether the page at `host` has come.
    pub fn has(&self, host: u64) -> bool {
        let (chunk, word, bit) = Pages::bit(host);
        self.received.get(&chunk).is_some_and(|chunk| chunk[word] & bit != 0)
    }

    /// The page at `host` has come. False: it had already.
    pub fn receive(&mut self, host: u64) -> bool {
        let (chunk, word, bit) = Pages::bit(host);
        if self.received.len() >= MOST_CHUNKS && !self.received.contains_key(&chunk) {
            return true;
        }
        let chunk = self.received.entry(chunk).or_insert_with(|| Box::new([0; 512]));
        let new = chunk[word] & bit == 0;
        chunk[word] |= bit;
        new
    }

    /// Whether the page at `host` has been asked for.
    pub fn is_requested(&self, host: u64) -> bool {
        self.requested.contains(&host)
    }

    /// How many have been asked for and not come.
    pub fn missing(&self) -> usize {
        self.requested.len()
    }

    /// The page at `host` is asked for.
    pub fn request(&mut self, host: u64) {
        if self.requested.len() < MOST_REQUESTS {
            self.requested.insert(host);
        }
    }

    /// The page at `host` is not asked for any more. False: it was not.
    pub fn resolve(&mut self, host: u64) -> bool {
        self.requested.remove(&host)
    }

    /// Whether the page at `offset` of a block can be at `host`: of the same block
    /// as the last page, or of any. From then on that is the block.
    pub fn is_at(&mut self, host: u64, offset: u64, same_block: bool) -> bool {
        if self.blocks.is_empty() {
            return true;
        }
        let fits = |(_, base): &(String, u64)| base.checked_add(offset) == Some(host);
        match self.block.filter(|_| same_block) {
            Some(block) => fits(&self.blocks[block]),
            None => {
                self.block = self.blocks.iter().position(fits);
                self.block.is_some()
            }
        }
    }

    /// Whether the page at `host` may be the one that is being placed.
    pub fn may_be_placing(&self, host: u64) -> bool {
        let Some((offset, same_block)) = self.placing else { return false };
        let fits = |(_, base): &(String, u64)| base.checked_add(offset) == Some(host);
        match self.block.filter(|_| same_block) {
            Some(block) => fits(&self.blocks[block]),
            None => self.blocks.is_empty() || self.blocks.iter().any(fits),
        }
    }

    /// Whether `block` is at `host` less `offset`.
    pub fn is_in(&self, block: &str, host: u64, offset: u64) -> bool {
        let known = self.blocks.iter().find(|(name, _)| name == block);
        known.is_none_or(|(_, base)| base.checked_add(offset) == Some(host))
    }

    /// The connection is a new one: what it last spoke of is forgotten.
    pub fn reconnect(&mut self) {
        self.placing = None;
        self.resolved = None;
        self.block = None;
    }

    /// The listen thread resets `mis->last_rb`, or sets it. No lock protects it: the
    /// fault thread may be about to log a request that was made before, and only
    /// the next sets it again.
    pub fn forget_block(&mut self) {
        self.any_rb = 2;
    }
}

/// `0x...` as a number.
pub fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// The word after `key` in `text`.
pub fn after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.split_once(key).map(|(_, rest)| rest.split(' ').next().unwrap_or(""))
}
