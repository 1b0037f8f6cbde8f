//! The connections that a source with multifd makes to a destination of ours: which is
//! the main one, and the threads that read the others.
//! Must not know: what the pages are.

use super::board::Board;
use super::channel::Channel;
use super::task::act;
use crate::exec::kernel::sync::Op;
use crate::exec::peer::{Receiving, multifd_recv_thread};
use crate::sim::stream::{MULTIFD_MAGIC, QEMU_VM_FILE_MAGIC};

/// What the destination's tasks tell one another of the channels.
#[derive(Debug, Default)]
pub struct Lanes {
    /// Of the migration that goes on.
    pub open: Vec<Channel>,
    /// Migrations whose channels have come.
    begun: usize,
    /// Threads that have read their channel to the end, of all migrations.
    ended: usize,
}

/// The next migration's connections, the main one first; none if nobody will come any
/// more. Those of a migration that was given up meanwhile are closed.
pub fn accept(listener: &Channel, many: usize) -> Option<Vec<Channel>> {
    if many == 0 {
        return listener.accept().ok().map(|channel| vec![channel]);
    }
    let (mut main, mut others) = (None, Vec::new());
    loop {
        let channel = listener.accept().ok()?;
        match magic(&channel) {
            Some(QEMU_VM_FILE_MAGIC) => {
                // A source connects with the main one first.
                let given_up = main.replace(channel).into_iter().chain(others.drain(..));
                given_up.for_each(Channel::close);
            }
            Some(MULTIFD_MAGIC) => others.push(channel),
            // Closed by the source, or none of a migration's.
            _ => channel.close(),
        }
        if others.len() > many {
            others.remove(0).close();
        }
        if let Some(main) = main
            && others.len() == many
        {
            others.insert(0, main);
            return Some(others);
        }
    }
}

/// The first bytes of a connection, which stay there; none if it ends before.
fn magic(channel: &Channel) -> Option<u32> {
    let mut bytes = [0; 4];
    loop {
        match channel.peek(&mut bytes) {
            Ok(4) => return Some(u32::from_be_bytes(bytes)),
            Ok(0) | Err(_) => return None,
            Ok(_) => act(Op::Yield),
        };
    }
}

/// Lets the threads of the channels begin.
pub fn begin(lanes: &Board<Lanes>, receiving: &Board<Receiving>, open: &[Channel]) {
    receiving.with(|receiving| *receiving = Receiving::of(open.len()));
    lanes.with(|lanes| (lanes.open, lanes.begun) = (open.to_vec(), lanes.begun + 1));
}

/// Ends them with the migration (`multifd_recv_cleanup`).
pub fn end(lanes: &Board<Lanes>, receiving: &Board<Receiving>) {
    receiving.with(Receiving::exit);
    let open = lanes.with(|lanes| lanes.open.clone());
    open.iter().for_each(Channel::end);
    lanes.wait(|lanes| (lanes.ended == lanes.begun * open.len()).then_some(()));
    lanes.with(|lanes| lanes.open.clear());
    open.into_iter().for_each(Channel::close);
}

/// The thread of a channel, one migration after the other.
pub fn thread(nth: usize, lanes: &Board<Lanes>, receiving: &Board<Receiving>) {
    for migration in 1.. {
        let begun = |lanes: &mut Lanes| (lanes.begun == migration).then(|| lanes.open[nth]);
        let channel = lanes.wait(begun);
        multifd_recv_thread(receiving, nth, channel);
        lanes.with(|lanes| lanes.ended += 1);
    }
}
