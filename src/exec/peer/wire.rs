//! A connection, as a peer sees it.
//! Must not know: what is sent.

use std::io;

/// One end of a connection; two clones of it may be in use at once, one to
/// send and one to receive.
pub trait Wire {
    /// Sends all of it; blocks while the other side does not read.
    ///
    /// # Errors
    /// If the connection is lost.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Receives at least one byte; blocks until then. 0 is the end.
    ///
    /// # Errors
    /// If the connection is lost.
    fn recv(&mut self, bytes: &mut [u8]) -> io::Result<usize>;

    /// shutdown(2), both ways: both sides' calls end, those that block too.
    fn shutdown(&mut self);
}

/// The receiving side of a wire, for a reader.
pub struct Incoming<W>(pub W);

impl<W: Wire> io::Read for Incoming<W> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.recv(bytes)
    }
}

impl<W: Wire + ?Sized> Wire for Box<W> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        (**self).send(bytes)
    }

    fn recv(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (**self).recv(bytes)
    }

    fn shutdown(&mut self) {
        (**self).shutdown();
    }
}
