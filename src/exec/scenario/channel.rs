//! A scenario's end of a connection to QEMU.
//! Must not know: what is said over it.

use super::task::act;
use crate::exec::kernel::file::{Call, File, Files};
use crate::exec::kernel::socket;
use crate::exec::kernel::state::{Key, kernel};
use crate::exec::kernel::sync::Op;
use crate::exec::peer::Wire;
use std::io::{Error, Result};

/// One end of a stream; copies of it stand for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    pub fd: i32,
}

/// Whether QEMU listens on `name`.
pub fn listens(name: &str) -> bool {
    let on =
        |file: &File| matches!(file, File::Socket { local, listens: true, .. } if local == name);
    kernel().files.all.iter().any(on)
}

impl Channel {
    /// Connects to QEMU's listener `name`.
    pub fn connect(name: &str) -> Result<Channel> {
        act(Op::Yield);
        let state = kernel();
        match socket::connect(state, name) {
            Ok(file) => Ok(Channel::of(&mut state.files, file)),
            Err(errno) => Err(Error::from_raw_os_error(errno)),
        }
    }

    /// Listens on `name`, for `accept`.
    pub fn listen(name: &str) -> Channel {
        let files = &mut kernel().files;
        let (local, pending) = (name.to_string(), Default::default());
        let file = files.add(File::Socket { local, listens: true, pending });
        Channel::of(files, file)
    }

    fn of(files: &mut Files, file: usize) -> Channel {
        let fd = files.install(file, false);
        files.keep(fd);
        Channel { fd }
    }

    /// The next connection to what listens.
    pub fn accept(&self) -> Result<Channel> {
        let call = socket::Call::Accept { fd: self.fd, nonblocking: false };
        outcome(act(Op::Socket(call))).map(|fd| Channel { fd: fd as i32 })
    }

    /// The network between both ends fails: what was sent and not read yet is
    /// lost, both sides get errors.
    pub fn cut(&self) {
        let state = kernel();
        if let Some(file) = state.files.file(self.fd) {
            socket::cut(state, file, false);
            state.wake(Key::File(file));
        }
    }

    /// What comes first, up to so many bytes, which stay there; waits for one. 0 is the
    /// end.
    pub fn peek(&self, bytes: &mut [u8]) -> Result<usize> {
        let part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        let (parts, many) = (&raw const part as usize, 1);
        let (peek, never_wait) = (true, false);
        let call = socket::Call::Receive { fd: self.fd, parts, many, peek, never_wait };
        outcome(act(Op::Socket(call)))
    }

    /// shutdown(2), both ways.
    pub fn end(&self) {
        act(Op::Socket(socket::Call::Shutdown { fd: self.fd, how: libc::SHUT_RDWR }));
    }

    /// Closes this end.
    pub fn close(self) {
        act(Op::File(Call::Close { fd: self.fd }));
    }
}

fn outcome(result: isize) -> Result<usize> {
    usize::try_from(result).map_err(|_| Error::from_raw_os_error(-result as i32))
}

impl Wire for Channel {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let mut sent = 0;
        while sent < bytes.len() {
            let (from, length) = (bytes[sent..].as_ptr() as usize, bytes.len() - sent);
            sent += outcome(act(Op::File(Call::Write { fd: self.fd, from, length })))?;
        }
        Ok(())
    }

    fn recv(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let (into, length) = (bytes.as_mut_ptr() as usize, bytes.len());
        outcome(act(Op::File(Call::Read { fd: self.fd, into, length })))
    }

    fn shutdown(&mut self) {
        self.end();
    }
}
