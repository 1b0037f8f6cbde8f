//! The columns of a timeline: where each thread's stands, what it is headed by,
//! and text folded to fit.
//! Must not know: what is drawn in them.

/// Widest row.
pub const WIDTH: usize = 76;
/// Room for the step's number.
const MARGIN: usize = 5;
/// Room that the last column's text has at least.
const TEXT: usize = 32;
/// Widest distance between two columns.
const WIDEST: usize = 20;

/// Where each thread's column is.
pub struct Columns {
    /// (offset, heading) by thread; none for those that are not drawn.
    places: Vec<Option<(usize, String)>>,
    names: Vec<String>,
}

impl Columns {
    /// Columns for the threads `drawn`, of all that are called `names`.
    pub fn new(names: &[String], drawn: &[usize]) -> Columns {
        let gaps = drawn.len().saturating_sub(1).max(1);
        let spacing = ((WIDTH - MARGIN - TEXT) / gaps).clamp(2, WIDEST);
        let mut places: Vec<Option<(usize, String)>> = vec![None; names.len()];
        for (nth, thread) in drawn.iter().enumerate() {
            let offset = MARGIN + nth * spacing;
            let last = nth + 1 == drawn.len();
            let room = if last { TEXT.min(WIDTH - offset) } else { spacing - 1 };
            let taken: Vec<&String> = places.iter().flatten().map(|(_, name)| name).collect();
            let heading = abbreviate(&names[*thread], room, &taken);
            places[*thread] = Some((offset, heading));
        }
        Columns { places, names: names.to_vec() }
    }

    /// The column at which the text of `thread` begins.
    pub fn offset(&self, thread: usize) -> usize {
        self.places[thread].as_ref().expect("the thread is drawn").0
    }

    /// The heading row and a row of rules under it.
    pub fn header(&self) -> Vec<String> {
        let mut heads = vec![' '; WIDTH];
        let mut rules = heads.clone();
        for (offset, heading) in self.places.iter().flatten() {
            for (nth, letter) in heading.chars().enumerate() {
                heads[offset + nth] = letter;
                rules[offset + nth] = '-';
            }
        }
        vec![heads.into_iter().collect(), rules.into_iter().collect()]
    }

    /// A row in which nothing happens: `#` for those in `holds`.
    pub fn lifelines(&self, holds: &[bool]) -> Vec<char> {
        let mut row = vec![' '; WIDTH];
        for (place, holds) in self.places.iter().zip(holds) {
            if let Some((offset, _)) = place {
                row[*offset] = if *holds { '#' } else { '|' };
            }
        }
        row
    }

    /// What the headings stand for, where they are abbreviated.
    pub fn legend(&self) -> Vec<String> {
        let short = self.places.iter().zip(&self.names).filter_map(|(place, name)| {
            let (_, heading) = place.as_ref()?;
            (heading != name).then(|| format!("{heading} = {name}"))
        });
        let text = short.collect::<Vec<_>>().join(", ");
        wrap(&text, WIDTH - 2).into_iter().map(|part| format!("  {part}")).collect()
    }
}

/// `name` in at most `room` letters, unlike those `taken`: whole, or its last
/// part, or the beginning of that, with what tells it from the others.
fn abbreviate(name: &str, room: usize, taken: &[&String]) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    // vcpu[12] keeps its number.
    let (base, number) = last.split_once('[').unwrap_or((last, ""));
    let number = number.trim_end_matches(']');
    let first = base.split('_').next().unwrap_or(base);
    let cut = |head: &str, tail: &str| {
        let head: String = head.chars().take(room.saturating_sub(tail.len())).collect();
        head + tail
    };
    // mig/src/main beside main is s.main.
    let side =
        name.rsplit('/').nth(1).map(|part| format!("{}.{base}", part.get(..1).unwrap_or("")));
    let mut all = vec![name.into(), last.into(), format!("{first}{number}"), cut(base, number)];
    all.extend(side.map(|side| cut(&side, number)));
    all.extend((2..100).map(|nth| cut(base, &nth.to_string())));
    // Two QEMUs have more threads than there are digits.
    all.extend(('A'..='Z').map(String::from));
    let free = |text: &String| text.len() <= room && !text.is_empty() && !taken.contains(&text);
    all.into_iter().find(free).unwrap_or_default()
}

/// `text` in parts of at most `width`, broken at blanks where there are any;
/// further parts are indented by two. No text: no part.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let length = |text: &str| text.chars().count();
    let mut parts: Vec<String> = Vec::new();
    let mut part = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !part.is_empty() && length(&part) + 1 + length(word) <= width {
            part.push(' ');
            part.push_str(word);
            continue;
        }
        if !part.is_empty() {
            parts.push(std::mem::replace(&mut part, "  ".into()));
        }
        let mut letters = word.chars().peekable();
        while letters.peek().is_some() {
            let room = width.saturating_sub(length(&part)).max(1);
            part.extend(letters.by_ref().take(room));
            if letters.peek().is_some() {
                parts.push(std::mem::replace(&mut part, "  ".into()));
            }
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_text_fits_and_loses_nothing() {
        let text = "sem_wait postcopy_pause_sem_dst and_a_very_long_name_that_must_be_cut";
        for width in 8..40 {
            let parts = wrap(text, width);
            assert!(parts.iter().all(|part| part.len() <= width), "{width}: {parts:?}");
            let joined: String = parts.concat().replace(' ', "");
            assert_eq!(joined, text.replace(' ', ""), "{width}");
        }
        assert!(wrap("", 10).is_empty());
    }

    #[test]
    fn headings_are_unique_however_narrow() {
        let names: Vec<String> =
            ["main", "mig/dst/listen", "mig/dst/fault", "mig/src/main", "mig/src/return"]
                .into_iter()
                .map(String::from)
                .chain((0..10).map(|nth| format!("vcpu[{nth}]")))
                .collect();
        let columns = Columns::new(&names, &(0..names.len()).collect::<Vec<_>>());
        let headings: std::collections::BTreeSet<_> =
            columns.places.iter().flatten().map(|(_, heading)| heading).collect();
        assert_eq!(headings.len(), names.len());
    }
}
