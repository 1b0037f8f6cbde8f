//! How long something took, over many times: count, total, maximum and, from a
//! histogram of fixed size, percentiles.
//! Must not know: what took so long.

/// Four buckets for each power of two.
const BUCKETS: usize = 4 * 44;

/// Durations in microseconds, summed up.
#[derive(Clone, Debug)]
pub struct Durations {
    pub count: u64,
    pub total: u64,
    pub max: u64,
    buckets: Box<[u32; BUCKETS]>,
}

impl Default for Durations {
    fn default() -> Durations {
        Durations { count: 0, total: 0, max: 0, buckets: Box::new([0; BUCKETS]) }
    }
}

/// The bucket of `us`: exact below 4, then within a fifth.
fn bucket(us: u64) -> usize {
    if us < 4 {
        return us as usize;
    }
    let power = us.ilog2() as usize;
    (4 * (power - 1) + ((us >> (power - 2)) & 3) as usize).min(BUCKETS - 1)
}

/// The greatest value that goes into `bucket`.
fn top(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let (power, quarter) = (bucket / 4 + 1, (bucket % 4) as u64);
    ((5 + quarter) << (power - 2)) - 1
}

impl Durations {
    /// One more.
    pub fn add(&mut self, us: u64) {
        self.count += 1;
        self.total = self.total.saturating_add(us);
        self.max = self.max.max(us);
        let bucket = &mut self.buckets[bucket(us)];
        *bucket = bucket.saturating_add(1);
    }

    /// All of `other` too.
    pub fn join(&mut self, other: &Durations) {
        self.count += other.count;
        self.total = self.total.saturating_add(other.total);
        self.max = self.max.max(other.max);
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets.iter()) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// So many per cent are at most this long, to within a quarter above.
    pub fn percentile(&self, percent: u64) -> u64 {
        let wanted = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (nth, count) in self.buckets.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return top(nth).min(self.max);
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_hold_what_they_say() {
        let values = (0..5000).chain((13..44).flat_map(|p| [(1 << p) - 1, 1 << p, (1 << p) + 1]));
        let mut last = 0;
        for us in values {
            let nth = bucket(us);
            assert!(nth >= last && us <= top(nth) && (nth == 0 || us > top(nth - 1)), "{us}");
            last = nth;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles() {
        let mut all = Durations::default();
        (1..=100).for_each(|us| all.add(us));
        assert_eq!((all.count, all.total, all.max), (100, 5050, 100));
        assert_eq!(all.percentile(100), 100);
        let half = all.percentile(50);
        assert!((50..=63).contains(&half), "{half}");
    }
}
