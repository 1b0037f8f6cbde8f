//! Mails as `git format-patch`, `b4 am` and mail programs write them: one, or
//! an mbox of several. The only file that names mailparse.
//! Must not know: what a diff is.

use super::patch_error::{PatchError, shown};
use mailparse::body::Body;
use mailparse::{MailHeaderMap, ParsedMail};

/// A mail, decoded.
#[derive(Clone, PartialEq, Debug)]
pub struct Mail {
    pub subject: String,
    pub message_id: Option<String>,
    /// Its text, transfer encodings undone, its attached patches too.
    pub text: Vec<u8>,
    /// The line of the file, from 0, on which the text starts; none if the text
    /// was encoded.
    pub first_line: Option<usize>,
}

/// The mails in `bytes`, or none if that is not mail at all. `name` is for
/// errors.
pub fn mails(name: &str, bytes: &[u8]) -> Result<Option<Vec<Mail>>, PatchError> {
    let mut starts = Vec::new();
    let mut offset = 0;
    for (nth, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if is_postmark(line) {
            starts.push((offset, nth, line.len()));
        }
        offset += line.len();
    }
    let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    match starts.first() {
        Some((first, ..)) if *first <= blank => {}
        _ if has_headers(bytes) => starts.insert(0, (0, 0, 0)),
        _ => return Ok(None),
    }
    let ends = starts.iter().skip(1).map(|(start, ..)| *start).chain([bytes.len()]);
    let mails = starts.iter().zip(ends).map(|((start, line, postmark), end)| {
        let first = line + usize::from(*postmark > 0);
        mail(name, &bytes[start + postmark..end], first)
    });
    mails.collect::<Result<_, _>>().map(Some)
}

/// `From <anything> Thu Jan  1 00:00:00 1970`: what git takes for one too. A
/// commit message may have lines that begin with `From `.
fn is_postmark(line: &[u8]) -> bool {
    if !line.starts_with(b"From ") || line.len() > 1000 {
        return false;
    }
    let Ok(text) = std::str::from_utf8(line) else { return false };
    let mut words = text.split_whitespace();
    let is_time = |word: &str| {
        let parts: Vec<&str> = word.split(':').collect();
        let digits = |part: &&str| (1..=2).contains(&part.len()) && part.parse::<u8>().is_ok();
        (2..=3).contains(&parts.len()) && parts.iter().all(digits)
    };
    let is_year = |word: &str| word.len() == 4 && word.parse().is_ok_and(|year: u16| year > 1969);
    words.any(is_time) && words.take(2).any(is_year)
}

/// Whether it begins like a mail: `Name: value`, one of them the sender or the
/// subject.
fn has_headers(bytes: &[u8]) -> bool {
    let mut known = false;
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            continue;
        }
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        if name.len() == line.len() || name.is_empty() || !name.iter().all(is_name) {
            return false;
        }
        known |= name.eq_ignore_ascii_case(b"From") || name.eq_ignore_ascii_case(b"Subject");
    }
    known
}

/// The mail in `raw`, which starts on line `first` of the file, from 0.
fn mail(name: &str, raw: &[u8], first: usize) -> Result<Mail, PatchError> {
    let place = format!("{name}:{}", first + 1);
    let whole = "save the mail again, whole and as it was sent";
    let ends_headers = |two: &[&[u8]]| two[1].is_empty() || two[1] == b"\r";
    let lines: Vec<&[u8]> = raw.split(|byte| *byte == b'\n').collect();
    // The piece after the last newline is no line.
    if !lines[..lines.len() - 1].windows(2).any(ends_headers) {
        return Err(PatchError::malformed("the mail ends among its headers", place, whole));
    }
    // Encoded words are found in quadratic time; a line of a mail has 998 bytes.
    let is_long = |line: &&[u8]| line.len() > 4000 && line.windows(2).any(|two| two == b"=?");
    if let Some(nth) = lines.iter().position(is_long) {
        let place = format!("{name}:{}", first + nth + 1);
        return Err(PatchError::malformed("the line is too long for a mail", place, whole));
    }
    let bad = |why: &dyn std::fmt::Display| {
        let message = format!("the mail cannot be decoded: {}", shown(why.to_string().as_bytes()));
        PatchError::malformed(message, &place, whole)
    };
    let mail = mailparse::parse_mail(raw).map_err(|error| bad(&error))?;
    let (mut text, mut first_line) = (Vec::new(), None);
    for part in mail.parts() {
        if !part.subparts.is_empty() || part.ctype.mimetype.starts_with("multipart/") {
            require_end(part, raw).map_err(|why| bad(&why))?;
            continue;
        }
        if !is_text(part) {
            continue;
        }
        match part.get_body_encoded() {
            Body::Base64(body) | Body::QuotedPrintable(body) => {
                text.extend(body.get_decoded().map_err(|error| bad(&error))?);
            }
            Body::SevenBit(body) | Body::EightBit(body) => {
                if text.is_empty() && mail.subparts.is_empty() {
                    let before = raw.len() - body.get_raw().len();
                    let lines = raw[..before].iter().filter(|byte| **byte == b'\n').count();
                    first_line = Some(first + lines);
                }
                text.extend(body.get_raw());
            }
            Body::Binary(body) => text.extend(body.get_raw()),
        }
        // The newline in front of a boundary belongs to the boundary.
        if !mail.subparts.is_empty() && text.last().is_some_and(|byte| *byte != b'\n') {
            text.push(b'\n');
        }
    }
    let header = |key| mail.headers.get_first_value(key).map(|value: String| folded(&value));
    let message_id = header("Message-ID").map(|id| id.trim_matches(['<', '>']).to_owned());
    Ok(Mail { subject: header("Subject").unwrap_or_default(), message_id, text, first_line })
}

/// On one line.
fn folded(value: &str) -> String {
    let words: Vec<&str> = value.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether a part may hold a patch: text that is not HTML, or an attached patch.
fn is_text(part: &ParsedMail) -> bool {
    let kind = part.ctype.mimetype.as_str();
    let named = |name: &String| name.ends_with(".patch") || name.ends_with(".diff");
    let disposition = part.get_content_disposition();
    kind.starts_with("text/") && kind != "text/html"
        || kind.ends_with("-patch")
        || kind.ends_with("-diff")
        || part.ctype.params.get("name").is_some_and(named)
        || disposition.params.get("filename").is_some_and(named)
}

/// A mail of several parts says where the last one ends.
fn require_end(part: &ParsedMail, raw: &[u8]) -> Result<(), &'static str> {
    let boundary = part.ctype.params.get("boundary").ok_or("its parts have no boundary")?;
    let end = format!("--{boundary}--");
    let ends = |line: &[u8]| line.starts_with(end.as_bytes());
    raw.split(|byte| *byte == b'\n').any(ends).then_some(()).ok_or("its last part does not end")
}
