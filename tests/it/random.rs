//! Random programs: the three explorations agree on findings and ends.

use crate::agree::Three;
use crate::script::{Do, Script};
use bqlcheck::runtime::Timing;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRng, TestRunner};

fn basic() -> BoxedStrategy<Do> {
    prop_oneof![
        (0..2usize).prop_map(Do::Lock),
        (0..2usize).prop_map(Do::Unlock),
        Just(Do::Post),
        Just(Do::Wait),
        Just(Do::Set),
        Just(Do::AwaitSet),
        Just(Do::IsSet),
        (0..2usize).prop_map(Do::Load),
        ((0..2usize), 1..3u64).prop_map(|(v, x)| Do::Store(v, x)),
        ((0..2usize), 0..2u64, 1..3u64).prop_map(|(v, a, b)| Do::Cas(v, a, b)),
        (1..3u64).prop_map(Do::Send),
        Just(Do::Recv),
        (0..2u64).prop_map(Do::SkipIf),
        Just(Do::Guarded),
    ]
    .boxed()
}

fn rich() -> BoxedStrategy<Do> {
    prop_oneof![
        4 => basic(),
        1 => Just(Do::Lock(0)),
        1 => Just(Do::TryLock(1)),
        1 => Just(Do::TimedWait),
        2 => Just(Do::Sleep),
        2 => Just(Do::Broadcast),
        1 => Just(Do::Choose(2)),
        1 => Just(Do::Break),
        1 => Just(Do::Reply(1)),
        1 => Just(Do::Hear),
        1 => Just(Do::Shutdown),
        1 => Just(Do::Fail),
        1 => prop_oneof![Just(Do::Exit), Just(Do::LockTwice), Just(Do::UnlockFree)],
        1 => Just(Do::Create(1)),
        1 => (0..2u8).prop_map(Do::Join),
    ]
    .boxed()
}

/// What goes over the line, and what ends it.
fn wired() -> BoxedStrategy<Do> {
    prop_oneof![
        4 => (1..3u64).prop_map(Do::Send),
        4 => Just(Do::Recv),
        2 => Just(Do::Reply(1)),
        2 => Just(Do::Hear),
        1 => Just(Do::Break),
        1 => Just(Do::Shutdown),
        1 => (0..2u64).prop_map(Do::SkipIf),
        1 => Just(Do::Load(0)),
        1 => Just(Do::Store(0, 1)),
        1 => prop_oneof![Just(Do::Post), Just(Do::Wait)],
        1 => prop_oneof![Just(Do::Exit), Just(Do::Fail), Just(Do::UnlockFree)],
    ]
    .boxed()
}

fn capacity() -> impl Strategy<Value = [usize; 2]> {
    let one = || prop_oneof![2 => Just(0), 2 => Just(1), 1 => Just(usize::MAX)];
    [one(), one()]
}

fn codes(one: BoxedStrategy<Do>) -> impl Strategy<Value = Vec<Vec<Do>>> {
    let three = prop::collection::vec(prop::collection::vec(one.clone(), 1..5), 3);
    let two = prop::collection::vec(prop::collection::vec(one, 1..7), 2);
    prop_oneof![two, three]
}

fn script(codes: &[Vec<Do>]) -> Script {
    Script::new(&codes.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn check(cases: u32, scripts: impl Strategy<Value = Script>) {
    let seed = std::env::var("BQLCHECK_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed.unwrap_or(1)));
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(config.rng_algorithm, &bytes);
    let agree = |script: Script| match Three::of(script).quarrel() {
        None => Ok(()),
        Some(how) => Err(TestCaseError::fail(how)),
    };
    if let Err(error) = TestRunner::new_with_rng(config, rng).run(&scripts, agree) {
        panic!("{error}");
    }
}

#[test]
fn basic_programs_agree() {
    let scripts =
        (codes(basic()), 0..2u32).prop_map(|(codes, tokens)| Script { tokens, ..script(&codes) });
    check(2000, scripts);
}

#[test]
fn programs_with_everything_agree() {
    let scripts = (codes(rich()), 0..2u32, 0..2u32, 0..2u32, capacity(), any::<bool>());
    let scripts = scripts.prop_map(|(codes, tokens, spurious, breaks, capacity, apart)| {
        let mut script = Script { tokens, spurious, breaks, capacity, ..script(&codes) };
        script.actors[1].process = u8::from(apart);
        script
    });
    check(2000, scripts);
}

#[test]
fn programs_with_breaking_channels_agree() {
    let scripts = (codes(wired()), 0..3u32, capacity(), any::<bool>());
    let scripts = scripts.prop_map(|(codes, breaks, capacity, apart)| {
        let mut script = Script { breaks, capacity, ..script(&codes) };
        script.actors[1].process = u8::from(apart);
        script
    });
    check(2000, scripts);
}

#[test]
fn programs_with_an_environment_agree() {
    let outside = prop::collection::vec(rich(), 1..4);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let scripts =
        (codes(prop_oneof![rich(), wired()].boxed()), outside, 0..2u32, capacity(), flags);
    let scripts =
        scripts.prop_map(|(codes, outside, breaks, capacity, (paced, stalls, people))| {
            let stall_bound = if stalls { 0 } else { u32::MAX };
            let timing = Timing::Idle;
            let script = script(&codes);
            let mut script =
                Script { timing, breaks, paced, people, capacity, stall_bound, ..script };
            script.actors[0].vcpu = stalls;
            script.and_environment(&outside)
        });
    check(1000, scripts);
}
