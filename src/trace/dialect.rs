//! One line of a QEMU log: the dialects of its trace backend.
//! Must not know: what an event means.
//!
//! Up to about 10.0 `TID@SECONDS.MICROSECONDS:event text`, with `-msg
//! timestamp=on`; later an ISO time, a workload, the program's name and
//! `(TID:thread-name):`, as far as they are switched on.

/// A trace event with its thread and time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// The thread's id, as the kernel has it.
    pub thread: u64,
    /// The thread's name, in the dialect that has it.
    pub name: &'a [u8],
    /// Microseconds since 1970.
    pub us: u64,
    pub event: &'a [u8],
    pub text: &'a [u8],
}

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read<'a> {
    Event(Line<'a>),
    /// `qemu-system-x86_64: warning: ...`: said by QEMU, not an event.
    Message,
    /// An event that does not say which thread it is of.
    NoThread,
    /// An event with a thread and without a time.
    NoTime,
    /// Nothing on it.
    Empty,
    Unknown,
}

/// What to add to QEMU's command line for a log that can be read.
pub const OPTIONS: &str = "-D FILE -msg timestamp=on -trace 'qemu_mutex_*' \
    -trace '*postcopy*' -trace '*loadvm*' -trace 'migrat*' -trace vmstate_load \
    -trace '*savevm*'";

/// Reads one line, without its end.
pub fn read(line: &[u8]) -> Read<'_> {
    match line.first() {
        None => Read::Empty,
        Some(b'0'..=b'9') => old(line).or_else(|| new(line)).unwrap_or(Read::Unknown),
        Some(_) => new(line).unwrap_or(Read::Unknown),
    }
}

/// The digits at the start as a number, and what follows.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take(19).take_while(|byte| byte.is_ascii_digit()).count();
    let value = text[..digits].iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    (digits > 0).then(|| (value, &text[digits..]))
}

/// `TID@SECONDS.MICROSECONDS:event text`.
fn old(line: &[u8]) -> Option<Read<'_>> {
    let (thread, rest) = number(line)?;
    let (seconds, rest) = number(rest.strip_prefix(b"@")?)?;
    let rest = rest.strip_prefix(b".")?;
    let (micros, rest) = number(rest.get(..6)?).map(|(micros, _)| (micros, &rest[6..]))?;
    let (event, text) = event(rest.strip_prefix(b":")?)?;
    let us = seconds.checked_mul(1_000_000)?.checked_add(micros)?;
    Some(Read::Event(Line { thread, name: b"", us, event, text }))
}

/// `event text`: an identifier with an underscore in it, alone or before a blank.
fn event(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
    let name = &rest[..end];
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let is_one = name.iter().all(word) && name.contains(&b'_');
    is_one.then(|| (name, rest.get(end + 1..).unwrap_or(b"")))
}

/// The newer dialect, and what has neither thread nor time.
fn new(line: &[u8]) -> Option<Read<'_>> {
    let (us, rest) = match iso(line) {
        Some((us, rest)) => (Some(us), rest),
        None => (None, line),
    };
    // `qemu_mutex_lock waiting on mutex ...`, as without any option.
    if us.is_none() && event(rest).is_some() {
        return Some(Read::NoThread);
    }
    let colon = rest.windows(2).take(256).position(|pair| pair == b": ")?;
    let program = rest[..colon].rsplit(|byte| *byte == b' ').next()?;
    if !program.starts_with(b"qemu") {
        return None;
    }
    let rest = &rest[colon + 2..];
    let (thread, rest) = match thread(rest) {
        Some((id, name, rest)) => (Some((id, name)), rest),
        None => (None, rest),
    };
    Some(match (event(rest), thread, us) {
        (None, ..) => Read::Message,
        (Some(_), None, _) => Read::NoThread,
        (Some(_), Some(_), None) => Read::NoTime,
        (Some((event, text)), Some((thread, name)), Some(us)) => {
            Read::Event(Line { thread, name, us, event, text })
        }
    })
}

/// `(TID:name): `.
fn thread(rest: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (id, rest) = number(rest.strip_prefix(b"(")?)?;
    let rest = rest.strip_prefix(b":")?;
    let end = rest.windows(3).take(64).position(|three| three == b"): ")?;
    Some((id, &rest[..end], &rest[end + 3..]))
}

/// `2026-11-24T10:20:30.123456Z `, as `g_date_time_format_iso8601()` prints it.
fn iso(line: &[u8]) -> Option<(u64, &[u8])> {
    let pattern = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(byte, wanted): (&u8, &u8)| match wanted {
        b'd' => byte.is_ascii_digit(),
        _ => byte == wanted,
    };
    let head = line.get(..pattern.len())?;
    if !head.iter().zip(pattern).all(fits) {
        return None;
    }
    let part = |from: usize, to: usize| number(&head[from..to]).map(|(value, _)| value);
    let days = days(part(0, 4)?, part(5, 7)?, part(8, 10)?)?;
    let seconds = days * 86_400 + part(11, 13)? * 3600 + part(14, 16)? * 60 + part(17, 19)?;
    let mut rest = &line[pattern.len()..];
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
        micros = number(&fraction[..digits])?.0 * 10u64.pow(6 - digits as u32);
        rest = &fraction[digits..];
    }
    let rest = rest.strip_prefix(b"Z").unwrap_or(rest);
    Some((seconds * 1_000_000 + micros, rest.strip_prefix(b" ")?))
}

/// Days from 1970 to a date of the proleptic Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// A lock operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// `qemu_mutex_lock`: begins to wait.
    Lock,
    /// `qemu_mutex_locked`: has it.
    Locked,
    /// `qemu_mutex_unlock`: is about to let go.
    Unlock,
}

/// What a lock event says: the operation, the mutex's address, `file:line`.
pub type LockEvent<'a> = (Operation, u64, &'a [u8]);

/// The lock operation that `line` is. None: another event. An error: it should be
/// one and cannot be read.
pub fn lock_event<'a>(line: &Line<'a>) -> Option<Result<LockEvent<'a>, ()>> {
    let (operation, words) = match line.event.strip_prefix(b"qemu_mutex_")? {
        b"lock" => (Operation::Lock, &b"waiting on mutex 0x"[..]),
        b"locked" => (Operation::Locked, &b"taken mutex 0x"[..]),
        b"unlock" => (Operation::Unlock, &b"released mutex 0x"[..]),
        _ => return None,
    };
    Some(line.text.strip_prefix(words).and_then(place).ok_or(()).map(|(a, p)| (operation, a, p)))
}

/// `55d866994900 (./include/qemu/lockable.h:56)`: the address and the place.
fn place(text: &[u8]) -> Option<(u64, &[u8])> {
    let mut address = 0u64;
    let mut digits = 0;
    for byte in text.iter().take(17) {
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => break,
        };
        address = address << 4 | u64::from(value);
        digits += 1;
    }
    let place = text[digits..].strip_prefix(b" (")?.strip_suffix(b")")?;
    let colon = place.iter().rposition(|byte| *byte == b':')?;
    let line = &place[colon + 1..];
    let sound = colon > 0 && !line.is_empty() && line.iter().all(u8::is_ascii_digit);
    (sound && (1..=16).contains(&digits)).then_some((address, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &[u8] = b"8649@1795390704.768084:qemu_mutex_locked taken mutex 0x55d866973900 \
        (../migration/savevm.c:2059)";

    #[test]
    fn the_old_dialect() {
        let Read::Event(line) = read(OLD) else { panic!("an event") };
        assert_eq!((line.thread, line.us), (8649, 1_795_390_704_768_084));
        let place = &b"../migration/savevm.c:2059"[..];
        let locked = (Operation::Locked, 0x55d8_6697_3900, place);
        assert_eq!(lock_event(&line), Some(Ok(locked)));
    }

    #[test]
    fn the_new_dialect_and_what_it_may_lack() {
        let full = b"2026-11-24T00:31:44.768084Z vm7 qemu-system-x86_64: (8649:mig/dst/listen): \
            loadvm_postcopy_handle_run ";
        let Read::Event(line) = read(full) else { panic!("an event") };
        assert_eq!((line.thread, line.name), (8649, &b"mig/dst/listen"[..]));
        assert_eq!(line.us, 1_795_480_304_768_084);
        assert_eq!(read(&full[28..]), Read::NoTime);
        assert_eq!(read(b"qemu-system-x86_64: migrate_set_state new state x"), Read::NoThread);
        assert_eq!(read(b"qemu_mutex_lock waiting on mutex 0x1 (a.c:1)"), Read::NoThread);
        assert_eq!(read(b"qemu-system-x86_64: warning: no such thing"), Read::Message);
    }

    #[test]
    fn what_is_no_event() {
        for text in [&b"\x7fELF"[..], b"8649@17953", b"1@1.1:a_b", b"99999999999999999999@1", b":"]
        {
            assert_eq!(read(text), Read::Unknown, "{text:?}");
        }
        assert_eq!(read(b""), Read::Empty);
        for end in 0..OLD.len() {
            if let Read::Event(line) = read(&OLD[..end]) {
                assert!(!matches!(lock_event(&line), Some(Ok(_))), "cut at {end}");
            }
        }
    }
}
