//! What a source does: which kind of migration, of which version, in which portions.
//! Must not know: what any of it means on the wire.

use crate::sim::Version;
use crate::sim::stream::MULTIFD_PAGES;

/// What a source does where a real one's choice depends on time and load.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    pub version: Version,
    pub return_path: bool,
    pub postcopy: bool,
    pub preempt: bool,
    /// Pages of the precopy pass, before it goes over to postcopy.
    pub precopy_pages: usize,
    /// Of these, or of a precopy's, pages that the guest dirties again: block and page.
    pub redirtied: Vec<(usize, usize)>,
    /// Pages in a section of ram.
    pub section_pages: usize,
    /// In postcopy, the last so many pages go out with SECTION_END.
    pub threshold: usize,
    /// Channels for pages alone; 0: none.
    pub multifd: usize,
    /// Pages in one packet of those: a real one fills it, or sends it at a sync.
    pub packet_pages: usize,
    /// `migrate-pause` after so many pages in postcopy on the main channel.
    pub pause_after: Option<usize>,
}

impl Script {
    /// A plain precopy of this version.
    pub fn precopy(version: Version) -> Self {
        Self {
            version,
            return_path: true,
            postcopy: false,
            preempt: false,
            precopy_pages: 0,
            redirtied: Vec::new(),
            section_pages: 4,
            threshold: 0,
            multifd: 0,
            packet_pages: MULTIFD_PAGES,
            pause_after: None,
        }
    }

    /// A postcopy of this version, after one pass over so many pages.
    pub fn postcopy(version: Version, precopy_pages: usize) -> Self {
        Self { postcopy: true, precopy_pages, ..Self::precopy(version) }
    }

    pub(super) fn old(&self) -> bool {
        self.version == Version::V7_2
    }
}
