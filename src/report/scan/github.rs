//! `--format github`: workflow commands that annotate the changed files.
//! Must not know: how many of them GitHub shows.

use super::clean::clean;
use super::shown::{Shown, frame, root};
use crate::scan::Grade;
use std::fmt::Write;

/// The value of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// All of it.
pub fn render(shown: &Shown<'_>) -> String {
    let mut text = String::new();
    let mut command = |level: &str, path: &str, line: u32, column: u32, title: &str, what: &str| {
        let _ = write!(text, "::{level} file={},line={}", property(&clean(path)), line.max(1));
        if column > 0 {
            let _ = write!(text, ",col={column}");
        }
        let _ = writeln!(text, ",title={}::{}", property(title), data(what));
    };
    for finding in shown.findings() {
        let level = match finding.grade {
            Grade::Error => "error",
            Grade::Warning => "warning",
            Grade::Note => "notice",
        };
        let mut what = clean(&finding.message).into_owned();
        finding.root.iter().for_each(|from| what += &format!("\n{}", root(from)));
        for (nth, at) in finding.call_path.iter().enumerate() {
            what += &format!("\n{}. {}", nth + 1, frame(at));
        }
        let title = format!("{}: {}", finding.rule, finding.rule.title());
        command(level, &finding.path, finding.line, finding.column, &title, &what);
    }
    for (suppression, fault) in shown.faults() {
        command("warning", &suppression.path, suppression.line, 0, "suppression", &fault);
    }
    for problem in &shown.report.problems {
        let what = clean(&problem.message);
        command("warning", &problem.path, problem.line, 0, "not scanned", &what);
    }
    // No file: it is shown with the job.
    let _ = writeln!(text, "::notice title=bqlcheck::{}", data(&shown.closing()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped() {
        assert_eq!(data("100%: a,b\r\n::x"), "100%25: a,b%0D%0A::x");
        assert_eq!(property("a:b,c%\n"), "a%3Ab%2Cc%25%0A");
    }
}
