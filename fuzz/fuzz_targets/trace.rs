//! Any bytes as a log: no panic, and no difference if they come in pieces.

#![no_main]

use bqlcheck::report;
use bqlcheck::sim::Plan;
use bqlcheck::trace::{Options, Recorder, Report, Run, timeline};
use libfuzzer_sys::fuzz_target;

fn read(bytes: &[u8], piece: usize) -> Option<String> {
    let conform = Some(Plan::built_in("qemu-10.0").expect("built in"));
    let options = Options { max_hold: 10, conform, ..Options::default() };
    let mut run = Run::new("log", &options, Recorder::default());
    bytes.chunks(piece).for_each(|bytes| run.feed(bytes));
    run.end().ok()?;
    let runs = [run];
    let report = Report::of(&runs);
    let timelines = [timeline(&runs[0])];
    report::trace_perfetto(&timelines);
    report::trace_html(&timelines, &report);
    Some(report::trace(&report, 10))
}

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(read(bytes, 1 << 20), read(bytes, 7));
});
