//! Virtual time: it stands while anything can run, and goes on to the next
//! time-out when nothing can.
//! Must not know: the real clock.

/// Nanoseconds since boot.
pub type Instant = u64;

/// What CLOCK_REALTIME is at boot, in seconds: any day will do, always the same.
pub const EPOCH: u64 = 1_700_000_000;

/// `now` on one of Linux's clocks.
pub fn read(clock: i32, now: Instant) -> libc::timespec {
    let offset = if clock == libc::CLOCK_REALTIME { EPOCH } else { 1 };
    libc::timespec {
        tv_sec: (offset + now / 1_000_000_000) as i64,
        tv_nsec: (now % 1_000_000_000) as i64,
    }
}

/// The instant of an absolute time on a clock.
pub fn instant(clock: i32, time: &libc::timespec) -> Instant {
    let offset = if clock == libc::CLOCK_REALTIME { EPOCH } else { 1 };
    let seconds = (time.tv_sec as u64).saturating_sub(offset);
    seconds.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

/// The length of a span.
pub fn length(span: &libc::timespec) -> Instant {
    (span.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(span.tv_nsec as u64)
}
