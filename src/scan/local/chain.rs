//! Ways down from a function to where it takes a lock, as frames of a finding.
//! Must not know: rules.

use crate::scan::finding::{Frame, Grade};
use crate::scan::flow::{To, What};
use crate::scan::map::Map;
use crate::scan::place::{BQL, Key};
use crate::scan::summary::{NodeId, Summaries};

pub(super) fn frame(
    summaries: &Summaries<'_>,
    node: NodeId,
    line: u32,
    conditional: bool,
) -> Frame {
    let program = summaries.program;
    let id = summaries.function(node);
    Frame {
        function: program.name_of(id).to_owned(),
        path: program.path_of(id).to_owned(),
        line: if line == 0 { program.function(id).line } else { line },
        conditional,
    }
}

/// How sure a way down to a lock is: each condition on it may keep it from being
/// gone.
pub(in crate::scan) fn grade_of_chain(path: &[Frame]) -> Grade {
    match path.iter().filter(|frame| frame.conditional).count() {
        0 | 1 => Grade::Error,
        2 | 3 => Grade::Warning,
        _ => Grade::Note,
    }
}

/// A shortest way from a function down to where it takes a lock.
pub(in crate::scan) fn path_to_lock(
    summaries: &Summaries<'_>,
    from: NodeId,
    key: Key,
) -> Vec<Frame> {
    let mut parents: Map<NodeId, Option<(NodeId, u32, bool)>> = Map::default();
    parents.insert(from, None);
    let mut queue = vec![from];
    let mut at = 0;
    while at < queue.len() {
        let node = queue[at];
        at += 1;
        let outcome = summaries.outcome(node);
        let taken = outcome.events.iter().find(|event| match event.what {
            What::Acquire(taken) => taken == key,
            What::AcquireBql => key == BQL,
            _ => false,
        });
        if let Some(event) = taken {
            let mut frames = vec![frame(summaries, node, event.line, event.conditional)];
            let mut below = node;
            while let Some(Some((parent, line, conditional))) = parents.get(&below) {
                frames.push(frame(summaries, *parent, *line, *conditional));
                below = *parent;
            }
            frames.reverse();
            return frames;
        }
        for edge in &outcome.edges {
            let To::Node(to) = edge.to else { continue };
            let takes = summaries.outcome(to).acquires.iter().any(|lock| lock.key.name == key.name);
            if takes && !parents.contains_key(&to) {
                parents.insert(to, Some((node, edge.line, edge.conditional)));
                queue.push(to);
            }
        }
    }
    Vec::new()
}
