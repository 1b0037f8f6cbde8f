//! Any bytes as a log, or as two with the byte 0x1e between them: no panic, and no
//! difference if they come in pieces.

#![no_main]

use bqlcheck::report;
use bqlcheck::sim::Plan;
use bqlcheck::trace::{Options, Recorder, Report, Run, timeline};
use libfuzzer_sys::fuzz_target;

fn read(bytes: &[u8], piece: usize) -> Option<String> {
    let conform = Some(Plan::built_in("qemu-10.0").expect("built in"));
    let options = Options { max_hold: 10, conform, ..Options::default() };
    let mut runs = Vec::new();
    for log in bytes.splitn(2, |byte| *byte == 0x1e) {
        let mut run = Run::new("log", &options, Recorder::default());
        log.chunks(piece).for_each(|bytes| run.feed(bytes));
        run.end().ok()?;
        runs.push(run);
    }
    let report = Report::of(&runs);
    let timelines: Vec<_> = runs.iter().map(timeline).collect();
    report::trace_html(&timelines, &report);
    let perfetto = report::trace_perfetto(&timelines);
    assert!(serde_json::from_str::<serde_json::Value>(&perfetto).is_ok(), "{perfetto}");
    Some(report::trace(&report, 10))
}

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(read(bytes, 1 << 20), read(bytes, 7));
});
