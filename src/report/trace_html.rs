//! A log as one page: a timeline of each thread, drawn from numbers that are in
//! the page itself. No network, no other file.
//! Must not know: how the log was read.

use super::trace::trace;
use crate::trace::{Kind, Report, Timeline, time};
use serde::Serialize;

const PAGE: &str = include_str!("trace.html");

/// What the page's script reads; columns are base64 of little-endian numbers.
#[derive(Serialize)]
struct Data {
    title: String,
    report: String,
    /// In µs.
    length: u64,
    lanes: Vec<String>,
    locks: Vec<String>,
    sites: Vec<String>,
    /// What to look at: a line, where it begins and how long it is.
    list: Vec<(String, u64, u64)>,
    dropped: u64,
    start: String,
    dur: String,
    lane: String,
    kind: String,
    lock: String,
    site: String,
}

/// The page for `logs` and what was found in them.
pub fn trace_html(logs: &[Timeline], report: &Report) -> String {
    let start = report.logs.iter().map(|log| log.start_us).min().unwrap_or(0);
    let end = report.logs.iter().map(|log| log.end_us).max().unwrap_or(start);
    let mut data = Data {
        title: logs.iter().map(|log| log.file.as_str()).collect::<Vec<_>>().join(", "),
        report: trace(report, 10),
        length: end - start,
        lanes: Vec::new(),
        locks: Vec::new(),
        sites: Vec::new(),
        list: list(report, start),
        dropped: logs.iter().map(|log| log.dropped).sum(),
        start: String::new(),
        dur: String::new(),
        lane: String::new(),
        kind: String::new(),
        lock: String::new(),
        site: String::new(),
    };
    let total = logs.iter().map(|log| log.spans.len()).sum();
    let mut starts: Vec<f64> = Vec::with_capacity(total);
    let mut durations: Vec<f64> = Vec::with_capacity(total);
    let (mut lanes, mut locks, mut sites) = (Vec::new(), Vec::new(), Vec::new());
    let mut kinds: Vec<u8> = Vec::with_capacity(total);
    for (number, log) in logs.iter().enumerate() {
        // Only threads that hold or wait have a lane.
        let mut lane_of: Vec<Option<u32>> = vec![None; log.threads.len()];
        let (first_lock, first_site) = (data.locks.len() as u32, data.sites.len() as u32);
        for span in &log.spans {
            let lane = *lane_of[span.thread as usize].get_or_insert_with(|| {
                let name = &log.threads[span.thread as usize].1;
                data.lanes.push(match logs.len() {
                    1 => name.clone(),
                    _ => format!("{}: {name}", number + 1),
                });
                data.lanes.len() as u32 - 1
            });
            starts.push(span.start.saturating_sub(start) as f64);
            durations.push((span.end - span.start) as f64);
            lanes.push(lane);
            kinds.push(match (span.kind, span.is_bql) {
                (Kind::Holds, true) => 0,
                (Kind::Holds, false) => 1,
                (Kind::Waits, _) => 2,
                (Kind::Condition, _) => 3,
            });
            locks.push(first_lock + span.class);
            sites.push(first_site + span.site);
        }
        data.locks.extend(log.locks.iter().cloned());
        data.sites.extend(log.sites.iter().cloned());
    }
    data.start = base64(starts.iter().flat_map(|value| value.to_le_bytes()));
    data.dur = base64(durations.iter().flat_map(|value| value.to_le_bytes()));
    data.lane = base64(lanes.iter().flat_map(|value: &u32| value.to_le_bytes()));
    data.kind = base64(kinds.iter().copied());
    data.lock = base64(locks.iter().flat_map(|value: &u32| value.to_le_bytes()));
    data.site = base64(sites.iter().flat_map(|value: &u32| value.to_le_bytes()));
    // Nothing in the data may end the script that it is in.
    let json = serde_json::to_string(&data).expect("strings and numbers").replace('<', "\\u003c");
    PAGE.replace("@DATA@", &json)
}

/// Findings, then the longest holds.
fn list(report: &Report, start: u64) -> Vec<(String, u64, u64)> {
    let from = |us: u64| us.saturating_sub(start);
    let findings = report.findings.iter().filter_map(|finding| {
        let line = format!("{}: {}", finding.rule, finding.message);
        finding.at_us.map(|at| (line, from(at), finding.held_us.unwrap_or(1000)))
    });
    let holds = report.longest.iter().map(|hold| {
        let line = format!("{} by {} from {}", time(hold.held_us), hold.thread, hold.site);
        (line, from(hold.at_us), hold.held_us)
    });
    findings.chain(holds).collect()
}

/// RFC 4648, with padding.
fn base64(mut bytes: impl Iterator<Item = u8>) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    while let Some(first) = bytes.next() {
        let (second, third) = (bytes.next(), bytes.next());
        let word = u32::from(first) << 16
            | u32::from(second.unwrap_or(0)) << 8
            | u32::from(third.unwrap_or(0));
        let present = 2 + usize::from(second.is_some()) + usize::from(third.is_some());
        for nth in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * nth)) as usize & 63];
            text.push(if nth < present { letter as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            assert_eq!(base64(bytes.bytes()), text);
        }
        assert_eq!(base64("foobar".bytes()), "Zm9vYmFy");
    }
}
