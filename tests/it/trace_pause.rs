//! The replay of a fault thread that pauses: when it may, and what follows.

use crate::trace_conform::emitted;
use bqlcheck::sim::{Plan, Scenario};
use bqlcheck::trace::conform::Conform;

/// A recovery of the simulator, in which the fault thread asks for a page, pauses
/// after the listen thread, and goes on: without the locks.
fn recovery(plan: &Plan) -> Vec<String> {
    let scenario = Scenario::built_in("postcopy-recover").expect("built in");
    let logs = (1..100).map(|seed| emitted(plan, &scenario, seed).destination);
    let events = |log: String| -> Vec<String> {
        log.lines().filter(|line| !line.contains("qemu_mutex")).map(String::from).collect()
    };
    let at = |log: &[String], event: &str| log.iter().position(|line| line.contains(event));
    let fits = |log: &Vec<String>| {
        let pause = at(log, ":postcopy_pause_fault_thread ");
        let before = pause.map(|pause| {
            let thread = &log[pause][..5];
            log[..pause].iter().rposition(|line| line.starts_with(thread)).expect("it has begun")
        });
        let listen = at(log, ":postcopy_pause_incoming ");
        let asked = before.filter(|before| log[*before].contains("migrate_send_rp_message 4:"));
        // The page that was asked for last comes after the recovery.
        let comes = log.iter().rposition(|line| line.contains("postcopy_page_req_del"));
        asked.is_some() && listen > before && comes > pause
    };
    logs.map(events).find(fits).expect("one of a hundred")
}

/// What becomes of `log`: why it is refused, or that it is not.
fn refusal(log: &[String], plan: &Plan) -> Option<String> {
    let mut replay = Conform::new(plan.clone());
    for (nth, line) in log.iter().enumerate() {
        replay.read(line.as_bytes(), nth as u64 + 1);
    }
    replay.outcome(0).refused.map(|refused| format!("{}: {}", refused.event, refused.reason))
}

#[test]
fn a_fault_thread_whose_request_fails_pauses_first() {
    let plan = Plan::built_in("qemu-10.0").expect("built in");
    let log = recovery(&plan);
    assert_eq!(refusal(&log, &plan), None);
    let at = |log: &[String], event: &str| {
        log.iter().position(|line| line.contains(event)).expect("it is there")
    };
    let pause = at(&log, ":postcopy_pause_fault_thread ");
    let thread = &log[pause][..5];
    let asked = log[..pause].iter().rposition(|line| line.starts_with(thread)).expect("it asks");

    // Straight after the request, before the listen thread knows; then once more.
    let mut ahead = log.clone();
    let moved = ahead.remove(pause);
    ahead.insert(asked + 1, moved);
    let again = ahead[asked].clone();
    let on = at(&ahead, "postcopy_pause_fault_thread_continued");
    ahead.insert(on + 1, again.clone());
    assert_eq!(refusal(&ahead, &plan), None, "{}", ahead.join("\n"));

    // The same where no request was sent: with nothing to fail, it does not pause.
    let mut idle = ahead.clone();
    idle.remove(on + 1);
    idle.swap(asked + 1, asked);
    let first = refusal(&idle, &plan).expect("refused");
    assert_eq!(first, "postcopy_pause_fault_thread: the thread has something else to do first");
    let mut idle = log.clone();
    let moved = idle.remove(pause);
    let entry = at(&idle, ":postcopy_ram_fault_thread_request ");
    idle.insert(entry, moved);
    let reason = "no request has failed, and the listen thread has not paused";
    let first = refusal(&idle, &plan).expect("refused");
    assert_eq!(first, format!("postcopy_pause_fault_thread: {reason}"));

    // It goes on before there is a RESUME.
    let mut early = ahead.clone();
    let continued = early.remove(on);
    early.insert(at(&early, ":loadvm_postcopy_handle_resume"), continued);
    let first = refusal(&early, &plan).expect("refused");
    assert_eq!(first, "postcopy_pause_fault_thread_continued: nobody has recovered");

    // It was the request that failed, and it does not ask again.
    let mut lazy = ahead;
    let fault = at(&lazy, ":postcopy_ram_fault_thread_request ");
    let next = lazy[fault].replace("7f0000000000", "7f0000002000").replace("0x0 ", "0x2000 ");
    lazy[on + 1] = next;
    let first = refusal(&lazy, &plan).expect("refused");
    assert!(first.ends_with("the thread has something else to do first"), "{first}");
}
