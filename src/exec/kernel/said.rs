//! What QEMU said on standard output and error: all of it as it came, and what one
//! thread said of that, since two threads' words can be in one line.
//! Must not know: what it means.

use super::state::Tid;

/// Bytes that are kept; what comes after them is lost.
const BYTES: usize = 4 << 20;

/// What was said, in order.
#[derive(Clone, Debug, Default)]
pub struct Said {
    text: String,
    /// Where in the text each thread's words begin.
    by: Vec<(usize, Tid)>,
}

impl Said {
    /// A thread says something.
    pub fn push(&mut self, tid: Tid, words: &str) {
        if self.text.len() >= BYTES {
            return;
        }
        if self.by.last().is_none_or(|last| last.1 != tid) {
            self.by.push((self.text.len(), tid));
        }
        self.text.push_str(words);
    }

    pub fn clear(&mut self) {
        self.text.clear();
        self.by.clear();
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The last line of a thread; of anybody, if it said nothing.
    pub fn last_line(&self, tid: Tid) -> String {
        let ends = self.by.iter().skip(1).map(|begin| begin.0).chain([self.text.len()]);
        let words = self.by.iter().zip(ends).filter(|(begin, _)| begin.1 == tid);
        let own: String = words.map(|(begin, end)| &self.text[begin.0..end]).collect();
        let said = if own.is_empty() { &self.text } else { &own };
        said.lines().last().unwrap_or("nothing").into()
    }
}

#[cfg(test)]
mod tests {
    use super::Said;

    #[test]
    fn words_of_two_threads_are_told_apart() {
        let mut said = Said::default();
        assert_eq!(said.last_line(1), "nothing");
        for (tid, words) in [(1, "qemu: "), (2, "qemu: "), (1, "one"), (1, "\n"), (2, "two\n")] {
            said.push(tid, words);
        }
        assert_eq!(said.text(), "qemu: qemu: one\ntwo\n");
        assert_eq!([1, 2].map(|tid| said.last_line(tid)), ["qemu: one", "qemu: two"]);
        assert_eq!(said.last_line(3), "two", "who says nothing has anybody's");
        said.clear();
        assert_eq!(said.last_line(2), "nothing");
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let mut said = Said::default();
        for _ in 0..3 {
            said.push(1, &"x".repeat(super::BYTES));
        }
        assert_eq!(said.text().len(), super::BYTES);
    }
}
