//! What a thread does for a while: what timelines are drawn from.
//! Must not know: who draws.

/// What it does meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Holds,
    /// Waits for a mutex.
    Waits,
    /// Is blocked in a condition wait.
    Condition,
}

/// A time in which a thread holds a lock or waits.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub kind: Kind,
    pub thread: u32,
    pub class: u32,
    pub site: u32,
    pub is_bql: bool,
    /// In µs since 1970.
    pub start: u64,
    pub end: u64,
}

/// Sees spans as they end.
pub trait Observer {
    /// `span` has ended.
    fn span(&mut self, span: &Span);

    /// `thread` has an event that is no lock operation.
    fn event(&mut self, _thread: u32, _event: u32, _us: u64) {}
}

/// More spans than this of a log are left out, and as many events.
const MOST: usize = 4 << 20;

/// Keeps what it sees, for a timeline.
#[derive(Default)]
pub struct Recorder {
    pub spans: Vec<Span>,
    /// Thread, kind of event, when.
    pub events: Vec<(u32, u32, u64)>,
    /// What there was no room for.
    pub dropped: u64,
}

impl Observer for Recorder {
    fn span(&mut self, span: &Span) {
        match self.spans.len() < MOST {
            true => self.spans.push(*span),
            false => self.dropped += 1,
        }
    }

    fn event(&mut self, thread: u32, event: u32, us: u64) {
        match self.events.len() < MOST {
            true => self.events.push((thread, event, us)),
            false => self.dropped += 1,
        }
    }
}

/// A log as a timeline: spans and events by number, and their names.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    pub file: String,
    pub threads: Vec<(u64, String)>,
    pub locks: Vec<String>,
    pub sites: Vec<String>,
    pub events: Vec<String>,
    /// By thread, kind, lock, site; in the order of their starts.
    pub spans: Vec<Span>,
    pub marks: Vec<(u32, u32, u64)>,
    pub dropped: u64,
}

/// Looks away.
impl Observer for () {
    fn span(&mut self, _: &Span) {}
}
