//! The checks that pass on the engines fail on every mutant of them.

use crate::reduction::{all, surprise};
use bqlcheck::runtime::Mutant;
use std::panic::{AssertUnwindSafe, catch_unwind};

const MUTANTS: [Mutant; 22] = [
    Mutant::RivalsOfLock,
    Mutant::RivalsOfEventIsSet,
    Mutant::RivalsOfDrain,
    Mutant::Breakers,
    Mutant::Exits,
    Mutant::LateActs,
    Mutant::Wakers,
    Mutant::GatedBranches,
    Mutant::AbortedSiblings,
    Mutant::Histories,
    Mutant::Queues,
    Mutant::Stalls,
    Mutant::Rescuers,
    Mutant::WakeSleepers,
    Mutant::ClockJoin,
    Mutant::ReleaseRaces,
    Mutant::OlderRaces,
    Mutant::Losers,
    Mutant::Barrier,
    Mutant::Fill,
    Mutant::Line,
    Mutant::Alternatives,
];

/// What gives `mutant` away: a surprise, or that the engine itself notices.
fn given_away_by(mutant: Mutant) -> Option<String> {
    all().into_iter().find_map(|(mut script, known)| {
        script.mutant = mutant;
        catch_unwind(AssertUnwindSafe(|| surprise(script, known)))
            .unwrap_or_else(|_| Some(format!("{}: a step that is not possible", known.0)))
    })
}

#[test]
fn every_mutant_is_caught() {
    assert_eq!(given_away_by(Mutant::None), None);
    let survivors: Vec<Mutant> =
        MUTANTS.into_iter().filter(|mutant| given_away_by(*mutant).is_none()).collect();
    assert!(survivors.is_empty(), "survived: {survivors:?}");
}
