//! Guest RAM: page contents, and what a page of the destination has been
//! through. Bitmaps are vectors of bool, one a page.
//! Must not know: how pages travel.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Bytes of a page of a memory image.
const PAGE_SIZE: usize = 4096;

/// The bytes of a page.
pub type Content = Arc<[u8]>;

/// Whether a page is sent as a zero page (`buffer_is_zero`).
pub fn is_zero(content: &Content) -> bool {
    content.iter().all(|byte| *byte == 0)
}

/// What the destination's guest makes of a page that it writes.
pub fn written(content: &Content) -> Content {
    let mut bytes = content.to_vec();
    bytes[0] = bytes[0].wrapping_add(1);
    bytes.into()
}

/// A page of the destination.
#[derive(Clone, Hash, Debug, Default)]
pub struct Page {
    /// What is in memory; nothing before the page was received once.
    pub content: Option<Content>,
    /// How often it was placed since the guest was last discarded from it.
    pub placed: u8,
    /// The destination's guest has written it.
    pub written: bool,
}

/// The guest that is migrated: what the source has and who touches what.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Each page as the source sends it in precopy.
    pub before: Vec<Content>,
    /// Each page as the source has it when the guest stops there.
    pub after: Vec<Content>,
    /// Which pages each vCPU of the destination reads and writes, in order.
    pub touched: Vec<Vec<u32>>,
    /// Break the network once the guest runs and this many pages have been placed.
    pub break_after: Option<u32>,
    /// Pages placed so far, for a progress line.
    pub placed: Arc<AtomicU64>,
}

impl Guest {
    /// A small guest: every page is dirtied on the source after it was sent, the
    /// last of several has become a zero page; vCPU n touches page n.
    pub fn small(pages: u32, vcpus: u8) -> Guest {
        let page = |byte: u32| -> Content { vec![byte as u8; 8].into() };
        let zero = |n| n > 0 && n == pages - 1;
        Guest {
            before: (0..pages).map(|n| page(n + 1)).collect(),
            after: (0..pages).map(|n| page(if zero(n) { 0 } else { n + 101 })).collect(),
            touched: (0..vcpus).map(|n| vec![u32::from(n) % pages]).collect(),
            break_after: None,
            placed: Arc::default(),
        }
    }

    /// A guest whose memory is `image`, page by page. By `seed`, half of the pages
    /// are dirtied on the source after they were sent, and each vCPU of the
    /// destination touches some pages, in its own order.
    pub fn of_image(image: &[u8], vcpus: u8, seed: u64) -> Guest {
        let mut random = Random(seed);
        let after: Vec<Content> = image.chunks(PAGE_SIZE).map(Arc::from).collect();
        let before = after
            .iter()
            .map(|page| if random.below(2) == 0 { written(page) } else { page.clone() });
        let before = before.collect();
        let pages = after.len() as u64;
        let mut touch = || (0..pages.div_ceil(8)).map(|_| random.below(pages) as u32).collect();
        let touched = (0..vcpus).map(|_| touch()).collect();
        Guest { before, after, touched, break_after: None, placed: Arc::default() }
    }

    /// Whether page `n` has changed on the source since precopy sent it.
    pub fn is_dirty(&self, n: usize) -> bool {
        self.before[n] != self.after[n]
    }

    /// What page `n` must be at the end.
    pub fn finally(&self, n: usize) -> Content {
        let touches = self.touched.iter().flatten().filter(|page| **page as usize == n).count();
        (0..touches).fold(self.after[n].clone(), |content, _| written(&content))
    }
}

/// Numbers that follow from a seed (xorshift).
pub struct Random(pub u64);

impl Random {
    /// The next number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        let mut x = self.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        x ^= x >> 33;
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15) ^ x << 7;
        x.wrapping_mul(0xFF51_AFD7_ED55_8CCD) % limit.max(1)
    }
}
