//! Which lock is taken while which is held, and the circles in that.
//! Must not know: whether anybody ever got stuck.

use super::intern::NumberMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// More edges than this are left out.
const MOST: usize = 1 << 16;

/// A lock was waited for while another was held.
#[derive(Clone, Debug)]
pub struct Edge {
    /// The classes: held, and taken.
    pub from: u32,
    pub to: u32,
    pub count: u64,
    /// The first time: who, where each was taken, at which line of the log.
    pub thread: u32,
    pub from_site: u32,
    pub to_site: u32,
    pub line: u64,
    /// A second thread did it too.
    pub shared: bool,
    /// Classes that were held every time: they keep others out.
    gates: Vec<u32>,
}

/// All edges of a log.
#[derive(Default)]
pub struct Order {
    edges: NumberMap<u64, Edge>,
}

impl Order {
    /// One more: `edge` with what else was held. False: there is no room.
    pub fn add(&mut self, edge: Edge, others: impl Iterator<Item = u32>) -> bool {
        let key = u64::from(edge.from) << 32 | u64::from(edge.to);
        if let Some(known) = self.edges.get_mut(&key) {
            known.count += 1;
            known.shared |= known.thread != edge.thread;
            if !known.gates.is_empty() {
                let others: Vec<u32> = others.collect();
                known.gates.retain(|gate| others.contains(gate));
            }
            return true;
        }
        if self.edges.len() >= MOST {
            return false;
        }
        self.edges.insert(key, Edge { gates: others.collect(), ..edge });
        true
    }

    /// A new edge, before it is added.
    pub fn edge(from: (u32, u32), to: (u32, u32), thread: u32, line: u64) -> Edge {
        Edge {
            from: from.0,
            to: to.0,
            count: 1,
            thread,
            from_site: from.1,
            to_site: to.1,
            line,
            shared: false,
            gates: Vec::new(),
        }
    }

    /// The edges between what classes were found to be, in a fixed order.
    fn merged(&self, root: impl Fn(u32) -> u32) -> BTreeMap<(u32, u32), Edge> {
        let mut sorted: Vec<&Edge> = self.edges.values().collect();
        sorted.sort_by_key(|edge| (edge.line, edge.from, edge.to));
        let mut merged: BTreeMap<(u32, u32), Edge> = BTreeMap::new();
        for edge in sorted {
            let (from, to) = (root(edge.from), root(edge.to));
            if from == to {
                continue;
            }
            let gates: Vec<u32> = edge.gates.iter().map(|gate| root(*gate)).collect();
            let gates = gates.into_iter().filter(|gate| *gate != from && *gate != to).collect();
            let edge = Edge { from, to, gates, ..edge.clone() };
            merged
                .entry((from, to))
                .and_modify(|known| {
                    known.count += edge.count;
                    known.shared |= edge.shared || known.thread != edge.thread;
                    known.gates.retain(|gate| edge.gates.contains(gate));
                })
                .or_insert(edge);
        }
        merged
    }

    /// How many pairs of classes there are.
    pub fn len(&self, root: impl Fn(u32) -> u32) -> usize {
        self.merged(root).len()
    }

    /// The circles that more than one thread goes round without a lock in common:
    /// the shortest through each edge, each once.
    pub fn circles(&self, root: impl Fn(u32) -> u32) -> Vec<Vec<Edge>> {
        let edges = self.merged(root);
        let mut after: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        edges.keys().for_each(|(from, to)| after.entry(*from).or_default().push(*to));
        let mut known: BTreeSet<BTreeSet<u32>> = BTreeSet::new();
        let mut circles = Vec::new();
        for (from, to) in edges.keys() {
            let Some(path) = path(&after, *to, *from) else { continue };
            let mut nodes = vec![*from];
            nodes.extend(path);
            let circle: Vec<Edge> =
                nodes.windows(2).map(|pair| edges[&(pair[0], pair[1])].clone()).collect();
            if dangerous(&circle) && known.insert(nodes.into_iter().collect()) {
                circles.push(circle);
            }
        }
        circles
    }
}

/// Whether threads can get stuck in it.
fn dangerous(circle: &[Edge]) -> bool {
    let one = circle.iter().all(|edge| !edge.shared && edge.thread == circle[0].thread);
    let gated = |gate: &u32| circle.iter().all(|edge| edge.gates.contains(gate));
    !one && !circle[0].gates.iter().any(gated)
}

/// The nodes of a shortest way from `start` to `goal`, both included.
fn path(after: &BTreeMap<u32, Vec<u32>>, start: u32, goal: u32) -> Option<Vec<u32>> {
    let mut before: BTreeMap<u32, u32> = BTreeMap::from([(start, start)]);
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

    fn order(edges: &[(u32, u32, u32, &[u32])]) -> Order {
        let mut order = Order::default();
        for (line, (from, to, thread, gates)) in edges.iter().enumerate() {
            let edge = Order::edge((*from, 0), (*to, 0), *thread, line as u64);
            assert!(order.add(edge, gates.iter().copied()));
        }
        order
    }

    fn lengths(edges: &[(u32, u32, u32, &[u32])]) -> Vec<usize> {
        order(edges).circles(|class| class).iter().map(Vec::len).collect()
    }

    #[test]
    fn a_circle_takes_two_threads_and_no_lock_in_common() {
        assert_eq!(lengths(&[(1, 2, 0, &[]), (2, 1, 1, &[])]), [2]);
        assert_eq!(lengths(&[(1, 2, 0, &[]), (2, 1, 0, &[])]), [0; 0], "one thread");
        assert_eq!(lengths(&[(1, 2, 0, &[9]), (2, 1, 1, &[9])]), [0; 0], "a gate");
        let sometimes = [(1, 2, 0, &[9][..]), (1, 2, 0, &[]), (2, 1, 1, &[9])];
        assert_eq!(lengths(&sometimes), [2], "a gate, not always");
        assert_eq!(lengths(&[(1, 2, 0, &[]), (2, 3, 1, &[]), (3, 1, 2, &[])]), [3]);
        assert_eq!(lengths(&[(1, 2, 0, &[]), (1, 3, 1, &[]), (2, 3, 2, &[])]), [0; 0]);
    }
}
