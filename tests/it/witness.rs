//! Witnesses: the fewest switches, then steps, of all schedules; and schedules by
//! name, there and back.

use crate::script::{Do, Script};
use crate::toys::{TwoLocks, scripts};
use bqlcheck::explore::{
    Found, Limits, Reason, Step, dpor, exhaustive, is_minimal, name_schedule, replay, shorten,
    shortest, switches, witness,
};
use bqlcheck::runtime::controlled::Execution;
use bqlcheck::runtime::{Choice, Program, Violation};
use std::sync::Arc;
use std::sync::atomic::Ordering;

type Cost = (usize, usize);

fn cost(schedule: &[Choice]) -> Cost {
    (switches(schedule), schedule.len())
}

/// Every toy with each violation it has.
fn violations() -> impl Iterator<Item = (&'static str, Arc<Script>, Found)> {
    scripts().into_iter().flat_map(|(name, script)| {
        let script = Arc::new(script);
        let found = exhaustive(&script, &Limits::default()).found;
        found.into_iter().map(move |found| (name, script.clone(), found))
    })
}

/// The least cost of all schedules that show `target`, by trying them all.
fn least<P: Program>(program: &Arc<P>, target: &Violation, path: &mut Vec<Choice>) -> Option<Cost> {
    let mut execution = Execution::new(program, |_| {});
    path.iter().for_each(|choice| execution.step(*choice));
    let choices = execution.world(|world| world.choices(world.movable()));
    if choices.is_empty() {
        execution.judge();
    }
    let shows = execution.world(|world| {
        world.violations.iter().chain(&world.deadlocks()).any(|v| v.is_like(target))
    });
    if shows {
        return Some(cost(path));
    }
    let mut best = None;
    for choice in choices {
        path.push(choice);
        let found = least(program, target, path);
        best = best.into_iter().chain(found).min();
        path.pop();
    }
    best
}

#[test]
fn two_inverted_locks_need_one_switch() {
    let program = Arc::new(TwoLocks { inverted: true });
    let found = &exhaustive(&program, &Limits::default()).found[0];
    let schedule = shortest(&program, &found.violation, &Limits::default()).expect("a deadlock");
    assert_eq!(cost(&schedule), (1, 2));
    assert!(is_minimal(&program, &found.violation, &schedule));
}

#[test]
fn the_shortest_witness_is_the_cheapest_of_all_schedules() {
    let mut seen = 0;
    for (name, script, found) in violations() {
        let target = &found.violation;
        let schedule = shortest(&script, target, &Limits::default()).expect(name);
        assert_eq!(Some(cost(&schedule)), least(&script, target, &mut Vec::new()), "{name}");
        assert!(is_minimal(&script, target, &schedule), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 8);
}

#[test]
fn without_time_the_schedule_found_is_shortened() {
    let hurried = Limits::default();
    hurried.interrupted.store(true, Ordering::Relaxed);
    for (name, script, found) in violations() {
        assert!(shortest(&script, &found.violation, &hurried).is_none());
        let mut long = dpor(&script, &Limits::default()).found;
        long.retain(|other| other.violation.is_like(&found.violation));
        let schedule = witness(&script, &long[0], &hurried);
        assert!(cost(&schedule) <= cost(&long[0].schedule), "{name}");
        assert!(is_minimal(&script, &found.violation, &schedule), "{name}");
        assert_eq!(schedule, shorten(&script, &found.violation, &schedule), "{name}");
    }
}

#[test]
fn a_step_or_a_switch_too_many_is_not_minimal() {
    use Do::{Load, Lock};
    let script =
        Arc::new(Script::new(&[&[Load(0), Lock(0), Lock(1)], &[Lock(1), Lock(0)], &[Load(0)]]));
    let found = &exhaustive(&script, &Limits::default()).found[0];
    let by = |threads: &[u8]| -> Vec<Choice> {
        let step = |t: &u8| Choice { thread: bqlcheck::runtime::ThreadId(*t), alternative: 0 };
        threads.iter().map(step).collect()
    };
    let minimal = |threads: &[u8]| is_minimal(&script, &found.violation, &by(threads));
    assert!(minimal(&[0, 0, 1]) && minimal(&[1, 0, 0]));
    assert!(!minimal(&[0, 1, 0]), "a switch too many");
    assert!(!minimal(&[2, 0, 0, 1]), "a step too many");
    assert!(!minimal(&[0, 0, 1, 2]), "a step after the end");
    assert!(!minimal(&[0, 0]), "no witness at all");
}

#[test]
fn schedules_go_by_name_there_and_back() {
    for (name, script, found) in violations() {
        let steps = name_schedule(&script, &found.schedule);
        let text = serde_json::to_string(&steps).expect("plain data");
        let steps: Vec<Step> = serde_json::from_str(&text).expect("what was written");
        let replayed = replay(&script, &steps).expect(name);
        assert_eq!(replayed.choices, found.schedule, "{name}");
        assert!(replayed.violations.iter().any(|v| v.is_like(&found.violation)), "{name}");
        assert!(replayed.log.len() >= steps.len(), "{name}: acts are in the log as well");
    }
}

#[test]
fn a_divergence_says_where_and_why() {
    let program = Arc::new(TwoLocks { inverted: true });
    let found = &exhaustive(&program, &Limits::default()).found[0];
    let schedule = shortest(&program, &found.violation, &Limits::default()).expect("a deadlock");
    let steps = name_schedule(&program, &schedule);
    let lock = |thread: &str, object: &str, step: &str| Step {
        thread: thread.into(),
        operation: "lock".into(),
        object: object.into(),
        site: format!("toy: {step}"),
        alternative: 0,
    };
    assert_eq!(steps, [lock("first", "a", "outer"), lock("second", "b", "outer")]);
    let after = |step: Step| {
        let steps: Vec<Step> = steps.iter().cloned().chain([step]).collect();
        replay(&program, &steps).expect_err("nothing goes on from here")
    };
    let blocked = after(lock("first", "b", "inner"));
    assert_eq!((blocked.step, blocked.reason), (3, Reason::Blocked));
    assert_eq!(after(lock("third", "b", "inner")).reason, Reason::UnknownThread);
    let other = after(lock("first", "a", "inner"));
    assert_eq!(
        other.to_string(),
        "step 3: expected first: lock a (toy: inner), but it waits to do lock b (toy: inner); \
         could move: nobody"
    );
    let good = Arc::new(TwoLocks { inverted: false });
    let parted = replay(&good, &steps).expect_err("b is not the second's first lock there");
    assert_eq!((parted.step, parted.reason), (2, Reason::OtherOperation));
    assert_eq!(parted.movable, [lock("first", "b", "inner")]);
    let over: Vec<Step> =
        [lock("first", "a", "outer"), lock("first", "b", "inner"), lock("first", "b", "inner")]
            .to_vec();
    assert_eq!(replay(&good, &over).expect_err("it has ended").reason, Reason::Over);
    let odd = Step { alternative: 1, ..steps[0].clone() };
    assert_eq!(replay(&good, &[odd]).expect_err("one way only").reason, Reason::OtherAlternative);
}
