//! A schedule as a chart to paste into a mail: threads are columns, time flows
//! down, 76 columns of ASCII at most.
//! Must not know: where the recording comes from.

use super::columns::{Columns, WIDTH, wrap};
use super::recording::{Line, Link, Recording};
use crate::lock::Site;
use std::collections::BTreeSet;

/// Fewer lines in a row than this are not worth folding.
const FOLDED: usize = 3;
/// More of a message's content than this is cut.
const DETAIL: usize = 32;

/// Draws a recording.
struct Chart<'a> {
    recording: &'a Recording,
    columns: Columns,
    /// Which threads hold a big lock at this row.
    holds: Vec<bool>,
    rows: Vec<String>,
    /// Whose function was named last.
    named: Option<(usize, &'static str)>,
    marks: Vec<char>,
}

/// The chart of `recording`, with a line end after each row.
pub fn timeline(recording: &Recording) -> String {
    let mut chart = Chart {
        recording,
        columns: Columns::new(&recording.threads, &present(recording)),
        holds: vec![false; recording.threads.len()],
        rows: Vec::new(),
        named: None,
        marks: Vec::new(),
    };
    chart.rows.extend(chart.columns.header());
    recording.lines.chunk_by(|a, b| a.thread == b.thread).for_each(|run| chart.run(run));
    for link in &recording.cycle {
        chart.put(link.thread, "", 'X', &format!("{} {}", link.operation, link.object), link.site);
    }
    if let Some((rule, Some(thread), Some(site))) = recording.breach {
        chart.put(thread, "", '!', &format!("{rule} {}", site.step), site);
    }
    chart.legend();
    chart.rows.extend(cycle(recording));
    chart.rows.into_iter().map(|row| row.trim_end().to_string() + "\n").collect()
}

/// The threads that take part, in the order of their declaration.
fn present(recording: &Recording) -> Vec<usize> {
    let seen = recording.lines.iter().map(|line| line.thread);
    let waiting = recording.cycle.iter().map(|link| link.thread);
    let broke = recording.breach.and_then(|(_, thread, _)| thread);
    let all: BTreeSet<usize> = seen.chain(waiting).chain(broke).collect();
    all.into_iter().collect()
}

/// Whether a line is part of the explanation: what threads of the cycle, or the
/// one that broke the rule, lock, hand back and wait for.
fn matters(recording: &Recording, line: &Line) -> bool {
    let in_cycle = recording.cycle.iter().any(|link| link.thread == line.thread);
    let broke = recording.breach.is_some_and(|(_, thread, _)| thread == Some(line.thread));
    let small = [
        "send",
        "write",
        "load",
        "store",
        "xchg",
        "cmpxchg",
        "choose",
        "event_is_set",
        "start",
        "create",
    ];
    (in_cycle || broke) && !small.contains(&line.operation)
}

/// Which lines of a run of one thread are drawn: its ends, what matters, and how
/// it comes to have, or no longer to have, a big lock.
fn drawn(recording: &Recording, run: &[Line]) -> Vec<bool> {
    let lasting = |nth: usize| {
        let line = &run[nth];
        let other = |other: &Line| other.big && other.object == line.object;
        line.big
            && match line.operation {
                "unlock" => !run[..nth].iter().any(other),
                _ => !run[nth + 1..].iter().any(other),
            }
    };
    let ends = |nth: usize| nth == 0 || nth + 1 == run.len();
    (0..run.len()).map(|nth| ends(nth) || matters(recording, &run[nth]) || lasting(nth)).collect()
}

impl Chart<'_> {
    /// Draws lines of one thread, folding what does not matter.
    fn run(&mut self, run: &[Line]) {
        let drawn = drawn(self.recording, run);
        let lines: Vec<(&Line, bool)> = run.iter().zip(drawn).collect();
        for part in lines.chunk_by(|(_, a), (_, b)| a == b) {
            let lines: Vec<&Line> = part.iter().map(|(line, _)| *line).collect();
            if part[0].1 || part.len() < FOLDED {
                lines.iter().for_each(|line| self.line(line));
            } else {
                self.fold(&lines);
            }
        }
    }

    /// Says how many of which operations `lines` are.
    fn fold(&mut self, lines: &[&Line]) {
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        for line in lines {
            self.follow(line);
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
        let text = format!("{} more: {}", lines.len(), kinds.join(", "));
        let (thread, site) = (lines[0].thread, lines[0].site);
        let named = self.named;
        // No function is named for a folded row; one that all are in stays named.
        self.named = Some((thread, site.function));
        self.put(thread, "", ':', &text, site);
        let same = lines.iter().all(|line| named == Some((thread, line.site.function)));
        self.named = named.filter(|_| same);
    }

    /// Keeps up who holds a big lock.
    fn follow(&mut self, line: &Line) {
        match (line.operation, line.big) {
            ("lock" | "trylock", true) => self.holds[line.thread] = true,
            ("unlock", true) => self.holds[line.thread] = false,
            _ => {}
        }
    }

    fn line(&mut self, line: &Line) {
        self.follow(line);
        let mut text = format!("{} {}", line.operation, line.object);
        if !line.detail.is_empty() {
            text += ": ";
            text.extend(line.detail.chars().take(DETAIL));
            text += if line.detail.chars().count() > DETAIL { "..." } else { "" };
        }
        let number = if line.chosen { line.step.to_string() } else { String::new() };
        self.put(line.thread, &number, if line.chosen { 'o' } else { '+' }, &text, line.site);
    }

    /// Draws `text` in the column of `thread`, after `mark`, over as many rows
    /// as it needs; and the function, where it is another than before, in the
    /// right margin or on a line of its own.
    fn put(&mut self, thread: usize, number: &str, mark: char, text: &str, site: Site) {
        if !self.marks.contains(&mark) {
            self.marks.push(mark);
        }
        let mut function = site.function;
        if self.named.replace((thread, function)) == self.named {
            function = "";
        }
        let column = self.columns.offset(thread);
        let text = text.replace(|letter: char| !letter.is_ascii_graphic() && letter != ' ', "?");
        let parts = wrap(&text, WIDTH - column - 2);
        for (nth, part) in parts.iter().enumerate() {
            let mut row = self.columns.lifelines(&self.holds);
            if nth == 0 {
                row[column] = mark;
            }
            let end = write(&mut row, column + 2, part);
            if nth + 1 == parts.len() && end + 2 + function.len() <= WIDTH {
                write(&mut row, WIDTH - function.len(), function);
                function = "";
            }
            self.push(if nth == 0 { number } else { "" }, &row);
        }
        if !function.is_empty() {
            let mut row = self.columns.lifelines(&self.holds);
            write(&mut row, WIDTH - function.len(), function);
            self.push("", &row);
        }
    }

    fn push(&mut self, number: &str, row: &[char]) {
        let row: String = row.iter().skip(3).collect();
        self.rows.push(format!("{number:>3}{row}"));
    }

    fn legend(&mut self) {
        let all = [
            ('o', "o step"),
            ('+', "+ at once with it"),
            (':', ": folded"),
            ('X', "X waits for ever"),
            ('!', "! breaks the rule"),
        ];
        let used = all.iter().filter(|(mark, _)| self.marks.contains(mark)).map(|(_, text)| *text);
        let big: BTreeSet<&str> = self
            .recording
            .lines
            .iter()
            .filter(|line| line.big)
            .map(|line| line.object.as_str())
            .collect();
        let big: Vec<&str> = big.into_iter().collect();
        let mut marks = used.collect::<Vec<_>>().join(", ");
        if !big.is_empty() {
            marks += &format!(", # holds {}", big.join(" or "));
        }
        self.rows.push(String::new());
        self.rows.extend(wrap(&marks, WIDTH - 2).into_iter().map(|part| format!("  {part}")));
        self.rows.extend(self.columns.legend());
    }
}

/// Writes `text` into `row` from `start` on, with a blank on each side, and
/// gives where it ends.
fn write(row: &mut [char], start: usize, text: &str) -> usize {
    let end = start + text.chars().count();
    if start < end {
        row[start - 1] = ' ';
        row[start..end].iter_mut().zip(text.chars()).for_each(|(cell, letter)| *cell = letter);
        row[end..].iter_mut().take(1).for_each(|cell| *cell = ' ');
    }
    end
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
