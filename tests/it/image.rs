//! Whole memory images through postcopy on real threads.

use bqlcheck::lock::Rule;
use bqlcheck::sim::image::{Job, Migrated, run};
use bqlcheck::sim::{Plan, Scenario};
use std::path::Path;
use std::time::Duration;

fn migrate(plan: &str, image: &[u8], seed: u64, limit: Duration) -> Migrated {
    let plan = Plan::built_in(plan).expect("built in");
    let scenario = Scenario::built_in("postcopy-recover").expect("built in");
    let progress = |_, _| {};
    let job = Job { plan: &plan, scenario: &scenario, image, seed, limit, progress: &progress };
    run(&job).expect("an image can be had in this scenario")
}

/// 2 MiB, every seventh page all zeroes.
fn image() -> Vec<u8> {
    let page = |n: usize| {
        (0..4096).map(move |byte| if n.is_multiple_of(7) { 0 } else { (n * 31 + byte) as u8 })
    };
    (0..512).flat_map(page).collect()
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn an_image_is_the_same_after_postcopy_with_one_recovery() {
    let image = image();
    for seed in 0..100 {
        let migrated = migrate("qemu-10.0", &image, seed, PATIENCE);
        assert!(migrated.completed && migrated.differs_at.is_none(), "seed {seed}: {migrated:?}");
        assert_eq!(migrated.recoveries, 1, "seed {seed}");
        assert!(
            migrated.violations.is_empty() && migrated.hang.is_empty(),
            "seed {seed}: {migrated:?}"
        );
    }
}

#[test]
fn a_real_guest_is_the_same_after_postcopy_with_one_recovery() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures/precopy.qemu10.pc-ram.xz");
    let Ok(packed) = std::fs::read(&file) else {
        println!("skipped: no ../shared/captures here");
        return;
    };
    let mut image = Vec::new();
    lzma_rs::xz_decompress(&mut &packed[..], &mut image).expect("an xz file");
    assert_eq!(image.len(), 25_165_824);
    for seed in 0..100 {
        let migrated = migrate("qemu-10.0", &image, seed, PATIENCE);
        assert!(migrated.completed && migrated.differs_at.is_none(), "seed {seed}: {migrated:?}");
        assert_eq!(migrated.recoveries, 1, "seed {seed}");
    }
}

#[test]
fn the_recovery_deadlock_is_there_on_real_threads_too() {
    let cycle = "main waits for bql; mig/dst/listen waits for postcopy_pause_sem_dst";
    // The system schedules: on a busy machine the break may come after the pages.
    let mut runs = Vec::new();
    for seed in 1..=20 {
        let migrated = migrate("bql-around-loadvm-main-accept", &image(), seed, PATIENCE);
        let found = migrated
            .violations
            .iter()
            .any(|(rule, message)| *rule == Rule::WaitForever && message.contains(cycle));
        if found {
            assert!(!migrated.completed, "{migrated:?}");
            return;
        }
        runs.push(migrated);
    }
    panic!("none of 20 runs: {runs:?}");
}

#[test]
fn a_watchdog_ends_a_run_and_says_who_waits_for_what() {
    let image: Vec<u8> = std::iter::repeat_n(image(), 16).flatten().collect();
    let waits = "mon_iothread waits for MIGRATION event (destination) (sem_wait) in management";
    // However busy the machine is, one of these finds the threads under way.
    let shown = [5, 10, 20, 40].into_iter().any(|patience| {
        let migrated = migrate("qemu-10.0", &image, 1, Duration::from_millis(patience));
        !migrated.completed && migrated.hang.iter().any(|line| line.starts_with(waits))
    });
    assert!(shown);
}
