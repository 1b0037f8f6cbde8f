//! The command line of `exec`, as types.
//! Must not know: what the verb does.

use super::args::{Format, duration};
use super::exit;
use crate::exec::job::Faults;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// `bqlcheck exec`.
#[derive(Args)]
#[command(after_help = exit::TABLE)]
pub struct Exec {
    /// A directory in which QEMU was configured and built
    #[arg(long, value_name = "DIR")]
    pub build: PathBuf,
    /// Of several executables this one, as aarch64 [default: like this machine, else
    /// x86_64, else the first]
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// What happens to the migration
    #[arg(long, value_name = "NAME", default_value = "postcopy-recover")]
    pub scenario: String,
    /// Compile migration/*.c again with -fsanitize=thread: each access to memory
    /// is a place to switch, and data races are found
    #[arg(long)]
    pub races: bool,
    /// How the next thread is picked
    #[arg(long, value_enum, default_value_t)]
    pub strategy: ExecStrategy,
    /// At most this many executions [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub executions: Option<u64>,
    /// Stop after this long [default: 60s, unless --executions is given]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub budget: Option<Duration>,
    /// Of the random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// What may happen out of turn, and how often in an execution: timeouts=N
    /// (early ones), eintr=N, short=N (reads and writes), spurious=N (wake-ups)
    #[arg(long, value_name = "LIST")]
    pub faults: Option<Faults>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Write result.json, report.txt and a file per violation there
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// With --out: also QEMU's own trace of each execution
    #[arg(long, requires = "out")]
    pub log: bool,
    /// Keep the linked QEMU there [default: in the user's cache directory]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// `bqlcheck agree`.
#[derive(Args)]
#[command(after_help = exit::TABLE)]
pub struct Agree {
    /// A directory in which QEMU was configured and built
    #[arg(long, value_name = "DIR")]
    pub build: PathBuf,
    /// Of several executables this one, as aarch64 [default: like this machine, else
    /// x86_64, else the first]
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// A scenario of the simulator that exec has too [default: all]
    #[arg(long, value_name = "NAME")]
    pub scenario: Option<String>,
    /// The plan that the build follows [default: that of its version]
    #[arg(long, value_name = "NAME|FILE")]
    pub plan: Option<String>,
    /// xs, s, m, l, xl or xxl [default: the scenario's]
    #[arg(long, value_name = "SIZE")]
    pub size: Option<String>,
    /// Executions of each scenario of exec, with pct and as many at random
    #[arg(long, value_name = "N", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub executions: u64,
    /// Give up on the simulator after this long [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub budget: Option<Duration>,
    /// Of the random choices
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How to print the result
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Write agreement.json and report.txt there
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Keep the linked QEMU there [default: in the user's cache directory]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// How the next thread is picked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum ExecStrategy {
    /// Random priorities with few changes
    #[default]
    Pct,
    /// Any thread at every step
    Random,
}
