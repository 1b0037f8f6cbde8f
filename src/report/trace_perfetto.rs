//! A log as a trace for the Perfetto UI: Chrome's Trace Event Format, in JSON. Ids
//! are unique in the document, complete events of a thread nest, and an arrow is
//! fastened within an event, not at its end: the format asks for that.
//! Must not know: how the log was read.

use crate::trace::{Kind, Timeline};
use std::fmt::Write as _;

/// The document for `logs`: each is a process.
pub fn trace_perfetto(logs: &[Timeline]) -> String {
    let mut text = String::from("{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n");
    let start = logs.iter().filter_map(|log| log.spans.first()).map(|span| span.start).min();
    let marks = logs.iter().filter_map(|log| log.marks.first()).map(|mark| mark.2).min();
    let start = start.into_iter().chain(marks).min().unwrap_or(0);
    for (number, log) in logs.iter().enumerate() {
        process(&mut text, number + 1, log, start);
    }
    // The comma after the last event.
    text.truncate(text.trim_end_matches(",\n").len());
    text += "\n]}\n";
    text
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

/// Of the `nth` thing in a process, unlike that of any other process.
fn id(pid: usize, nth: usize) -> String {
    format!("\"{pid}.{nth}\"")
}

fn process(text: &mut String, pid: usize, log: &Timeline, start: u64) {
    let name = quoted(&log.file);
    let _ = writeln!(
        text,
        "{{\"ph\": \"M\", \"name\": \"process_name\", \"pid\": {pid}, \"args\": {{\"name\": {name}}}}},"
    );
    for (id, name) in &log.threads {
        let name = quoted(name);
        let _ = writeln!(
            text,
            "{{\"ph\": \"M\", \"name\": \"thread_name\", \"pid\": {pid}, \"tid\": {id}, \
             \"args\": {{\"name\": {name}}}}},"
        );
    }
    let locks: Vec<String> = log.locks.iter().map(|lock| quoted(lock)).collect();
    let sites: Vec<String> = log.sites.iter().map(|site| quoted(site)).collect();
    for (nth, span) in log.spans.iter().enumerate() {
        let lock = &locks[span.class as usize];
        let site = &sites[span.site as usize];
        let tid = log.threads[span.thread as usize].0;
        let (ts, dur) = (span.start.saturating_sub(start), span.end - span.start);
        let what = match span.kind {
            Kind::Holds => "held",
            Kind::Waits => "waiting",
            Kind::Condition => "condition wait",
        };
        // Waits and the BQL nest on a thread; other locks need not.
        if span.kind != Kind::Holds || span.is_bql {
            let _ = writeln!(
                text,
                "{{\"ph\": \"X\", \"cat\": \"{what}\", \"name\": {lock}, \"pid\": {pid}, \
                 \"tid\": {tid}, \"ts\": {ts}, \"dur\": {dur}, \
                 \"args\": {{\"what\": \"{what}\", \"site\": {site}}}}},"
            );
        } else {
            let id = id(pid, nth);
            for (phase, ts) in [("b", ts), ("e", ts + dur)] {
                let _ = writeln!(
                    text,
                    "{{\"ph\": \"{phase}\", \"cat\": \"{what}\", \"name\": {lock}, \
                     \"pid\": {pid}, \"tid\": {tid}, \"id\": {id}, \"ts\": {ts}, \
                     \"args\": {{\"site\": {site}}}}},"
                );
            }
        }
    }
    hand_overs(text, pid, log, start);
    let events: Vec<String> = log.events.iter().map(|event| quoted(event)).collect();
    for (thread, event, us) in &log.marks {
        let tid = log.threads[*thread as usize].0;
        let (name, ts) = (&events[*event as usize], us.saturating_sub(start));
        let _ = writeln!(
            text,
            "{{\"ph\": \"i\", \"s\": \"t\", \"name\": {name}, \"pid\": {pid}, \"tid\": {tid}, \
             \"ts\": {ts}}},"
        );
    }
}

/// An arrow from each hold of the BQL to the wait that ended with it.
fn hand_overs(text: &mut String, pid: usize, log: &Timeline, start: u64) {
    let bql = log.spans.iter().filter(|span| span.is_bql);
    let mut holds: Vec<_> = bql.clone().filter(|span| span.kind == Kind::Holds).collect();
    holds.sort_by_key(|span| span.end);
    for (nth, wait) in bql.filter(|span| span.kind != Kind::Holds).enumerate() {
        let before = holds.partition_point(|hold| hold.end <= wait.end);
        let Some(hold) = before.checked_sub(1).map(|index| holds[index]) else { continue };
        if hold.end <= wait.start || hold.thread == wait.thread {
            continue;
        }
        let id = id(pid, nth);
        for (phase, span) in [("s", hold), ("f", wait)] {
            let tid = log.threads[span.thread as usize].0;
            let within = span.end.saturating_sub(1).max(span.start);
            let ts = within.saturating_sub(start);
            let _ = writeln!(
                text,
                "{{\"ph\": \"{phase}\", \"bp\": \"e\", \"cat\": \"hand-over\", \
                 \"name\": \"hand-over\", \"id\": {id}, \"pid\": {pid}, \"tid\": {tid}, \
                 \"ts\": {ts}}},"
            );
        }
    }
}
