//! The scan's verbs on the command line: `scan`, `callers`, `callees`, `paths`,
//! and the tree of `explain`.
//! Must not know: what a verb does.

use super::args::Format as Plain;
use crate::report::scan::Format;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `bqlcheck scan`.
#[derive(Args, Debug)]
pub struct Scan {
    /// A QEMU source tree; it need not be configured or built
    pub tree: PathBuf,
    /// Apply this first: a diff, a mail, an mbox; - is stdin. Repeatable
    #[arg(long, value_name = "FILE|-")]
    pub patch: Vec<PathBuf>,
    /// Look only at files below this directory. Repeatable
    #[arg(long, value_name = "DIR")]
    pub only: Vec<PathBuf>,
    /// How to print the report
    #[arg(long, value_enum, default_value_t)]
    pub format: ScanFormat,
    /// Do not count the findings in this file
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Drop from the baseline what is gone; refuses to add to it
    #[arg(long, requires = "baseline", conflicts_with = "patch")]
    pub baseline_update: bool,
    /// Let --baseline-update add what is new
    #[arg(long, requires = "baseline_update")]
    pub accept_new: bool,
    /// Show notes, suppressed, known and unchanged findings too
    #[arg(long)]
    pub all: bool,
    /// Parse every file again, and keep nothing
    #[arg(long)]
    pub no_cache: bool,
    /// Write the report there instead of printing it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// How to print a scan's report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum ScanFormat {
    /// For people, with source lines and call paths
    #[default]
    Text,
    /// A line a finding, for editors
    Concise,
    /// For programs
    Json,
    /// SARIF 2.1.0
    Sarif,
    /// GitLab's code quality report
    Gitlab,
    /// GitHub's annotations
    Github,
    /// For a reply on a mailing list
    Mail,
}

impl From<ScanFormat> for Format {
    fn from(format: ScanFormat) -> Format {
        match format {
            ScanFormat::Text => Format::Text,
            ScanFormat::Concise => Format::Concise,
            ScanFormat::Json => Format::Json,
            ScanFormat::Sarif => Format::Sarif,
            ScanFormat::Gitlab => Format::Gitlab,
            ScanFormat::Github => Format::Github,
            ScanFormat::Mail => Format::Mail,
        }
    }
}

/// `bqlcheck callers` and `bqlcheck callees`.
#[derive(Args, Debug)]
pub struct Calls {
    /// A function, or a hook of a struct: load_cleanup
    pub function: String,
    /// The QEMU source tree
    #[arg(long, value_name = "DIR")]
    pub tree: PathBuf,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Plain,
    /// Parse every file again, and keep nothing
    #[arg(long)]
    pub no_cache: bool,
}

/// `bqlcheck paths`.
#[derive(Args, Debug)]
pub struct Paths {
    /// The QEMU source tree
    pub tree: PathBuf,
    /// Where the paths begin: a function or a hook
    #[arg(long, value_name = "FUNCTION")]
    pub from: String,
    /// Where they end: a function or a hook
    #[arg(long, value_name = "FUNCTION")]
    pub to: String,
    /// Only those on which this lock is held at the last call
    #[arg(long, value_name = "LOCK", value_parser = ["bql"], conflicts_with = "without")]
    pub with: Option<String>,
    /// Only those on which this lock is not held at the last call
    #[arg(long, value_name = "LOCK", value_parser = ["bql"])]
    pub without: Option<String>,
    /// How to print the answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Plain,
    /// Parse every file again, and keep nothing
    #[arg(long)]
    pub no_cache: bool,
}

/// `bqlcheck explain`: of a rule, or of a word of a tree.
#[derive(Args, Debug)]
pub struct Explain {
    /// BQL001 to BQL014; with --tree a hook or function [default: list]
    pub word: Option<String>,
    /// Say who implements it and who calls it in this source tree
    #[arg(long, value_name = "DIR", requires = "word")]
    pub tree: Option<PathBuf>,
    /// With --tree: how to print the answer
    #[arg(long, value_enum, requires = "tree")]
    pub format: Option<Plain>,
    /// With --tree: parse every file again, and keep nothing
    #[arg(long, requires = "tree")]
    pub no_cache: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser, error::ErrorKind};
    use std::collections::BTreeSet;

    #[derive(Parser)]
    enum Verbs {
        Scan(Scan),
        Callers(Calls),
        Callees(Calls),
        Paths(Paths),
        Explain(Explain),
    }

    fn parse(line: &str) -> Result<Verbs, ErrorKind> {
        Verbs::try_parse_from(line.split(' ')).map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_is_sound() {
        Verbs::command().debug_assert();
    }

    #[test]
    fn the_scan_s_options_are_in_the_readme_and_no_others() {
        let readme = include_str!("../../README.md");
        let (_, section) = readme.split_once("\n## The scan\n").expect("a section");
        let (section, _) = section.split_once("\n### ").expect("another after it");
        let verbs = Verbs::command();
        let scan = verbs.find_subcommand("scan").expect("it is there");
        let name = |argument: &clap::Arg| argument.get_long().map(|long| format!("--{long}"));
        let mut offered: Vec<String> = scan.get_arguments().filter_map(name).collect();
        let rows = section.lines().filter_map(|row| row.strip_prefix("| `"));
        let rows = rows.filter(|row| row.starts_with("--"));
        let named = rows.map(|row| row.split([' ', '`']).next().expect("split gives one"));
        let mut named: Vec<String> = named.map(String::from).collect();
        offered.sort();
        named.sort();
        assert_eq!(named, offered);
    }

    #[test]
    fn the_questions_options_are_in_the_readme_and_no_others() {
        let readme = include_str!("../../README.md");
        let (_, section) = readme.split_once("\n### Questions about a tree\n").expect("a section");
        let (section, _) = section.split_once("\n## ").expect("another after it");
        let verbs = Verbs::command();
        let asks = verbs.get_subcommands().filter(|verb| verb.get_name() != "scan");
        let options = asks.flat_map(clap::Command::get_arguments).filter_map(clap::Arg::get_long);
        let offered: BTreeSet<String> = options.map(|long| format!("--{long}")).collect();
        let rows = section.lines().filter_map(|row| row.strip_prefix("| `--"));
        let named = rows.map(|row| row.split([' ', '`']).next().expect("split gives one"));
        assert_eq!(named.map(|name| format!("--{name}")).collect::<BTreeSet<_>>(), offered);
    }

    #[test]
    fn a_scan_is_read_in_order() {
        let line = "bqlcheck scan qemu --patch a.mbx --patch - --only migration --only hw/vfio \
                    --format sarif --all --no-cache --out report.sarif";
        let Ok(Verbs::Scan(scan)) = parse(line) else { panic!("{line}") };
        assert_eq!(scan.patch, [PathBuf::from("a.mbx"), PathBuf::from("-")]);
        assert_eq!(scan.only.len(), 2);
        assert_eq!(Format::from(scan.format), Format::Sarif);
        for format in ScanFormat::value_variants() {
            let name = format.to_possible_value().expect("none is hidden").get_name().to_string();
            assert_eq!(name, format!("{:?}", Format::from(*format)).to_lowercase());
        }
        assert_eq!(ScanFormat::value_variants().len(), Format::ALL.len());
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (line, kind) in [
            ("bqlcheck scan", ErrorKind::MissingRequiredArgument),
            ("bqlcheck scan q --baseline-update", ErrorKind::MissingRequiredArgument),
            ("bqlcheck scan q --baseline b --accept-new", ErrorKind::MissingRequiredArgument),
            (
                "bqlcheck scan q --baseline b --baseline-update --patch p",
                ErrorKind::ArgumentConflict,
            ),
            ("bqlcheck scan q --format xml", ErrorKind::InvalidValue),
            ("bqlcheck callers f", ErrorKind::MissingRequiredArgument),
            ("bqlcheck paths q --from a", ErrorKind::MissingRequiredArgument),
            (
                "bqlcheck paths q --from a --to b --with bql --without bql",
                ErrorKind::ArgumentConflict,
            ),
            ("bqlcheck paths q --from a --to b --with rcu", ErrorKind::InvalidValue),
            ("bqlcheck explain --tree q", ErrorKind::MissingRequiredArgument),
            ("bqlcheck explain f --format json", ErrorKind::MissingRequiredArgument),
        ] {
            assert_eq!(parse(line).err(), Some(kind), "{line}");
        }
        assert!(parse("bqlcheck callers load_cleanup --tree q").is_ok());
        assert!(parse("bqlcheck paths --from a --to b --without bql q").is_ok());
        assert!(parse("bqlcheck explain load_cleanup --tree q").is_ok());
    }
}
