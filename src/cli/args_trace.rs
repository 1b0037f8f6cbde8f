//! The command line of `trace` and `lab`, as types.
//! Must not know: what the verbs do.

use super::args::duration;
use super::exit;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// `bqlcheck trace`.
#[derive(Args)]
#[command(after_help = exit::TABLE)]
pub struct Trace {
    /// Of source and destination; gzip, xz, zstd or plain; - is stdin
    #[arg(required = true, value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// How to print what is found
    #[arg(long, value_enum, default_value_t)]
    pub format: TraceFormat,
    /// So many of the longest holds, and rows of a table
    #[arg(long, value_name = "N", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub top: u32,
    /// A longer hold of the BQL is a finding, if another thread waits
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration)]
    pub max_hold: Duration,
    /// From here on: seconds from the start, or as the log has them
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub since: Option<u64>,
    /// Up to here
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub until: Option<u64>,
    /// Only this thread: its id, or how its name begins
    #[arg(long, value_name = "ID|NAME")]
    pub thread: Option<String>,
    /// Replay the migration's events against the simulator's states
    #[arg(long)]
    pub conform: bool,
    /// For --conform [default: qemu-7.2 or qemu-10.0, by the log]
    #[arg(long, value_name = "NAME|FILE", requires = "conform")]
    pub plan: Option<String>,
}

/// How to print what a log shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum TraceFormat {
    /// For people, at most 76 columns
    #[default]
    Text,
    /// For programs
    Json,
    /// A timeline for ui.perfetto.dev
    Perfetto,
    /// A timeline as one page, without network
    Html,
}

/// `bqlcheck lab`.
#[derive(Args)]
#[command(after_help = exit::TABLE)]
pub struct Lab {
    /// What the two QEMUs do
    #[arg(value_enum)]
    pub scenario: LabScenario,
    /// The binary; a name is looked for in PATH
    #[arg(long, value_name = "PATH", default_value = "qemu-system-x86_64")]
    pub qemu: PathBuf,
    /// kvm or tcg [default: kvm where /dev/kvm can be used]
    #[arg(long, value_name = "ACCEL", value_parser = ["kvm", "tcg"])]
    pub accel: Option<String>,
    /// Keep the logs there [default: a folder that is removed]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// For the replay [default: qemu-7.2 or qemu-10.0, by the log]
    #[arg(long, value_name = "NAME|FILE")]
    pub plan: Option<String>,
}

/// A run of two real QEMUs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum LabScenario {
    /// All pages, then the switchover
    Precopy,
    /// The switchover, then the pages
    Postcopy,
    /// The same, with the network broken and mended
    PostcopyRecover,
    /// migrate_cancel while pages are sent
    Cancel,
}

impl LabScenario {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            LabScenario::Precopy => "precopy",
            LabScenario::Postcopy => "postcopy",
            LabScenario::PostcopyRecover => "postcopy-recover",
            LabScenario::Cancel => "cancel",
        }
    }
}

/// `1.5`, or `1795390704.768084`, in microseconds.
fn seconds(text: &str) -> Result<u64, String> {
    let text = text.strip_suffix('s').unwrap_or(text);
    let seconds: f64 = text.parse().map_err(|_| "seconds, as 12 or 12.5")?;
    if !(0.0..1e11).contains(&seconds) {
        return Err("seconds from the start of the log, or since 1970".into());
    }
    Ok((seconds * 1e6).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds() {
        assert_eq!(seconds("12.5"), Ok(12_500_000));
        assert_eq!(seconds("1795390704.768084"), Ok(1_795_390_704_768_084));
        for bad in ["", "x", "-1", "nan", "inf", "1e12"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
