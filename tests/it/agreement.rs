//! Two sets of outcomes held against one another, and the file that explains what is
//! not reached.

use bqlcheck::exec::agree::{Agreement, Comparison, Verdict, compare};
use bqlcheck::sim::{Outcome, Plan, Scenario, Side};
use std::collections::BTreeMap;

const DONE: &str = "setup > active > completed; rests";
const FAILED: &str = "setup > active > failed; exits";
const STUCK: &str = "setup > active; hangs";

fn outcome(text: &str) -> Outcome {
    text.parse().expect("well formed")
}

fn compared(
    allowed: &[&str],
    complete: bool,
    seen: &[(&str, u64)],
    reasons: &[&str],
) -> Comparison {
    let allowed: Vec<Outcome> = allowed.iter().map(|text| outcome(text)).collect();
    let seen: BTreeMap<Outcome, u64> = seen.iter().map(|(o, n)| (outcome(o), *n)).collect();
    let because = |text: &&str| (outcome(text), "because".to_string());
    compare(&allowed, complete, &seen, &reasons.iter().map(because).collect())
}

#[test]
fn all_that_is_allowed_was_seen() {
    let same = compared(&[DONE, FAILED], true, &[(DONE, 5), (FAILED, 1)], &[]);
    assert_eq!(same.verdict, Verdict::Agree);
    let counts: Vec<u64> = same.rows.iter().map(|row| row.seen).collect();
    assert_eq!(counts, [5, 1]);
}

#[test]
fn what_is_not_allowed_is_a_disagreement() {
    let more = compared(&[DONE], true, &[(DONE, 5), (STUCK, 1)], &[]);
    assert_eq!(more.verdict, Verdict::Disagree);
    let strange: Vec<&str> =
        more.rows.iter().filter(|row| !row.allowed).map(|row| row.outcome.as_str()).collect();
    assert_eq!(strange, [STUCK]);
    // No explanation makes it good.
    assert_eq!(compared(&[DONE], true, &[(STUCK, 1)], &[STUCK]).verdict, Verdict::Disagree);
}

#[test]
fn what_was_not_seen_is_to_be_explained() {
    let left = compared(&[DONE, FAILED], true, &[(DONE, 5)], &[]);
    assert_eq!(left.verdict, Verdict::Inconclusive);
    let explained = compared(&[DONE, FAILED], true, &[(DONE, 5)], &[FAILED]);
    assert_eq!(explained.verdict, Verdict::Agree);
    assert_eq!(explained.rows[1].reason.as_deref(), Some("because"));
}

#[test]
fn an_explanation_is_to_be_of_use() {
    let seen = compared(&[DONE], true, &[(DONE, 5)], &[DONE]);
    assert_eq!((seen.verdict, seen.unused), (Verdict::Inconclusive, vec![DONE.to_string()]));
    let gone = compared(&[DONE], true, &[(DONE, 5)], &[STUCK]);
    assert_eq!((gone.verdict, gone.unused), (Verdict::Inconclusive, vec![STUCK.to_string()]));
}

#[test]
fn a_model_that_was_not_seen_to_its_end_decides_nothing() {
    assert_eq!(compared(&[DONE], false, &[(DONE, 5)], &[]).verdict, Verdict::Inconclusive);
    assert_eq!(compared(&[DONE], false, &[(STUCK, 5)], &[]).verdict, Verdict::Inconclusive);
}

#[test]
fn the_file_names_what_there_is() {
    let agreement = Agreement::built_in().expect("part of the package");
    let scenarios: Vec<&str> = Scenario::names().collect();
    let exec = bqlcheck::exec::scenario::names();
    let plans: Vec<&str> = Plan::names().collect();
    for pair in &agreement.pairs {
        assert!(scenarios.contains(&pair.scenario.as_str()), "{}", pair.scenario);
        assert!(pair.or.iter().all(|name| scenarios.contains(&name.as_str())), "{:?}", pair.or);
        assert!(pair.exec.iter().all(|name| exec.contains(&name.as_str())), "{:?}", pair.exec);
        assert!(pair.plans.iter().all(|name| plans.contains(&name.as_str())), "{:?}", pair.plans);
    }
    for explanation in &agreement.explanations {
        for plan in &explanation.plans {
            let concerned = agreement.pairs.iter().any(|pair| {
                pair.scenario == explanation.scenario
                    && pair.side == explanation.side
                    && pair.concerns(plan)
            });
            assert!(concerned, "{plan}, {}, {}", explanation.scenario, explanation.side);
        }
        assert!(explanation.reason.len() > 20, "{}", explanation.reason);
    }
}

#[test]
fn a_broken_file_is_told_with_its_place() {
    let bad = |text: &str| Agreement::parse(text).expect_err("broken").to_string();
    let head = r#"{"schema": 1, "pairs": [], "explanations": ["#;
    let one = r#"{"plans": ["p"], "scenario": "s", "side": "source", "outcomes": ["x"],
        "reason": "r"}]}"#;
    assert!(bad(&format!("{head}{one}")).contains("\"x\" is no outcome"));
    assert!(bad(r#"{"schema": 2, "pairs": [], "explanations": []}"#).contains("schema 2"));
    let side = r#"{"schema": 1, "pairs": [{"scenario": "s", "side": "left", "exec": []}],
        "explanations": []}"#;
    assert!(bad(side).contains("unknown variant `left`"));
}

#[test]
fn explanations_are_of_one_plan_scenario_and_side() {
    let text = r#"{"schema": 1, "pairs": [
        {"scenario": "s", "side": "source", "exec": ["e"]},
        {"scenario": "s", "side": "destination", "exec": ["e"], "plans": ["q"]}],
      "explanations": [{"plans": ["p"], "scenario": "s", "side": "source",
        "outcomes": ["setup; waits"], "reason": "r"}]}"#;
    let agreement = Agreement::parse(text).expect("well formed");
    let [source, destination] = &agreement.pairs[..] else { panic!("two") };
    assert_eq!(agreement.reasons("p", source).len(), 1);
    assert_eq!(agreement.reasons("q", source).len(), 0);
    assert_eq!(agreement.reasons("p", destination).len(), 0);
    assert!(source.concerns("p") && !destination.concerns("p") && destination.concerns("q"));
    assert_eq!(source.side, Side::Source);
}
