//! Both sides of a migration together: what one has received, the other had sent.
//! No clock is asked. The two logs are gone through side by side; a message waits
//! until there are as many of its kind sent as received, and where neither log can
//! go on, no order of their events is possible. A broken network may lose messages,
//! so more may be sent than received, never fewer.
//! Must not know: what a side does with a message.

use super::{Event, Outcome, Refused};
use std::collections::BTreeMap;

/// More runs of equal messages than this are not compared.
const MOST: usize = 1 << 16;

/// What goes from one side to the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Message {
    Header,
    Command(&'static str),
    PageRequest,
    ResumeAck,
    Shut,
}

/// Commands by their codes, as `savevm_command_send` prints them.
const COMMANDS: [(&str, &str); 10] = [
    ("0x1", "OPEN_RETURN_PATH"),
    ("0x2", "PING"),
    ("0x3", "POSTCOPY_ADVISE"),
    ("0x4", "POSTCOPY_LISTEN"),
    ("0x5", "POSTCOPY_RUN"),
    ("0x6", "POSTCOPY_RAM_DISCARD"),
    ("0x7", "PACKAGED"),
    ("0x9", "POSTCOPY_RESUME"),
    ("0xa", "RECV_BITMAP"),
    ("0xb", "SWITCHOVER_START"),
];

/// Equal messages one after the other: the first of them, and how many.
#[derive(Clone, Debug)]
struct Link {
    message: Message,
    sent: bool,
    first: Refused,
    count: u64,
}

/// The messages of one side, in the order of its log.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    links: Vec<Link>,
    status: String,
    /// There were too many.
    pub overflow: bool,
}

impl Messages {
    /// An event of a source, or of a destination, at a line, a time and by a thread.
    pub fn note(&mut self, source: bool, event: &Event, (line, at_us, thread): (u64, u64, u64)) {
        let message = if source { self.source(event) } else { destination(event) };
        if event.name == "migrate_set_state" {
            self.status = event.status().into();
        }
        let Some((message, sent)) = message else { return };
        if let Some(last) = self.links.last_mut()
            && (last.message, last.sent) == (message, sent)
        {
            last.count += 1;
            return;
        }
        if self.links.len() >= MOST {
            self.overflow = true;
            return;
        }
        let event = format!("{} {}", event.name, event.text).trim_end().into();
        let (reason, allowed) = (String::new(), Vec::new());
        let first = Refused { line, at_us, thread, event, reason, allowed };
        self.links.push(Link { message, sent, first, count: 1 });
    }

    /// What is sent is logged before, what is received after.
    fn source(&self, event: &Event) -> Option<(Message, bool)> {
        match event.name {
            "savevm_state_header" => Some((Message::Header, true)),
            "savevm_command_send" => {
                let code = event.text.strip_prefix("com=")?.split(' ').next()?;
                let (_, name) = COMMANDS.iter().find(|(known, _)| *known == code)?;
                Some((Message::Command(name), true))
            }
            "migrate_handle_rp_req_pages" => Some((Message::PageRequest, false)),
            "migrate_set_state" => match (self.status.as_str(), event.status()) {
                ("postcopy-recover", "postcopy-active") => Some((Message::ResumeAck, false)),
                ("postcopy-active", "completed") => Some((Message::Shut, false)),
                _ => None,
            },
            _ => None,
        }
    }
}

fn destination(event: &Event) -> Option<(Message, bool)> {
    match event.name {
        "loadvm_state_setup" => Some((Message::Header, false)),
        "loadvm_process_command" => {
            let name = event.text.strip_prefix("com=")?.split(' ').next()?;
            let (_, name) = COMMANDS.iter().find(|(_, known)| *known == name)?;
            Some((Message::Command(name), false))
        }
        "migrate_send_rp_message" => match event.text.split(':').next()? {
            "1" => Some((Message::Shut, true)),
            "3" | "4" => Some((Message::PageRequest, true)),
            "6" => Some((Message::ResumeAck, true)),
            _ => None,
        },
        _ => None,
    }
}

/// One side, as far as it has been gone through.
struct Side<'a> {
    links: &'a [Link],
    /// Received of the present link.
    part: u64,
    sent: BTreeMap<Message, u64>,
    received: BTreeMap<Message, u64>,
}

impl<'a> Side<'a> {
    fn new(messages: &'a Messages) -> Side<'a> {
        let links = &messages.links;
        Side { links, part: 0, sent: BTreeMap::new(), received: BTreeMap::new() }
    }

    /// Goes on as far as what `other` has sent allows. Whether that is any further.
    fn go_on(&mut self, other: &Side) -> bool {
        let mut moved = false;
        while let [link, rest @ ..] = self.links {
            if link.sent {
                *self.sent.entry(link.message).or_default() += link.count;
            } else {
                let received = self.received.entry(link.message).or_default();
                let there = other.sent.get(&link.message).copied().unwrap_or(0);
                let more = there.saturating_sub(*received).min(link.count - self.part);
                *received += more;
                self.part += more;
                moved |= more > 0;
                if self.part < link.count {
                    return moved;
                }
            }
            (self.links, self.part, moved) = (rest, 0, true);
        }
        moved
    }

    /// How many of `message` it sends later.
    fn later(&self, message: Message) -> u64 {
        let same = self.links.iter().filter(|link| link.sent && link.message == message);
        same.map(|link| link.count).sum()
    }

    /// Why it cannot go on, where `other` is called `name`, and whether that is
    /// because a message is missing.
    fn stuck(&self, other: &Side, name: &str) -> Option<(bool, Refused)> {
        let link = self.links.first()?;
        let what = match link.message {
            Message::Header => "the stream's header",
            Message::Command(name) => name,
            Message::PageRequest => "a page request",
            Message::ResumeAck => "RESUME_ACK",
            Message::Shut => "SHUT",
        };
        let sent = other.sent.get(&link.message).copied().unwrap_or(0);
        let missing = other.later(link.message) == 0;
        let mut reason = match (missing, sent) {
            (true, 0) => format!("the {name}'s log does not send {what}"),
            (true, _) => format!("the {name}'s log sends {what} only {sent} times"),
            (false, _) => {
                let line = other.links.first().map_or(0, |link| link.first.line);
                format!(
                    "it needs {what}, which the {name} sends only after its line {line}, \
                         and that needs this side to have gone on"
                )
            }
        };
        if link.count > 1 {
            reason += &format!("; it is one of {} from here on", link.count);
        }
        reason += "; are both logs of one migration?";
        Some((missing, Refused { reason, ..link.first.clone() }))
    }
}

/// Compares the two sides; what is wrong goes into the outcome of the side that
/// received it.
pub fn compare(source: (&Messages, &mut Outcome), destination: (&Messages, &mut Outcome)) {
    let (mut s, mut d) = (Side::new(source.0), Side::new(destination.0));
    loop {
        let moved = s.go_on(&d);
        if !d.go_on(&s) && !moved {
            break;
        }
    }
    let (of_source, of_destination) = (s.stuck(&d, "destination"), d.stuck(&s, "source"));
    let is_missing = |stuck: &Option<(bool, Refused)>| stuck.as_ref().is_some_and(|it| it.0);
    let blame_source = is_missing(&of_source) && !is_missing(&of_destination);
    let (outcome, stuck) = match of_destination {
        Some(stuck) if !blame_source => (destination.1, Some(stuck)),
        _ => (source.1, of_source),
    };
    if let Some((_, refused)) = stuck
        && outcome.accepted
    {
        outcome.accepted = false;
        outcome.refused = Some(refused);
    }
}
