//! Which lock is taken while which is held, and the circles in that: threads that
//! each hold one lock of a circle and wait for the next are stuck. A circle counts
//! if its edges are of different threads, no two of them under a common lock, and
//! each may be there together with each (Bensalem and Havelund, "Dynamic deadlock
//! analysis of multi-threaded programs", HVC 2005).
//! Must not know: whether anybody ever got stuck, and what the locks are.

use crate::numbers::NumberMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// More edges than this are left out.
const MOST: usize = 1 << 16;

/// One thread waited for a lock while it held another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge<W> {
    /// The classes of locks: held, and taken.
    pub from: u64,
    pub to: u64,
    pub thread: u32,
    pub count: u64,
    /// When it was first, and last: by a log's lines, or the thread's own clock.
    pub first: u64,
    pub last: u64,
    /// Where it was first.
    pub place: W,
    /// Classes that were held every time: they keep others out.
    gates: Vec<u64>,
}

/// All edges of a log or of an execution.
#[derive(Clone, Debug)]
pub struct Order<W> {
    /// By classes and thread.
    edges: NumberMap<(u64, u64, u32), Edge<W>>,
}

impl<W> Default for Order<W> {
    fn default() -> Order<W> {
        Order { edges: NumberMap::default() }
    }
}

impl<W: Clone> Order<W> {
    /// `thread` waits for the lock `to` while it holds `from` and `others`. False:
    /// there is no room.
    pub fn add(
        &mut self,
        (from, to): (u64, u64),
        thread: u32,
        at: u64,
        others: impl Iterator<Item = u64>,
        place: impl FnOnce() -> W,
    ) -> bool {
        let key = (from, to, thread);
        if let Some(known) = self.edges.get_mut(&key) {
            known.count += 1;
            known.last = at;
            if !known.gates.is_empty() {
                let others: Vec<u64> = others.collect();
                known.gates.retain(|gate| others.contains(gate));
            }
            return true;
        }
        if self.edges.len() >= MOST {
            return false;
        }
        let (gates, place) = (others.collect(), place());
        let edge = Edge { from, to, thread, count: 1, first: at, last: at, place, gates };
        self.edges.insert(key, edge);
        true
    }

    /// Whether there may be a circle: false if all edges end where none goes on, once
    /// those that do are taken away. Quick where there are few.
    pub fn may_be_circular(&self) -> bool {
        let mut left: Vec<(u64, u64)> =
            self.edges.keys().map(|(from, to, _)| (*from, *to)).collect();
        loop {
            let before = left.len();
            let starts = left.clone();
            left.retain(|(_, to)| starts.iter().any(|(from, _)| from == to));
            if left.len() == before {
                return before > 0;
            }
        }
    }

    /// The edges between what classes were found to be, one a thread, in a fixed order.
    fn merged(&self, root: impl Fn(u64) -> u64) -> BTreeMap<(u64, u64), Vec<Edge<W>>> {
        let mut sorted: Vec<&Edge<W>> = self.edges.values().collect();
        sorted.sort_by_key(|edge| (edge.first, edge.thread, edge.from, edge.to));
        let mut merged: BTreeMap<(u64, u64), Vec<Edge<W>>> = BTreeMap::new();
        for edge in sorted {
            let (from, to) = (root(edge.from), root(edge.to));
            if from == to {
                continue;
            }
            let gates = edge.gates.iter().map(|gate| root(*gate));
            let gates: Vec<u64> = gates.filter(|gate| *gate != from && *gate != to).collect();
            let all = merged.entry((from, to)).or_default();
            match all.iter_mut().find(|known| known.thread == edge.thread) {
                Some(known) => {
                    known.count += edge.count;
                    known.last = known.last.max(edge.last);
                    known.gates.retain(|gate| gates.contains(gate));
                }
                None => all.push(Edge { from, to, gates, ..edge.clone() }),
            }
        }
        merged
    }

    /// How many pairs of classes there are.
    pub fn len(&self, root: impl Fn(u64) -> u64) -> usize {
        self.merged(root).len()
    }

    /// The shortest circle through each edge, each once, if threads can get stuck in
    /// it. `root` gives a class's representative, where classes were found to be one;
    /// `together` says whether two edges of different threads may be there at once.
    pub fn circles(
        &self,
        root: impl Fn(u64) -> u64,
        together: impl Fn(&Edge<W>, &Edge<W>) -> bool,
    ) -> Vec<Vec<Edge<W>>> {
        let edges = self.merged(root);
        let mut after: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        edges.keys().for_each(|(from, to)| after.entry(*from).or_default().push(*to));
        let mut known: BTreeSet<BTreeSet<u64>> = BTreeSet::new();
        let mut circles = Vec::new();
        for (from, to) in edges.keys() {
            let Some(path) = path(&after, *to, *from) else { continue };
            let mut nodes = vec![*from];
            nodes.extend(path);
            let links: Vec<&[Edge<W>]> =
                nodes.windows(2).map(|pair| &*edges[&(pair[0], pair[1])]).collect();
            let mut circle = Vec::new();
            if stuck(&links, &together, &mut circle) && known.insert(nodes.into_iter().collect()) {
                circles.push(circle.into_iter().cloned().collect());
            }
        }
        circles
    }
}

/// Picks one edge of each link so that all may be there at once.
fn stuck<'a, W>(
    links: &[&'a [Edge<W>]],
    together: &impl Fn(&Edge<W>, &Edge<W>) -> bool,
    picked: &mut Vec<&'a Edge<W>>,
) -> bool {
    let Some((first, rest)) = links.split_first() else { return true };
    for edge in *first {
        let fits = |other: &&Edge<W>| {
            other.thread != edge.thread
                && !other.gates.iter().any(|gate| edge.gates.contains(gate))
                && together(other, edge)
        };
        if picked.iter().all(fits) {
            picked.push(edge);
            if stuck(rest, together, picked) {
                return true;
            }
            picked.pop();
        }
    }
    false
}

/// The nodes of a shortest way from `start` to `goal`, both included.
fn path(after: &BTreeMap<u64, Vec<u64>>, start: u64, goal: u64) -> Option<Vec<u64>> {
    let mut before: BTreeMap<u64, u64> = BTreeMap::from([(start, start)]);
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        if node == goal {
            let mut path = vec![goal];
            let mut at = goal;
            while at != start {
                at = before[&at];
                path.push(at);
            }
            path.reverse();
            return Some(path);
        }
        for next in after.get(&node).into_iter().flatten() {
            before.entry(*next).or_insert_with(|| {
                queue.push_back(*next);
                node
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row<'a> = (u64, u64, u32, &'a [u64]);

    fn order(edges: &[Row]) -> Order<()> {
        let mut order = Order::default();
        for (line, (from, to, thread, gates)) in edges.iter().enumerate() {
            let gates = gates.iter().copied();
            assert!(order.add((*from, *to), *thread, line as u64, gates, || ()));
        }
        order
    }

    fn lengths(edges: &[Row]) -> Vec<usize> {
        let circles = order(edges).circles(|class| class, |_, _| true);
        circles.iter().map(Vec::len).collect()
    }

    const NONE: [usize; 0] = [];

    #[test]
    fn a_circle_takes_two_threads_and_no_lock_in_common() {
        assert_eq!(lengths(&[(1, 2, 0, &[]), (2, 1, 1, &[])]), [2]);
        assert_eq!(lengths(&[(1, 2, 0, &[]), (2, 1, 0, &[])]), NONE, "one thread");
        assert_eq!(lengths(&[(1, 2, 0, &[9]), (2, 1, 1, &[9])]), NONE, "a gate");
        let sometimes = [(1, 2, 0, &[9][..]), (1, 2, 0, &[]), (2, 1, 1, &[9])];
        assert_eq!(lengths(&sometimes), [2], "a gate, not always");
        assert_eq!(lengths(&[(1, 2, 0, &[]), (2, 3, 1, &[]), (3, 1, 2, &[])]), [3]);
        assert_eq!(lengths(&[(1, 2, 0, &[]), (1, 3, 1, &[]), (2, 3, 2, &[])]), NONE);
    }

    #[test]
    fn each_edge_of_a_circle_is_another_threads() {
        let two = [(1, 2, 0, &[][..]), (2, 3, 1, &[]), (3, 1, 0, &[])];
        assert_eq!(lengths(&two), NONE, "two threads are not stuck in three edges");
        let gate_of_two = [(1, 2, 0, &[9][..]), (2, 3, 1, &[9]), (3, 1, 2, &[])];
        assert_eq!(lengths(&gate_of_two), NONE, "two of them are never there at once");
        // The first thread does both; another does one of them, too.
        let both = [(1, 2, 0, &[][..]), (2, 1, 0, &[]), (2, 1, 1, &[])];
        let circles = order(&both).circles(|class| class, |_, _| true);
        let threads: Vec<u32> = circles[0].iter().map(|edge| edge.thread).collect();
        assert_eq!(threads, [0, 1]);
        let gated = [(1, 2, 0, &[9][..]), (1, 2, 2, &[]), (2, 1, 1, &[9])];
        assert_eq!(lengths(&gated), [2], "another thread does it without the gate");
    }

    #[test]
    fn edges_that_are_never_there_together_make_no_circle() {
        let edges = order(&[(1, 2, 0, &[]), (2, 1, 1, &[])]);
        let before = |one: &Edge<()>, two: &Edge<()>| one.last.abs_diff(two.first) > 1;
        assert!(edges.circles(|class| class, before).is_empty());
        assert!(edges.circles(|class| class / 3, |_, _| true).is_empty(), "one class");
    }
}
