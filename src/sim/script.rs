//! The stream of a scripted source, for sizes without one.
//! Must not know: how it is loaded.

use super::cast::Cast;
use super::message::{Message, Packed};
use super::ram::is_zero;
use super::scenario::{Break, Device};
use crate::runtime::{Payload, State, World};

impl Cast {
    /// Puts the whole stream on its way: up to the break on the first
    /// connection, the rest on the second.
    pub fn script(&self, world: &mut World) {
        let pages = self.guest.before.len();
        let dirty: Vec<u32> =
            (0..pages).filter(|n| self.guest.is_dirty(*n)).map(|n| n as u32).collect();
        let before = self.guest.before.iter().cloned().enumerate();
        let mut package = vec![Packed::Listen];
        let packed = self.scenario.devices.iter().filter(|device| **device != Device::DirtyBitmap);
        package.extend(packed.map(|device| Packed::Device(*device)));
        package.push(Packed::Run);
        let head = [
            Message::Advise,
            Message::Ram(before.map(|(n, content)| (n as u32, content)).collect()),
            Message::RamDiscard(dirty.clone()),
            Message::Packaged(package),
        ];
        let mut tail: Vec<Message> = dirty
            .iter()
            .map(|n| {
                let content = self.guest.after[*n as usize].clone();
                Message::Page(*n, (!is_zero(&content)).then_some(content))
            })
            .collect();
        if self.scenario.hostile_section {
            tail.push(Message::Device(Device::Pci));
        }
        if self.has_dirty_bitmap() {
            tail.push(Message::DirtyBitmap);
        }
        tail.push(Message::Eof);
        let breaks = self.scenario.breaks != Break::Never;
        let stops = breaks || self.scenario.hostile_section;
        // The break finds half of the pages arrived.
        let kept = if breaks { dirty.len() / 2 } else { tail.len() };
        let resumed = if breaks { kept } else { dirty.len() + 1 };
        let second = [Message::RecvBitmap, Message::PostcopyResume].into_iter();
        let second: Vec<Message> =
            second.chain(tail[resumed.min(tail.len())..].iter().cloned()).collect();
        let first = head.into_iter().chain(tail[..kept].iter().cloned()).collect();
        self.load(world, 0, first, breaks);
        if stops {
            self.load(world, 1, second, false);
        }
    }

    fn load(&self, world: &mut World, link: usize, messages: Vec<Message>, ends_broken: bool) {
        if let State::Channel { queue, broken, .. } = &mut world.object(self.streams[link].id).state
        {
            queue.extend(messages.into_iter().map(Payload::new));
            *broken = ends_broken;
        }
    }
}
