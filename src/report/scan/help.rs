//! What can be done about a finding, in a sentence.
//! Must not know: the form in which it is shown.

use super::clean::clean;
use crate::lock::Rule;
use crate::scan::Finding;

/// The BQL's functions as a tree of this version spells them: to take, to
/// release.
fn spelling(version: &str) -> (&'static str, &'static str) {
    let major = version.split('.').next().and_then(|number| number.parse::<u32>().ok());
    // Renamed in 9.0.
    match major {
        Some(0..9) => ("qemu_mutex_lock_iothread()", "qemu_mutex_unlock_iothread()"),
        _ => ("bql_lock()", "bql_unlock()"),
    }
}

/// What can be done about `finding` in a tree of this version.
pub fn help(finding: &Finding, version: &str) -> String {
    let (lock, unlock) = spelling(version);
    let function = clean(&finding.function);
    match finding.rule {
        Rule::NeedsBql => {
            format!("take the BQL round the call, with {lock}, in {function}() or in a caller")
        }
        Rule::MustNotHold => {
            format!("release the BQL round the call: {unlock} before it, {lock} after it")
        }
        Rule::TakenTwice => "take it in one place: call a variant that expects it held".into(),
        Rule::Unbalanced => "go through the unlock on each way out, or let a guard do it: \
             QEMU_LOCK_GUARD(), WITH_QEMU_LOCK_GUARD()"
            .into(),
        Rule::WaitForever => {
            "release the lock round the wait, or let a thread end it that does not need the lock"
                .into()
        }
        Rule::HeldWaiting => {
            format!("release it round the wait ({unlock}, {lock} for the BQL), or wait elsewhere")
        }
        Rule::Stalled => format!("release the BQL between the steps: {unlock}, {lock}"),
        Rule::OrderInversion => "take the two in one order everywhere".into(),
        Rule::NotPostcopiable => {
            "refuse a section whose handler has no has_postcopy, before it is loaded".into()
        }
        Rule::IllegalTransition => "check and change the state in one step, under one lock".into(),
        Rule::GuestLost => "pause and let the user recover, rather than exit".into(),
        Rule::UseAfterTeardown => {
            "join its user first, or take and clear the pointer under a lock".into()
        }
        Rule::NeverJoined => "join it, without a lock that it takes, or detach it".into(),
        Rule::DataRace => "take one lock round both, or make both atomic".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_is_the_tree_s() {
        assert_eq!(spelling("7.2.22").0, "qemu_mutex_lock_iothread()");
        assert_eq!(spelling("8.2.0").0, "qemu_mutex_lock_iothread()");
        for version in ["9.0.0", "10.0.2", "unknown", ""] {
            assert_eq!(spelling(version).0, "bql_lock()", "{version}");
        }
    }
}
