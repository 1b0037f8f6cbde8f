//! A schedule as a chart to paste into a mail: threads are columns, time flows
//! down, 76 columns of ASCII at most.
//! Must not know: where the recording comes from.

use super::columns::{Columns, WIDTH, wrap};
use super::recording::{Line, Link, Recording};
use crate::lock::Site;

/// More lines of one thread in a row than this are folded, where they may be.
const LONGEST_RUN: usize = 4;

/// Draws a recording.
struct Chart<'a> {
    recording: &'a Recording,
    columns: Columns,
    /// Which threads hold the big lock at this row.
    holds: Vec<bool>,
    rows: Vec<String>,
    /// The function that the last row belongs to.
    heading: Option<(usize, &'static str)>,
    marks: Vec<char>,
}

/// The chart of `recording`, with a line end after each row.
pub fn timeline(recording: &Recording) -> String {
    let mut chart = Chart {
        recording,
        columns: Columns::new(&recording.threads, &present(recording)),
        holds: vec![false; recording.threads.len()],
        rows: Vec::new(),
        heading: None,
        marks: Vec::new(),
    };
    chart.rows.extend(chart.columns.header());
    let mut rest = &recording.lines[..];
    while let Some((run, after)) = next_run(recording, rest) {
        chart.run(run);
        rest = after;
    }
    recording.cycle.iter().for_each(|link| chart.stuck(link));
    chart.breach();
    chart.legend();
    chart.rows.extend(cycle(recording));
    chart.rows.into_iter().map(|row| row.trim_end().to_string() + "\n").collect()
}

/// The threads that take part, in the order of their declaration.
fn present(recording: &Recording) -> Vec<usize> {
    let seen = recording.lines.iter().map(|line| line.thread);
    let waiting = recording.cycle.iter().map(|link| link.thread);
    let broke = recording.breach.and_then(|(_, thread, _)| thread);
    let all: std::collections::BTreeSet<usize> = seen.chain(waiting).chain(broke).collect();
    all.into_iter().collect()
}

/// Whether a line must not be folded away: what threads of the cycle lock, hand
/// back and wait for is the explanation, and every change of the big lock shows
/// in the margin.
fn matters(recording: &Recording, line: &Line) -> bool {
    let involved = recording.cycle.iter().any(|link| link.thread == line.thread);
    let waits = !matches!(
        line.operation,
        "send" | "load" | "store" | "xchg" | "cmpxchg" | "choose" | "event_is_set" | "start"
    );
    line.big || (involved && waits)
}

/// The next lines of one thread, either all of which matter or none, and what
/// comes after them.
fn next_run<'a>(recording: &Recording, lines: &'a [Line]) -> Option<(&'a [Line], &'a [Line])> {
    let first = lines.first()?;
    let kind = |line: &Line| (line.thread, matters(recording, line));
    let length = lines.iter().take_while(|line| kind(line) == kind(first)).count();
    Some(lines.split_at(length))
}

impl Chart<'_> {
    /// Draws lines of one thread, folding the middle of a long run of small
    /// matters.
    fn run(&mut self, lines: &[Line]) {
        if lines.len() <= LONGEST_RUN || matters(self.recording, &lines[0]) {
            lines.iter().for_each(|line| self.line(line));
            return;
        }
        let (head, rest) = lines.split_at(1);
        let (middle, tail) = rest.split_at(rest.len() - 1);
        head.iter().for_each(|line| self.line(line));
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        for line in middle {
            match kinds.iter_mut().find(|(operation, _)| *operation == line.operation) {
                Some((_, count)) => *count += 1,
                None => kinds.push((line.operation, 1)),
            }
        }
        let kinds: Vec<String> = kinds
            .iter()
            .map(|(name, count)| match count {
                1 => (*name).to_string(),
                _ => format!("{name} x{count}"),
            })
            .collect();
        let text = format!("... {} more: {}", middle.len(), kinds.join(", "));
        self.put(lines[0].thread, "", ' ', &text);
        self.heading = None;
        tail.iter().for_each(|line| self.line(line));
    }

    fn line(&mut self, line: &Line) {
        self.place(line.thread, line.site);
        match (line.operation, line.big) {
            ("lock" | "trylock", true) => self.holds[line.thread] = true,
            ("unlock", true) => self.holds[line.thread] = false,
            _ => {}
        }
        let detail = match line.detail.as_str() {
            "" => String::new(),
            detail => format!(": {detail}"),
        };
        let text = format!("{} {}{detail}", line.operation, line.object);
        let number = if line.chosen { line.step.to_string() } else { String::new() };
        self.put(line.thread, &number, if line.chosen { 'o' } else { '+' }, &text);
    }

    /// A line of its own for the function, where it is another than before.
    fn place(&mut self, thread: usize, site: Site) {
        if self.heading != Some((thread, site.function)) {
            self.heading = Some((thread, site.function));
            self.put(thread, "", ' ', &format!("{}()", site.function));
        }
    }

    /// The wait in which `link`'s thread ends.
    fn stuck(&mut self, link: &Link) {
        self.place(link.thread, link.site);
        self.put(link.thread, "", 'X', &format!("{} {}", link.operation, link.object));
    }

    /// What is broken, where it is not a wait.
    fn breach(&mut self) {
        let Some((rule, Some(thread), site)) = self.recording.breach else { return };
        let step = site.map(|site| {
            self.place(thread, site);
            site.step
        });
        self.put(thread, "", '!', &format!("{rule} {}", step.unwrap_or_default()));
    }

    /// Draws `text` in the column of `thread`, after `mark`, over as many rows
    /// as it needs.
    fn put(&mut self, thread: usize, number: &str, mark: char, text: &str) {
        if !self.marks.contains(&mark) {
            self.marks.push(mark);
        }
        let column = self.columns.offset(thread);
        for (nth, part) in wrap(text, WIDTH - column - 2).into_iter().enumerate() {
            let mut row = self.columns.lifelines(&self.holds);
            let own = if nth == 0 && mark != ' ' { mark } else { row[column] };
            let start = column + 2;
            // The text, and one blank on each side of it.
            row[column] = own;
            let end = (start + part.chars().count() + 1).min(WIDTH);
            row[column + 1..end].fill(' ');
            for (cell, letter) in row[start..].iter_mut().zip(part.chars()) {
                *cell = letter;
            }
            let number = if nth == 0 { number } else { "" };
            let row: String = row.into_iter().collect();
            self.rows.push(format!("{number:>3}{}", &row[3..]));
        }
    }

    fn legend(&mut self) {
        let all = [
            ('o', "o step"),
            ('+', "+ at once with it"),
            ('X', "X waits for ever"),
            ('!', "! breaks the rule"),
        ];
        let used = all.iter().filter(|(mark, _)| self.marks.contains(mark)).map(|(_, text)| *text);
        let big = self.recording.lines.iter().filter(|line| line.big).map(|line| &line.object);
        let big: std::collections::BTreeSet<String> =
            big.map(|lock| format!("# holds {lock}")).collect();
        let marks: Vec<String> = used.map(String::from).chain(big).collect();
        self.rows.push(String::new());
        self.rows.push(format!("  {}", marks.join("   ")));
        self.rows.extend(self.columns.legend());
    }
}

/// The wait-for cycle in words.
fn cycle(recording: &Recording) -> Vec<String> {
    let mut rows = Vec::new();
    for link in &recording.cycle {
        let thread = &recording.threads[link.thread];
        let text = format!("{thread} waits for {} ({})", link.object, ending(link));
        let holds = match link.holds.as_slice() {
            [] => String::new(),
            locks => format!(", holding {}", locks.join(", ")),
        };
        rows.extend(wrap(&text, WIDTH - 2).into_iter().map(|part| format!("  {part}")));
        let place = format!("in {}: {}{holds}", link.site.function, link.site.step);
        rows.extend(wrap(&place, WIDTH - 6).into_iter().map(|part| format!("      {part}")));
    }
    if !rows.is_empty() {
        rows.insert(0, String::new());
    }
    rows
}

/// How a wait could end: `held by main`, `only mon can post it`.
fn ending(link: &Link) -> String {
    let who = match link.held_by.as_slice() {
        [] => return "nobody is left to end it".into(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    };
    match link.operation {
        "lock" => format!("held by {who}"),
        "join" => "which has not ended".into(),
        "sem_wait" | "sem_timedwait" => format!("only {who} can post it"),
        "event_wait" => format!("only {who} can set it"),
        "cond_wait" => format!("only {who} can signal it"),
        "recv" => format!("only {who} can send"),
        "send" => format!("only {who} can make room"),
        _ => format!("only {who} can end it"),
    }
}
