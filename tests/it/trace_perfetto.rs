//! The timeline for Perfetto is a document of Chrome's Trace Event Format: which
//! fields each phase has, what pairs up, how events of a thread nest. The UI itself
//! is not tried here.

use crate::trace::capture;
use crate::trace_conform::emitted;
use bqlcheck::report;
use bqlcheck::sim::{Plan, Scenario};
use bqlcheck::trace::{Options, Recorder, Run, timeline};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What each phase must have besides `ph`, `name` and `pid`.
const FIELDS: [(&str, &[&str]); 7] = [
    ("M", &["args"]),
    ("X", &["cat", "tid", "ts", "dur", "args"]),
    ("b", &["cat", "tid", "ts", "id", "args"]),
    ("e", &["cat", "tid", "ts", "id"]),
    ("s", &["cat", "tid", "ts", "id"]),
    ("f", &["cat", "tid", "ts", "id", "bp"]),
    ("i", &["tid", "ts", "s"]),
];

fn number(event: &Value, key: &str) -> u64 {
    event[key].as_u64().unwrap_or_else(|| panic!("{key} is no number in {event}"))
}

/// Process and thread.
fn track(event: &Value) -> (u64, u64) {
    (number(event, "pid"), number(event, "tid"))
}

/// Holds `text` to the format; says how many events of each phase there are.
fn check(text: &str) -> Result<BTreeMap<String, usize>, String> {
    let document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let events = document["traceEvents"].as_array().ok_or("no traceEvents")?;
    let mut counts = BTreeMap::new();
    let mut slices: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
    let mut pairs: BTreeMap<(String, String), Vec<&Value>> = BTreeMap::new();
    let mut named = BTreeSet::new();
    for event in events {
        let phase = event["ph"].as_str().ok_or("no phase")?;
        let known = FIELDS.iter().find(|(known, _)| *known == phase);
        let (_, fields) = known.ok_or(format!("phase {phase}"))?;
        let has = |key: &&str| event.get(*key).is_some();
        if !event["name"].is_string() || !["pid"].iter().chain(*fields).all(has) {
            return Err(format!("a field is missing: {event}"));
        }
        *counts.entry(phase.to_string()).or_default() += 1;
        match phase {
            "M" if event["name"] == "thread_name" => drop(named.insert(track(event))),
            "M" if event["name"] == "process_name" => {}
            "M" => return Err(format!("it names nothing: {event}")),
            "X" => {
                let start = number(event, "ts");
                let end = start + number(event, "dur");
                slices.entry(track(event)).or_default().push((start, end));
            }
            "b" | "e" | "s" | "f" => {
                let kind = if "be".contains(phase) { "async" } else { "flow" };
                let id = format!("{} {}", event["cat"], event["id"]);
                pairs.entry((kind.into(), id)).or_default().push(event);
            }
            _ => {}
        }
        if phase != "M" && !named.contains(&track(event)) {
            return Err(format!("a thread without a name: {event}"));
        }
    }
    for ((kind, id), pair) in &pairs {
        let phases: Vec<_> = pair.iter().map(|event| event["ph"].as_str().unwrap_or("")).collect();
        // So there are two.
        if phases != ["b", "e"] && phases != ["s", "f"] {
            return Err(format!("{kind} {id} is {phases:?}"));
        }
        let (first, last) = (pair[0], pair[1]);
        if number(first, "ts") > number(last, "ts") || first["pid"] != last["pid"] {
            return Err(format!("{kind} {id} goes back, or to another process"));
        }
        for event in pair.iter().filter(|_| kind == "flow") {
            let at = number(event, "ts");
            let within = |(start, end): &(u64, u64)| *start <= at && (at < *end || start == end);
            if !slices.get(&track(event)).is_some_and(|slices| slices.iter().any(within)) {
                return Err(format!("an arrow in the air: {event}"));
            }
        }
    }
    for (track, slices) in &mut slices {
        slices.sort_by_key(|(start, end)| (*start, std::cmp::Reverse(*end)));
        let mut open: Vec<u64> = Vec::new();
        for (start, end) in slices {
            while open.last().is_some_and(|outer| outer <= start) {
                open.pop();
            }
            if open.last().is_some_and(|outer| outer < end) {
                return Err(format!("{track:?}: [{start}, {end}] is only half in another"));
            }
            open.push(*end);
        }
    }
    Ok(counts)
}

fn document(logs: &[&str]) -> String {
    let read = |log: &&str| {
        let mut run = Run::new("log", &Options::default(), Recorder::default());
        run.feed(log.as_bytes());
        run.end().expect("it has locks");
        timeline(&run)
    };
    report::trace_perfetto(&logs.iter().map(read).collect::<Vec<_>>())
}

#[test]
fn both_logs_of_a_run_of_the_simulator_are_one_document() {
    let plan = Plan::built_in("qemu-10.0").expect("built in");
    let scenario = Scenario::built_in("postcopy-recover").expect("built in");
    let logs = emitted(&plan, &scenario, 3);
    let counts = check(&document(&[&logs.source, &logs.destination])).expect("the format");
    assert!(["M", "X", "b", "e", "i"].iter().all(|phase| counts.contains_key(*phase)));
    assert_eq!(counts["b"], counts["e"]);
}

#[test]
fn captured_logs_are_documents_too() {
    for (name, slices, arrows) in [
        ("postcopy.qemu10-naive.destination.log.xz", 28_244, 37),
        ("postcopy.qemu10.destination.log.xz", 7_804, 23),
        ("postcopy-recover.qemu10.destination.log.xz", 9_693, 23),
    ] {
        let Some(path) = capture(name) else { return };
        let packed = std::fs::read(path).expect("readable");
        let mut text = Vec::new();
        lzma_rs::xz_decompress(&mut &packed[..], &mut text).expect("xz");
        let text = String::from_utf8(text).expect("text");
        let counts = check(&document(&[&text])).expect(name);
        assert_eq!((counts["X"], counts["s"]), (slices, arrows), "{name}");
    }
}

#[test]
fn what_is_not_of_the_format_is_noticed() {
    let plan = Plan::built_in("qemu-10.0").expect("built in");
    let scenario = Scenario::built_in("postcopy-recover").expect("built in");
    let logs = emitted(&plan, &scenario, 3);
    let good = document(&[&logs.source, &logs.destination]);
    let arrow = |ts: u64| {
        let of = |phase: &str, tid: u64, ts: u64| {
            format!(
                "{{\"ph\": \"{phase}\", \"bp\": \"e\", \"cat\": \"c\", \"name\": \"n\", \
                 \"id\": \"x\", \"pid\": 2, \"tid\": {tid}, \"ts\": {ts}}}"
            )
        };
        format!(",\n{},\n{}\n]}}", of("s", 1000, ts), of("f", 1000, ts))
    };
    let slice = "\"pid\": 2, \"tid\": 1000, \"args\": {}, \"cat\": \"c\", \"name\": \"n\"";
    let half = format!(
        ",\n{{\"ph\": \"X\", \"ts\": 900000, \"dur\": 10, {slice}}},\n\
         {{\"ph\": \"X\", \"ts\": 900005, \"dur\": 10, {slice}}}\n]}}"
    );
    for (bad, what) in [
        (good.replace("\"dur\"", "\"duration\""), "a field is missing"),
        (good.replace("\"ph\": \"e\"", "\"ph\": \"b\""), "async"),
        (good.replace("\"2.", "\"1."), "async"),
        (good.replace("\"thread_name\"", "\"name\""), "it names nothing"),
        (good.replace("\n]}", &arrow(999_999)), "an arrow in the air"),
        (good.replace("\n]}", &half), "only half in another"),
    ] {
        let error = check(&bad).expect_err(what);
        assert!(error.contains(what), "{error}, where {what} was due");
    }
}
