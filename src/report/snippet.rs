//! A message about a line of source, in the look of rustc. The only file that
//! names annotate-snippets.
//! Must not know: what the message is about.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::ops::Range;

/// How grave it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gravity {
    Error,
    Warning,
    Note,
}

/// What is said, in the order in which it is shown. All text is fit to print:
/// folded and without control characters.
pub struct Message<'a> {
    pub gravity: Gravity,
    /// `BQL001`.
    pub code: &'a str,
    pub title: &'a str,
    pub path: &'a str,
    /// 1-based; 0 where there is none.
    pub line: u32,
    /// The line's text from its beginning and what of it is meant, in bytes.
    pub source: Option<(&'a str, Range<usize>)>,
    /// Each with its name: `note`, `help`.
    pub notes: &'a [(&'static str, String)],
}

/// How far the text of a note called `name` is indented, at `line`.
pub fn indent(name: &str, line: u32) -> usize {
    line.max(1).ilog10() as usize + " = : ".len() + 1 + name.len()
}

/// How far the title is.
pub fn title_indent(gravity: Gravity, code: &str) -> usize {
    let name = match gravity {
        Gravity::Error => "error",
        Gravity::Warning => "warning",
        Gravity::Note => "note",
    };
    name.len() + "[]: ".len() + code.len()
}

/// `message` with a line end.
pub fn snippet(message: &Message<'_>, colour: bool) -> String {
    let level = match message.gravity {
        Gravity::Error => Level::ERROR,
        Gravity::Warning => Level::WARNING,
        Gravity::Note => Level::NOTE,
    };
    let title = level.primary_title(message.title).id(message.code);
    let mut group: Group<'_> = if let Some((text, span)) = &message.source {
        let source = Snippet::source(*text).line_start(message.line as usize).path(message.path);
        title.element(source.annotation(AnnotationKind::Primary.span(span.clone())))
    } else {
        let origin = Origin::path(message.path);
        title.element(if message.line > 0 { origin.line(message.line as usize) } else { origin })
    };
    for (name, text) in message.notes {
        group = group.element(Level::NOTE.with_name(*name).message(text.as_str()));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    // Lines are cut to a sensible width before they come here.
    renderer.term_width(1000).render(&[group]) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_like_rustc() {
        let text = "            se->ops->load_cleanup(se->opaque);";
        let notes = [
            ("note", "1. postcopy_ram_listen_thread()\n   migration/savevm.c:2059".to_string()),
            ("help", "take it".to_string()),
            ("explain", "bqlcheck explain BQL001".to_string()),
        ];
        let message = Message {
            gravity: Gravity::Error,
            code: "BQL001",
            title: "load_cleanup is called\nwithout the BQL",
            path: "migration/savevm.c",
            line: 2541,
            source: Some((text, 12..33)),
            notes: &notes,
        };
        let shown = snippet(&message, false);
        let expected = "\
error[BQL001]: load_cleanup is called
               without the BQL
    --> migration/savevm.c:2541:13
     |
2541 |             se->ops->load_cleanup(se->opaque);
     |             ^^^^^^^^^^^^^^^^^^^^^
     |
     = note: 1. postcopy_ram_listen_thread()
                migration/savevm.c:2059
     = help: take it
     = explain: bqlcheck explain BQL001
";
        assert_eq!(shown, expected, "{shown}");
        assert!(shown.contains(&format!(
            "\n{:1$}migration/savevm.c:2059",
            "",
            3 + indent("note", 2541)
        )));
        let bare = snippet(&Message { source: None, line: 0, notes: &[], ..message }, false);
        assert!(bare.ends_with("\n--> migration/savevm.c\n"), "{bare}");
    }
}
