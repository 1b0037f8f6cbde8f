//! QOM's casts: which type `MACHINE(obj)` and `MACHINE_GET_CLASS(obj)` give. Read
//! from the text, since these macros stand at file scope without a `;`.
//! Must not know: what QOM is.

use super::Names;
use crate::scan::ir::FileFacts;

/// Macros that declare casts: how many arguments in front of the cast's name, and
/// which of them is the instance's type, the class's type.
const DECLARE: [(&str, usize, Option<usize>, Option<usize>); 7] = [
    ("OBJECT_DECLARE_TYPE", 2, Some(0), Some(1)),
    ("OBJECT_DECLARE_SIMPLE_TYPE", 1, Some(0), None),
    ("OBJECT_DECLARE_INTERFACE", 2, Some(0), Some(1)),
    ("DECLARE_OBJ_CHECKERS", 2, Some(0), Some(1)),
    ("DECLARE_INSTANCE_CHECKER", 1, Some(0), None),
    ("DECLARE_CLASS_CHECKERS", 1, None, Some(0)),
    ("DECLARE_INTERFACE_CHECKER", 1, Some(0), None),
];

/// Macros that a cast's `#define` is made of; the type is their first argument.
const DEFINE: [&str; 4] =
    ["OBJECT_CHECK", "OBJECT_GET_CLASS", "OBJECT_CLASS_CHECK", "INTERFACE_CHECK"];

/// Records the casts that a file declares.
pub(super) fn casts(text: &[u8], names: &mut Names, facts: &mut FileFacts) {
    let mut rest = text;
    let mut at_line_start = true;
    while !rest.is_empty() {
        let end = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |at| at + 1);
        if at_line_start {
            let line = &rest[..end];
            if line.starts_with(b"OBJECT_DECLARE") || line.starts_with(b"DECLARE_") {
                declared(rest, names, facts);
            } else if line.starts_with(b"#define") {
                defined(rest, names, facts);
            }
        }
        at_line_start = true;
        rest = &rest[end..];
    }
}

/// The words between the parentheses at the beginning of `text`, split at commas.
fn arguments(text: &[u8]) -> Option<Vec<String>> {
    let text = &text[..text.len().min(400)];
    let close = text.iter().position(|&b| b == b')' || b == b';')?;
    let inside = text.strip_prefix(b"(")?.get(..close - 1)?;
    let words = inside.split(|&b| b == b',');
    Some(words.map(|word| String::from_utf8_lossy(word).trim().to_owned()).collect())
}

fn declared(text: &[u8], names: &mut Names, facts: &mut FileFacts) {
    for (macro_name, before, instance, class) in DECLARE {
        let Some(rest) = text.strip_prefix(macro_name.as_bytes()) else { continue };
        let Some(arguments) = arguments(rest) else { continue };
        let Some(cast) = arguments.get(before) else { continue };
        if let Some(ty) = instance.and_then(|at| arguments.get(at)) {
            facts.casts.push((names.of(cast), names.of(ty)));
        }
        if let Some(ty) = class.and_then(|at| arguments.get(at)) {
            for suffix in ["_CLASS", "_GET_CLASS"] {
                facts.casts.push((names.of(&format!("{cast}{suffix}")), names.of(ty)));
            }
        }
    }
}

fn defined(text: &[u8], names: &mut Names, facts: &mut FileFacts) {
    // The definition may go on in a second line.
    let text = String::from_utf8_lossy(&text[..text.len().min(300)]);
    let Some((name, rest)) = text["#define".len()..].trim_start().split_once('(') else { return };
    let Some((_, rest)) = rest.split_once(')') else { return };
    let body = rest.trim_start().trim_start_matches('\\').trim_start().trim_start_matches('(');
    for check in DEFINE {
        let Some(rest) = body.strip_prefix(check) else { continue };
        if let Some(arguments) = arguments(rest.trim_start().as_bytes())
            && let Some(ty) = arguments.first()
        {
            facts.casts.push((names.of(name.trim()), names.of(ty)));
        }
    }
}
