//! What QEMU's handlers may expect of their callers, by `models/contracts/*.json`,
//! and whether the calls of an execution kept to it.
//! Must not know: what the handlers do.

use super::judge::{Breach, name};
use super::kernel::state::{Call, Kernel};
use crate::lock::Rule;
use crate::sim::Version;
use serde::Deserialize;

/// One of the files, as far as it is about handlers.
#[derive(Debug, Deserialize)]
pub struct Contract {
    hooks: Vec<Hook>,
}

#[derive(Debug, Deserialize)]
struct Hook {
    #[serde(rename = "type")]
    of: String,
    field: String,
    bql: Bql,
    /// The protocol says more of it: in postcopy, the listen thread may call it for
    /// those only that have `has_postcopy`. Our devices have none.
    #[serde(rename = "postcopy-fact")]
    postcopy_fact: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Bql {
    Held,
    NotHeld,
    Either,
}

impl Contract {
    /// That of a QEMU, as `10.0.13`: the last that is not newer.
    pub fn of(version: &str) -> Contract {
        let text = match Version::of_qemu(version) {
            Version::V10_2 => include_str!("../../models/contracts/10.2.json"),
            Version::V10_0 => include_str!("../../models/contracts/10.0.json"),
            Version::V7_2 => include_str!("../../models/contracts/7.2.json"),
        };
        serde_json::from_str(text).expect("built in, and read by a test")
    }

    fn hook(&self, call: &Call) -> Option<&Hook> {
        self.hooks.iter().find(|hook| hook.of == call.of && hook.field == call.field)
    }

    /// What the calls of our devices' handlers broke.
    pub fn judge(&self, state: &Kernel) -> Vec<Breach> {
        let calls = state.calls.iter().filter_map(|call| Some((call, self.hook(call)?)));
        calls.flat_map(|(call, hook)| hook.judge(call, name(state, call.tid))).collect()
    }
}

impl Hook {
    fn judge(&self, call: &Call, thread: &str) -> Vec<Breach> {
        let handler = format!("{}.{}", self.of, self.field);
        let mut all = Vec::new();
        if self.postcopy_fact && listens(thread) {
            let message = format!("{thread} calls {handler} of a device without has_postcopy");
            all.push(Breach::new(Rule::NotPostcopiable, message));
        }
        match self.bql {
            Bql::Held if !call.held => {
                let message = format!("{thread} calls {handler} without the BQL");
                all.push(Breach::new(Rule::NeedsBql, message));
            }
            Bql::NotHeld if call.held => {
                let message = format!("{thread} calls {handler} with the BQL");
                all.push(Breach::new(Rule::MustNotHold, message));
            }
            _ => {}
        }
        all
    }
}

/// The thread that loads what comes after POSTCOPY_RUN: `postcopy/listen`, since
/// 9.1 `mig/dst/listen`.
fn listens(thread: &str) -> bool {
    thread.ends_with("/listen")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(version: &str, field: &'static str, thread: &str, held: bool) -> Vec<Rule> {
        let call = Call { tid: 0, of: "SaveVMHandlers", field, held };
        let contract = Contract::of(version);
        let hook = contract.hook(&call).expect("in the contract");
        hook.judge(&call, thread).iter().map(|breach| breach.rule).collect()
    }

    #[test]
    fn a_handler_is_called_as_the_contract_says() {
        for version in ["7.2.22", "10.0.13", "10.2.2", "11.0.0"] {
            assert_eq!(judged(version, "load_cleanup", "main", true), []);
            assert_eq!(judged(version, "load_state", "main", true), []);
        }
        assert_eq!(judged("7.2.22", "load_cleanup", "postcopy/listen", false), [Rule::NeedsBql]);
        assert_eq!(judged("7.2.22", "save_setup", "main", true), [Rule::MustNotHold]);
        assert_eq!(judged("10.0.13", "save_setup", "main", true), []);
    }

    #[test]
    fn only_what_is_postcopiable_is_loaded_by_the_listen_thread() {
        let both = [Rule::NotPostcopiable, Rule::NeedsBql];
        assert_eq!(judged("10.0.13", "load_state", "mig/dst/listen", false), both);
        let one = [Rule::NotPostcopiable];
        assert_eq!(judged("10.0.13", "load_state", "mig/dst/listen", true), one);
        assert_eq!(judged("10.0.13", "load_cleanup", "mig/dst/listen", true), []);
    }
}
