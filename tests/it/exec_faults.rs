//! What `exec` may let happen out of turn: how it is asked for, and how it is told.

use crate::cli::run;
use bqlcheck::exec::job::Faults;

#[test]
fn they_are_asked_for_by_name() {
    let faults: Faults = "timeouts=2,eintr=1".parse().expect("well formed");
    assert_eq!(faults, Faults { timeouts: 2, eintr: 1, ..Faults::default() });
    assert_eq!(faults.to_string(), "at most 2 early time-outs, 1 call that ends with EINTR");
    let all: Faults = "short=3,spurious=1".parse().expect("well formed");
    assert_eq!(all.to_string(), "at most 3 short reads or writes, 1 spurious wake-up");
    assert!(!all.is_none() && "eintr=0".parse::<Faults>().expect("well formed").is_none());
}

#[test]
fn what_is_wrong_is_said() {
    for (text, wanted) in [
        ("", "has no number"),
        ("timeouts", "\"timeouts\" has no number: as timeouts=2"),
        ("sleep=1", "nothing is called \"sleep\"; one of timeouts, eintr, short, spurious"),
        ("eintr=-1", "eintr takes a number from 0 to 1000"),
        ("eintr=1001", "eintr takes a number from 0 to 1000"),
        ("short=1,short=2", "short is given twice"),
    ] {
        let said = text.parse::<Faults>().expect_err(text);
        assert!(said.contains(wanted), "{said}");
    }
    let (code, _, said) = run(&["exec", "--build", "none", "--faults", "sleep=1"]);
    assert_eq!(code, 2);
    assert!(said.contains("nothing is called \"sleep\""), "{said}");
}

#[test]
fn a_witness_that_does_not_name_them_has_none() {
    let faults: Faults = serde_json::from_str(r#"{"eintr": 2}"#).expect("the rest is 0");
    assert_eq!(faults, Faults { eintr: 2, ..Faults::default() });
    assert!(serde_json::from_str::<Faults>(r#"{"sleep": 1}"#).is_err());
}
