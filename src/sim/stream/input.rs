//! Bytes as they come in, big endian, with a count and a look ahead.
//! Must not know: what they mean.

use super::broken::{Broken, Kind};
use std::io::Read;

/// Asked of the carrier at a time; what QEMU's own buffer holds (IO_BUF_SIZE).
const CHUNK: usize = 32768;

/// Bytes from a carrier. No more is read than has been asked for and has
/// arrived, so that a carrier that blocks does so where QEMU would.
pub(super) struct Input<R> {
    from: R,
    /// Read and not yet used: from `used` on.
    buffer: Vec<u8>,
    used: usize,
    at: u64,
}

impl<R: Read> Input<R> {
    pub fn new(from: R) -> Self {
        Self { from, buffer: Vec::new(), used: 0, at: 0 }
    }

    /// Bytes used so far.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Sees to it that `count` bytes can be looked at; false where the bytes end.
    pub fn available(&mut self, count: usize) -> Result<bool, Broken> {
        while self.buffer.len() - self.used < count {
            if self.used > CHUNK {
                self.buffer.drain(..self.used);
                self.used = 0;
            }
            let end = self.buffer.len();
            self.buffer.resize(end + CHUNK, 0);
            let read = self.from.read(&mut self.buffer[end..]);
            self.buffer.truncate(end + read.as_ref().copied().unwrap_or(0).min(CHUNK));
            match read {
                Ok(0) => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let what = error.to_string();
                    return Err(Broken { at: self.at, kind: Kind::Carrier, what });
                }
            }
        }
        Ok(true)
    }

    /// Up to `count` of the bytes that have arrived, without using them.
    pub fn ahead(&self, count: usize) -> &[u8] {
        let rest = &self.buffer[self.used..];
        &rest[..count.min(rest.len())]
    }

    fn need(&mut self, count: usize, what: &str) -> Result<(), Broken> {
        if self.available(count)? {
            return Ok(());
        }
        Err(self.cut(what))
    }

    /// The bytes end inside of `what`: after those that have arrived.
    pub fn cut(&self, what: &str) -> Broken {
        let what = format!("the stream ends inside of {what}");
        let at = self.at + (self.buffer.len() - self.used) as u64;
        Broken { at, kind: Kind::Cut, what }
    }

    /// The next `count` bytes of `what`.
    pub fn bytes(&mut self, count: usize, what: &str) -> Result<Vec<u8>, Broken> {
        self.need(count, what)?;
        let bytes = self.ahead(count).to_vec();
        self.used += count;
        self.at += count as u64;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Broken> {
        self.need(N, what)?;
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.ahead(N));
        self.used += N;
        self.at += N as u64;
        Ok(bytes)
    }

    pub fn u8(&mut self, what: &str) -> Result<u8, Broken> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub fn u16(&mut self, what: &str) -> Result<u16, Broken> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub fn u32(&mut self, what: &str) -> Result<u32, Broken> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub fn u64(&mut self, what: &str) -> Result<u64, Broken> {
        self.array(what).map(u64::from_be_bytes)
    }

    /// `count` bytes of text.
    pub fn text(&mut self, count: usize, what: &str) -> Result<String, Broken> {
        let at = self.at;
        String::from_utf8(self.bytes(count, what)?)
            .map_err(|_| Broken::malformed(at, format!("{what} is not text")))
    }

    /// A name with its length before it (`qemu_get_counted_string`).
    pub fn counted(&mut self, what: &str) -> Result<String, Broken> {
        let length = self.u8(what)?;
        self.text(length.into(), what)
    }
}
