//! The return path: what the destination tells the source (migration.c:
//! `source_return_path_thread`).
//! Must not know: what the source does with it.

use super::bitmap::ReceivedBitmap;
use super::broken::Broken;
use super::input::Input;
use super::{put_counted, put_u16, put_u32, put_u64};
use std::io::Read;

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// The end; 0 if all went well.
    Shut(u32),
    Pong(u32),
    /// Pages of the block of the request before.
    ReqPages {
        start: u64,
        length: u32,
    },
    ReqPagesId {
        block: String,
        start: u64,
        length: u32,
    },
    RecvBitmap {
        block: String,
        bitmap: ReceivedBitmap,
    },
    ResumeAck(u32),
    SwitchoverAck,
}

impl Reply {
    /// Appends its bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut data = Vec::new();
        let number = match self {
            Self::Shut(value) => {
                put_u32(&mut data, *value);
                1
            }
            Self::Pong(value) => {
                put_u32(&mut data, *value);
                2
            }
            Self::ReqPagesId { block, start, length } => {
                put_u64(&mut data, *start);
                put_u32(&mut data, *length);
                put_counted(&mut data, block);
                3
            }
            Self::ReqPages { start, length } => {
                put_u64(&mut data, *start);
                put_u32(&mut data, *length);
                4
            }
            Self::RecvBitmap { block, .. } => {
                put_counted(&mut data, block);
                5
            }
            Self::ResumeAck(value) => {
                put_u32(&mut data, *value);
                6
            }
            Self::SwitchoverAck => 7,
        };
        put_u16(out, number);
        put_u16(out, data.len() as u16);
        out.extend_from_slice(&data);
        if let Self::RecvBitmap { bitmap, .. } = self {
            bitmap.write(out);
        }
    }

    fn read<R: Read>(input: &mut Input<R>) -> Result<Self, Broken> {
        let at = input.at();
        let what = "a message of the return path";
        let (number, length) = (input.u16(what)?, input.u16(what)?);
        let wrong = || Broken::malformed(at, format!("message {number} of {length} bytes"));
        match (number, length) {
            (1, 4) => Ok(Self::Shut(input.u32(what)?)),
            (2, 4) => Ok(Self::Pong(input.u32(what)?)),
            (3, _) => {
                let (start, bytes) = (input.u64(what)?, input.u32(what)?);
                let block = input.counted(what)?;
                let fits = usize::from(length) == 13 + block.len();
                fits.then_some(Self::ReqPagesId { block, start, length: bytes }).ok_or_else(wrong)
            }
            (4, 12) => Ok(Self::ReqPages { start: input.u64(what)?, length: input.u32(what)? }),
            (5, _) => {
                let block = input.counted(what)?;
                if usize::from(length) != 1 + block.len() {
                    return Err(wrong());
                }
                Ok(Self::RecvBitmap { block, bitmap: ReceivedBitmap::read(input)? })
            }
            (6, 4) => Ok(Self::ResumeAck(input.u32(what)?)),
            (7, 0) => Ok(Self::SwitchoverAck),
            (1 | 2 | 4 | 6 | 7, _) => Err(wrong()),
            _ => Err(Broken::malformed(at, format!("unknown message {number}"))),
        }
    }
}

/// Reads a return path.
pub struct Replies<R> {
    input: Input<R>,
}

impl<R: Read> Replies<R> {
    pub fn new(from: R) -> Self {
        Self { input: Input::new(from) }
    }

    /// The next message; none where the bytes end between two.
    ///
    /// # Errors
    /// If the bytes end inside of one or are none that QEMU writes.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Reply>, Broken> {
        if !self.input.available(1)? {
            return Ok(None);
        }
        Reply::read(&mut self.input).map(Some)
    }

    /// All that is left.
    ///
    /// # Errors
    /// As for `next`.
    pub fn all(mut self) -> Result<Vec<Reply>, Broken> {
        let mut replies = Vec::new();
        while let Some(reply) = self.next()? {
            replies.push(reply);
        }
        Ok(replies)
    }
}
