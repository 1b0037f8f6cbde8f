//! Who runs next, where several threads can: at random, by priorities (PCT), or as
//! it was picked before. Each pick is written down, so that an execution can be
//! had again.
//! Must not know: what the threads are.

use super::state::Tid;

/// How the schedules of a run are picked.
#[derive(Clone, Debug)]
pub enum Strategy {
    /// The thread that runs goes on while it can; for boot.
    Steady,
    /// A fair coin at each step.
    Random { seed: u64, executions: usize },
    /// Probabilistic concurrency testing.
    Pct { seed: u64, depth: usize, executions: usize },
    /// What `picked` gave, where it is given and can be had; else steadily.
    Replay(Vec<Option<Tid>>),
}

/// One in so many steps at which something rare may happen, unless told otherwise.
const RARE: usize = 64;

/// A small generator of random numbers (SplitMix64).
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `many`, each as likely as any other but for 2^-32.
    fn below(&mut self, many: usize) -> usize {
        (((self.next() >> 32) * many as u64) >> 32) as usize
    }
}

/// Priorities of PCT: "A Randomized Scheduler with Probabilistic Guarantees of
/// Finding Bugs", Burckhardt et al., ASPLOS 2010. The number of steps is learnt
/// from the executions before.
#[derive(Debug, Default)]
struct Priorities {
    depth: usize,
    /// By thread; the least goes first.
    of: Vec<usize>,
    next: usize,
    /// The steps at which the thread that would go on falls behind all others.
    changes: Vec<usize>,
    steps: usize,
    longest: usize,
}

impl Priorities {
    fn begin(&mut self, random: &mut Random) {
        self.of.clear();
        self.next = 0;
        self.longest = self.longest.max(self.steps);
        self.steps = 0;
        self.changes.clear();
        for _ in 1..self.depth {
            self.changes.push(random.below(self.longest.max(1)));
        }
    }

    fn pick(&mut self, ready: &[Tid], random: &mut Random) -> usize {
        let most = ready.iter().copied().max().unwrap_or(0);
        while self.of.len() <= most {
            // A place among those before, each as likely: it changes places with
            // one of them, or comes last.
            let other = random.below(self.of.len() + 1);
            self.of.push(self.next);
            let last = self.of.len() - 1;
            self.of.swap(other, last);
            self.next += 1;
        }
        let first = |of: &[usize]| {
            let least = (0..ready.len()).min_by_key(|nth| of[ready[*nth]]);
            least.expect("somebody is ready")
        };
        if self.changes.contains(&self.steps) {
            let falls = ready[first(&self.of)];
            self.of[falls] = self.next;
            self.next += 1;
        }
        self.steps += 1;
        first(&self.of)
    }
}

enum How {
    Steady,
    Random,
    Pct(Priorities),
    Replay(Vec<Option<Tid>>),
}

/// Picks, and remembers.
pub struct Picker {
    how: How,
    random: Random,
    seed: u64,
    /// Executions begun, and how many there will be.
    begun: usize,
    executions: usize,
    /// What was picked in this execution, where there was a choice.
    picked: Vec<u32>,
    hash: u64,
    /// One in so many steps at which something rare may happen, does.
    pub rare: usize,
}

impl Picker {
    pub fn new(strategy: Strategy) -> Picker {
        let (how, seed, executions) = match strategy {
            Strategy::Steady => (How::Steady, 0, 1),
            Strategy::Replay(picked) => (How::Replay(picked), 0, 1),
            Strategy::Random { seed, executions } => (How::Random, seed, executions),
            Strategy::Pct { seed, depth, executions } => {
                (How::Pct(Priorities { depth, ..Priorities::default() }), seed, executions)
            }
        };
        let (random, picked) = (Random(seed), Vec::new());
        // FNV-1a's offset.
        let hash = 0xcbf2_9ce4_8422_2325;
        Picker { how, random, seed, begun: 0, executions, picked, hash, rare: RARE }
    }

    /// Begins an execution; false if there were enough. Each has random numbers of
    /// its own, however many the one before took.
    pub fn begin(&mut self) -> bool {
        if self.begun == self.executions {
            return false;
        }
        self.begun += 1;
        self.picked.clear();
        self.random = Random(self.seed ^ (self.begun as u64) << 32);
        self.random = Random(self.random.next());
        if let How::Pct(priorities) = &mut self.how {
            priorities.begin(&mut self.random);
        }
        // An execution without a choice counts too.
        self.mix(u64::MAX);
        true
    }

    /// One step of FNV-1a, a word at a time.
    fn mix(&mut self, word: u64) {
        self.hash = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    }

    fn note(&mut self, value: usize) {
        self.picked.push(value as u32);
        self.mix(value as u64);
    }

    fn wanted(&self) -> Option<Tid> {
        match &self.how {
            How::Replay(wanted) => wanted.get(self.picked.len()).copied().flatten(),
            _ => None,
        }
    }

    /// Picks one of several threads, ascending, or something rare in its place;
    /// `current` is the one that runs.
    pub fn thread(&mut self, ready: &[Tid], rare: &[Tid], current: Tid) -> Tid {
        let wanted = self.wanted();
        let drawn = matches!(self.how, How::Random | How::Pct(_));
        if !rare.is_empty() {
            let picked = match wanted {
                Some(wanted) if rare.contains(&wanted) => Some(wanted),
                _ if drawn && self.random.below(self.rare) == 0 => {
                    Some(rare[self.random.below(rare.len())])
                }
                _ => None,
            };
            if let Some(picked) = picked {
                self.note(picked);
                return picked;
            }
        }
        let tid = match &mut self.how {
            How::Random => ready[self.random.below(ready.len())],
            How::Pct(priorities) => ready[priorities.pick(ready, &mut self.random)],
            How::Steady | How::Replay(_) => {
                let ready_one = |tid: &Tid| ready.contains(tid);
                wanted.filter(ready_one).or(Some(current).filter(ready_one)).unwrap_or(ready[0])
            }
        };
        self.note(tid);
        tid
    }

    /// Picks a value below `many`; zero where nothing is to happen.
    pub fn value(&mut self, many: usize) -> usize {
        let value = match &self.how {
            How::Random | How::Pct(_) => self.random.below(many),
            How::Steady => 0,
            How::Replay(_) => self.wanted().filter(|value| *value < many).unwrap_or(0),
        };
        self.note(value);
        value
    }

    /// What was picked in this execution so far.
    pub fn picked(&self) -> Vec<Tid> {
        self.picked.iter().map(|value| *value as Tid).collect()
    }

    /// The same for all executions so far, as one number.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}
