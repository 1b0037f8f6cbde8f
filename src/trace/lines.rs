//! Bytes, in any pieces, to lines. The only file that names memchr.
//! Must not know: what a line says.

use memchr::memchr;

/// A longer line is not one of QEMU's: it is dropped and counted.
const LONGEST: usize = 1 << 16;

/// Cuts a stream of bytes into lines.
#[derive(Default)]
pub struct Lines {
    /// The beginning of a line whose end is still to come.
    carry: Vec<u8>,
    /// The rest of an overlong line is being dropped.
    dropping: bool,
}

impl Lines {
    /// Calls `line` for each line that ends in `bytes`; none for an overlong one.
    pub fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(Option<&[u8]>)) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (head, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if std::mem::take(&mut self.dropping) {
                line(None);
            } else if self.carry.is_empty() {
                line((head.len() <= LONGEST).then_some(head));
            } else {
                self.carry.extend_from_slice(head);
                line((self.carry.len() <= LONGEST).then_some(&self.carry));
                self.carry.clear();
            }
        }
        if self.dropping {
            return;
        }
        if self.carry.len() + bytes.len() > LONGEST {
            self.carry.clear();
            self.dropping = true;
        } else {
            self.carry.extend_from_slice(bytes);
        }
    }

    /// Whether the stream ends in the middle of a line.
    pub fn is_cut(&self) -> bool {
        self.dropping || !self.carry.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> (Vec<Option<Vec<u8>>>, bool) {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.feed(piece, |line| found.push(line.map(<[u8]>::to_vec)));
        }
        (found, lines.is_cut())
    }

    #[test]
    fn pieces_make_no_difference() {
        let text = b"one\n\nthree and more\nfour";
        let whole = cut(&[text]);
        assert_eq!(whole.0.len(), 3);
        assert!(whole.1);
        for at in 0..text.len() {
            assert_eq!(cut(&[&text[..at], &text[at..]]), whole, "at {at}");
        }
        assert!(!cut(&[b"one\n"]).1);
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let piece = vec![b'x'; 50_000];
        let mut lines = Lines::default();
        for _ in 0..100 {
            lines.feed(&piece, |_| panic!("no line ends"));
        }
        assert!(lines.carry.capacity() <= 2 * LONGEST);
        let mut found = Vec::new();
        lines.feed(b"\nnext\n", |line| found.push(line.map(<[u8]>::to_vec)));
        assert_eq!(found, [None, Some(b"next".to_vec())]);
    }
}
