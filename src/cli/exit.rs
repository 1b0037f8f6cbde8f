//! The exit codes, and what leads to those that no verb returns.
//! Must not know: what a verb does.

use super::output;
use crate::scan;
use crate::sim::{DataError, Verdict};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// For `--help`. A test holds the README to it.
pub const TABLE: &str = "Exit codes:
  0    clean, or as declared
  1    findings, or not as declared
  2    bad invocation or unreadable input
  3    inconclusive: cut short, a replay diverged, or code not understood
  4    nothing to check
  5    a patch does not apply
  101  a bug of bqlcheck itself
  130  interrupted; what was known is printed";

/// How the program ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    Clean = 0,
    Findings = 1,
    Invocation = 2,
    Inconclusive = 3,
    Nothing = 4,
    PatchDoesNotApply = 5,
    OurBug = 101,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Exit {
        match verdict {
            Verdict::Clean => Exit::Clean,
            Verdict::Violated => Exit::Findings,
            Verdict::Inconclusive => Exit::Inconclusive,
        }
    }
}

impl From<scan::Verdict> for Exit {
    fn from(verdict: scan::Verdict) -> Exit {
        match verdict {
            scan::Verdict::Clean => Exit::Clean,
            scan::Verdict::Violated => Exit::Findings,
            scan::Verdict::Inconclusive => Exit::Inconclusive,
            scan::Verdict::Nothing => Exit::Nothing,
        }
    }
}

/// Input that cannot be used: what is wrong and what to do about it.
#[derive(Debug)]
pub struct Failure {
    pub message: String,
    pub help: String,
}

impl Failure {
    /// A failure with its help line.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure { message: message.into(), help: help.into() }
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Failure {
        let help = "the keys of plan and scenario files are listed in README.md; \
                    models/plans and models/scenarios have examples";
        Failure::new(error.to_string(), help)
    }
}

/// Runs `verb`; tells of input it could not use and of panics, which are ours.
pub fn guard(verb: impl FnOnce() -> Result<Exit, Failure>) -> Exit {
    std::panic::set_hook(Box::new(|panic| {
        output::complain(&format!(
            "bqlcheck: internal error: {panic}\n\
             This is a bug of bqlcheck; please report it with the command line."
        ));
    }));
    match catch_unwind(AssertUnwindSafe(verb)) {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => {
            output::complain(&format!("error: {}\n  help: {}", failure.message, failure.help));
            Exit::Invocation
        }
        Err(_) => Exit::OurBug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_our_bug_and_a_failure_an_invocation() {
        let hook = std::panic::take_hook();
        assert_eq!(guard(|| panic!("planted")), Exit::OurBug);
        assert_eq!(guard(|| Err(Failure::new("planted", "none"))), Exit::Invocation);
        std::panic::set_hook(hook);
    }

    #[test]
    fn a_scan_s_report_says_the_code_that_it_exits_with() {
        use scan::Verdict::{Clean, Inconclusive, Nothing, Violated};
        for verdict in [Clean, Violated, Inconclusive, Nothing] {
            assert_eq!(Exit::from(verdict) as u8, verdict.exit());
        }
    }

    #[test]
    fn the_table_has_every_code() {
        for exit in [
            Exit::Clean,
            Exit::Findings,
            Exit::Invocation,
            Exit::Inconclusive,
            Exit::Nothing,
            Exit::PatchDoesNotApply,
            Exit::OurBug,
            Exit::Interrupted,
        ] {
            let row = format!("\n  {:<3}  ", exit as u8);
            assert!(TABLE.contains(&row), "{exit:?}");
        }
    }
}
