//! The command line as types. Only the files of this folder that are called
//! `args…` name clap.
//! Must not know: what a verb does.

use super::args_exec::{Agree, Exec};
use super::args_scan::{Calls, Explain, Paths, Scan};
use super::args_trace::{Lab, Trace};
use super::exit;
use crate::sim::Side;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

const ABOUT: &str = "Explores the lock discipline of QEMU's live migration.

Without a verb: every built-in plan in every scenario that concerns it, as a
matrix; the same as `bqlcheck explore`.";

#[derive(Parser)]
#[command(name = "bqlcheck", version, about = ABOUT, after_help = exit::TABLE)]
#[command(max_term_width = 76)]
struct CommandLine {
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// What to do.
#[derive(Subcommand)]
pub enum Verb {
    /// Explore a plan in a scenario, or the whole matrix of them
    Explore(Box<Explore>),
    /// Check the lock discipline of a QEMU source tree, or of patches
    #[command(after_help = exit::TABLE)]
    Scan(Box<Scan>),
    /// Run the schedule of a violation again, step by step
    #[command(after_help = exit::TABLE)]
    Replay {
        /// A file that `--out` of `explore` or `exec` has written
        file: PathBuf,
    },
    /// List who calls a function or hook, in which threads
    #[command(after_help = exit::TABLE)]
    Callers(Calls),
    /// List what a function calls, in which threads
    #[command(after_help = exit::TABLE)]
    Callees(Calls),
    /// List the shortest call paths from one function to another
    #[command(after_help = exit::TABLE)]
    Paths(Paths),
    /// Say why a rule is one; or who needs the BQL for a hook
    #[command(after_help = exit::TABLE)]
    Explain(Explain),
    /// Read the log of a real QEMU run: who held which lock, how long
    Trace(Box<Trace>),
    /// Run a migration between two real QEMUs and read their logs
    Lab(Lab),
    /// Run a build of QEMU, its own code, through many interleavings
    Exec(Box<Exec>),
    /// Compare what a build of QEMU comes to with what the model allows
    Agree(Box<Agree>),
    /// The process in which loom runs: a job on stdin, events on stdout
    #[command(hide = true, name = "__loom")]
    Loom,
}

/// `bqlcheck explore`.
#[derive(Args)]
#[command(after_help = exit::TABLE)]
pub struct Explore {
    /// A built-in plan or a file; else all that the scenario concerns
    #[arg(long, value_name = "NAME|FILE")]
    pub plan: Option<String>,
    /// A built-in scenario or a file; else all that concern the plan
    #[arg(long, value_name = "NAME|FILE")]
    pub scenario: Option<String>,
    /// Who explores
    #[arg(long, value_enum, default_value_t)]
    pub engine: Engine,
    /// How shuttle picks its schedules
    #[arg(long, value_enum, default_value_t)]
    pub strategy: Strategy,
    /// At most this many executions [default: shuttle 10000, threads 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub executions: Option<u64>,
    /// Stop after this long: 500ms, 60s, 2m [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub budget: Option<Duration>,
    /// Of shuttle's and threads' random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// xs, s, m, l, xl or xxl [default: the scenario's]
    #[arg(long, value_name = "SIZE")]
    pub size: Option<String>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Write result.json, report.txt and a file per violation there
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// List every outcome of a side instead: its states, and its end
    #[arg(long, value_name = "SIDE", value_enum)]
    pub outcomes: Option<OfSide>,
    /// Write one run there, as the logs of two QEMUs
    #[arg(long, value_name = "DIR")]
    pub emit_log: Option<PathBuf>,
    /// Migrate this memory image, with --engine threads
    #[arg(long, value_name = "FILE")]
    pub ram: Option<PathBuf>,
}

/// Who explores.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Engine {
    /// Every state once
    #[default]
    Exhaustive,
    /// Every execution but for the order of commuting steps
    Dpor,
    /// Up to 5 threads, at most 2 preemptions
    Loom,
    /// Samples of schedules
    Shuttle,
    /// Real threads, scheduled by the system
    Threads,
}

impl Engine {
    /// Its name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Exhaustive => "exhaustive",
            Engine::Dpor => "dpor",
            Engine::Loom => "loom",
            Engine::Shuttle => "shuttle",
            Engine::Threads => "threads",
        }
    }
}

/// A side of the migration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum OfSide {
    /// The QEMU that sends
    Source,
    /// The QEMU that receives
    Destination,
}

impl From<OfSide> for Side {
    fn from(side: OfSide) -> Side {
        match side {
            OfSide::Source => Side::Source,
            OfSide::Destination => Side::Destination,
        }
    }
}

/// How shuttle picks its schedules.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Strategy {
    /// Random priorities with 3 changes
    #[default]
    Pct,
    /// Any thread at every step
    Random,
    /// Depth first
    Dfs,
}

/// How to print the result.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Format {
    /// For people, at most 76 columns
    #[default]
    Text,
    /// For programs
    Json,
}

/// `500ms`, `60s`, `2m` or `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "a number and a unit, as 500ms, 60s or 2m")?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" => return Err(format!("a unit is missing: {text}ms, {text}s or {text}m")),
        _ => return Err(format!("no such unit: {unit}; one of ms, s, m, h")),
    };
    number.checked_mul(ms).map(Duration::from_millis).ok_or_else(|| "too long".into())
}

/// The verb on the command line. Help, or an error in it, ends the process.
pub fn parse() -> Verb {
    let alone = || CommandLine::parse_from(["bqlcheck", "explore"]).verb;
    CommandLine::parse().verb.or_else(alone).expect("explore is a verb")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "60", "s", "1.5s", "-1s", "5 s", "9999999999999999999s", "3d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
