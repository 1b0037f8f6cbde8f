//! QEMU_VM_COMMAND: what the source has the destination do (savevm.c:
//! `loadvm_process_command`).
//! Must not know: when a command is due.

use super::broken::Broken;
use super::input::Input;
use super::{put_counted, put_u16, put_u32, put_u64};
use std::io::Read;

/// The arguments of MIG_CMD_POSTCOPY_ADVISE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageSizes {
    /// `ram_pagesize_summary()`: the page sizes of all blocks, or-ed.
    pub summary: u64,
    /// `qemu_target_page_size()`.
    pub target: u64,
}

/// One command, with its arguments.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    OpenReturnPath,
    Ping(u32),
    /// Without page sizes: only dirty bitmaps are postcopied.
    PostcopyAdvise(Option<PageSizes>),
    PostcopyListen,
    PostcopyRun,
    /// Byte ranges of a block, start and length.
    PostcopyRamDiscard {
        block: String,
        ranges: Vec<(u64, u64)>,
    },
    /// A stream inside of the stream; read it with `Reader::package`.
    Packaged(Vec<u8>),
    EnableColo,
    PostcopyResume,
    /// Asks for the received bitmap of a block.
    RecvBitmap(String),
    /// Since 10.0; a 7.2 does not know it and gives up.
    SwitchoverStart,
}

impl Command {
    /// QEMU's name for it, without MIG_CMD_.
    pub fn name(&self) -> &'static str {
        match self {
            Self::OpenReturnPath => "OPEN_RETURN_PATH",
            Self::Ping(_) => "PING",
            Self::PostcopyAdvise(_) => "POSTCOPY_ADVISE",
            Self::PostcopyListen => "POSTCOPY_LISTEN",
            Self::PostcopyRun => "POSTCOPY_RUN",
            Self::PostcopyRamDiscard { .. } => "POSTCOPY_RAM_DISCARD",
            Self::Packaged(_) => "PACKAGED",
            Self::EnableColo => "ENABLE_COLO",
            Self::PostcopyResume => "POSTCOPY_RESUME",
            Self::RecvBitmap(_) => "RECV_BITMAP",
            Self::SwitchoverStart => "SWITCHOVER_START",
        }
    }

    fn number(&self) -> u16 {
        match self {
            Self::OpenReturnPath => 1,
            Self::Ping(_) => 2,
            Self::PostcopyAdvise(_) => 3,
            Self::PostcopyListen => 4,
            Self::PostcopyRun => 5,
            Self::PostcopyRamDiscard { .. } => 6,
            Self::Packaged(_) => 7,
            Self::EnableColo => 8,
            Self::PostcopyResume => 9,
            Self::RecvBitmap(_) => 10,
            Self::SwitchoverStart => 11,
        }
    }

    /// The byte QEMU_VM_COMMAND has been read.
    pub(super) fn read<R: Read>(input: &mut Input<R>) -> Result<Self, Broken> {
        let at = input.at();
        let number = input.u16("a command")?;
        let length = input.u16("a command")?;
        let wrong = || Broken::malformed(at, format!("command {number} of {length} bytes"));
        let empty = |command| if length == 0 { Ok(command) } else { Err(wrong()) };
        match number {
            1 => empty(Self::OpenReturnPath),
            2 if length == 4 => Ok(Self::Ping(input.u32("PING")?)),
            3 if length == 0 => Ok(Self::PostcopyAdvise(None)),
            3 if length == 16 => {
                let summary = input.u64("POSTCOPY_ADVISE")?;
                let target = input.u64("POSTCOPY_ADVISE")?;
                Ok(Self::PostcopyAdvise(Some(PageSizes { summary, target })))
            }
            4 => empty(Self::PostcopyListen),
            5 => empty(Self::PostcopyRun),
            6 => Self::read_discard(input, length),
            7 if length == 4 => {
                let length = input.u32("PACKAGED")?;
                Ok(Self::Packaged(input.bytes(length as usize, "a package")?))
            }
            8 => empty(Self::EnableColo),
            9 => empty(Self::PostcopyResume),
            10 => {
                let block = input.counted("RECV_BITMAP")?;
                let fits = usize::from(length) == block.len() + 1;
                if fits { Ok(Self::RecvBitmap(block)) } else { Err(wrong()) }
            }
            11 => empty(Self::SwitchoverStart),
            2 | 3 | 7 => Err(wrong()),
            _ => Err(Broken::malformed(at, format!("unknown command {number}"))),
        }
    }

    /// `loadvm_postcopy_ram_handle_discard`.
    fn read_discard<R: Read>(input: &mut Input<R>, length: u16) -> Result<Self, Broken> {
        let what = "POSTCOPY_RAM_DISCARD";
        let at = input.at();
        let version = input.u8(what)?;
        let block = input.counted(what)?;
        let terminator = input.u8(what)?;
        let rest = usize::from(length).checked_sub(3 + block.len());
        let rest = rest.filter(|rest| *rest > 0 && rest % 16 == 0);
        let (0, 0, Some(rest)) = (version, terminator, rest) else {
            let what =
                format!("{what} of {length} bytes, version {version}, terminator {terminator}");
            return Err(Broken::malformed(at, what));
        };
        let ranges = (0..rest / 16).map(|_| Ok((input.u64(what)?, input.u64(what)?)));
        let ranges = ranges.collect::<Result<_, Broken>>()?;
        Ok(Self::PostcopyRamDiscard { block, ranges })
    }

    /// Its bytes, without QEMU_VM_COMMAND before them.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut arguments = Vec::new();
        match self {
            Self::Ping(value) => put_u32(&mut arguments, *value),
            Self::PostcopyAdvise(Some(sizes)) => {
                put_u64(&mut arguments, sizes.summary);
                put_u64(&mut arguments, sizes.target);
            }
            Self::PostcopyRamDiscard { block, ranges } => {
                arguments.push(0);
                put_counted(&mut arguments, block);
                arguments.push(0);
                for (start, length) in ranges {
                    put_u64(&mut arguments, *start);
                    put_u64(&mut arguments, *length);
                }
            }
            Self::Packaged(blob) => put_u32(&mut arguments, blob.len() as u32),
            Self::RecvBitmap(block) => put_counted(&mut arguments, block),
            _ => {}
        }
        put_u16(out, self.number());
        put_u16(out, arguments.len() as u16);
        out.extend_from_slice(&arguments);
        if let Self::Packaged(blob) = self {
            out.extend_from_slice(blob);
        }
    }
}
