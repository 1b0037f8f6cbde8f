//! The peers against each other, over sockets of the system.

use bqlcheck::exec::peer::{
    Asks, Destination, Guest, Monitor, Outcome, Script, Shared, Source, State, Wire, return_path,
};
use bqlcheck::sim::Version;
use bqlcheck::sim::stream::{Command, Content, Item, Page, PageSizes, Ram, SectionType};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A socket, which takes its time for each send if it has to.
pub struct Socket {
    pub stream: UnixStream,
    pub slow: Duration,
}

impl Socket {
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, slow: Duration::ZERO }
    }

    pub fn twin(&self) -> Self {
        let stream = self.stream.try_clone().expect("a descriptor");
        Self { stream, slow: self.slow }
    }

    pub fn pair() -> (Self, Self) {
        let (one, other) = UnixStream::pair().expect("a socket");
        (Self::new(one), Self::new(other))
    }
}

impl Wire for Socket {
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        std::thread::sleep(self.slow);
        self.stream.write_all(bytes)
    }

    fn recv(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.stream.read(bytes)
    }

    fn shutdown(&mut self) {
        self.stream.shutdown(Shutdown::Both).ok();
    }
}

/// A guest of 16 pages; page `n` is full of `n`, the first is a zero page.
pub fn guest(version: Version) -> Guest {
    Guest::none(version, (0..16).collect())
}

/// A source on both of its threads over one connection.
pub fn run(
    source: &mut Source<Monitor>,
    guest: &Guest,
    script: &Script,
    shared: &Monitor,
    wire: Socket,
    resume: bool,
    connect: &mut dyn FnMut() -> std::io::Result<Box<dyn Wire + Send>>,
) -> Outcome {
    shared.with(State::open_return_path);
    let back = wire.twin();
    std::thread::scope(|scope| {
        scope.spawn(move || return_path(guest, script, shared, back));
        if resume { source.recover(wire, connect) } else { source.migrate(wire, connect) }
    })
}

fn none() -> std::io::Result<Box<dyn Wire + Send>> {
    Err(std::io::ErrorKind::NotFound.into())
}

fn right(destination: &Destination<Socket>) -> bool {
    let page = |n: usize| match n {
        0 => Content::Zero,
        _ => Content::Data(vec![n as u8; 4096]),
    };
    let expected: Vec<_> = (0..16).map(|n| Some(page(n))).collect();
    destination.blocks["ram"] == expected
}

fn load(
    destination: &mut Destination<Socket>,
    script: &Script,
) -> (Outcome, Outcome, Option<(Outcome, Outcome)>, usize) {
    let guest = guest(script.version);
    let shared = Monitor::new(State::new(&guest));
    let mut source = Source::new(&guest, script, &shared);
    let mut connected = |destination: &mut Destination<Socket>, resume| {
        let (mut ours, theirs) = Socket::pair();
        // So that a source notices a lost network before it has sent all.
        ours.slow = Duration::from_millis(if script.section_pages == 1 { 20 } else { 0 });
        std::thread::scope(|scope| {
            let loading = scope.spawn(move || {
                let back = theirs.twin();
                if resume {
                    destination.recover(theirs, back)
                } else {
                    destination.load(theirs, back)
                }
            });
            let ended = run(&mut source, &guest, script, &shared, ours, resume, &mut none);
            (ended, loading.join().expect("no panic"))
        })
    };
    let (sent, loaded) = connected(destination, false);
    let again = (loaded == Outcome::Paused).then(|| connected(destination, true));
    (sent, loaded, again, shared.with(|state| state.requested))
}

#[test]
fn a_qemu_speaks_the_newest_protocol_that_is_not_newer() {
    let of = |version| Version::of_qemu(version);
    assert_eq!(["7.2.0", "8.1.5", "9.2.4"].map(of), [Version::V7_2; 3]);
    assert_eq!(["10.0.13", "10.1.3"].map(of), [Version::V10_0; 2]);
    assert_eq!(["10.2.0", "10.2.50", "11.0.0"].map(of), [Version::V10_2; 3]);
}

#[test]
fn a_precopy_between_two_peers() {
    for version in [Version::V7_2, Version::V10_0, Version::V10_2] {
        let mut destination = Destination::new(Asks::default());
        let ended = load(&mut destination, &Script::precopy(version));
        assert_eq!(ended, (Outcome::Completed, Outcome::Completed, None, 0));
        assert!(right(&destination));
    }
}

#[test]
fn a_page_that_was_not_discarded_cannot_be_placed_again() {
    let guest = guest(Version::V10_0);
    let block = &guest.block_headers()[0];
    let page = || {
        let name = block.idstr.as_str().into();
        Page { block: name, continues: false, offset: 3 << 12, content: guest.content(0, 3) }
    };
    let section = |kind, items: Vec<Ram>| {
        let items = items.into_iter().chain([Ram::Eos]).map(Item::Ram);
        [guest.ram(kind)].into_iter().chain(items).chain([guest.ram_footer()]).collect::<Vec<_>>()
    };
    let sizes = PageSizes { summary: 4096, target: 4096 };
    let start = vec![Ram::MemSize(guest.block_headers()), Ram::Page(page())];
    let loaded = |discarded| {
        let ranges = vec![(discarded, 4096)];
        let block = block.idstr.clone();
        let package = [
            vec![Item::Command(Command::PostcopyListen)],
            guest.device_items(),
            vec![Item::Command(Command::PostcopyRun)],
        ];
        let stream = [
            vec![Item::Header, guest.configuration()],
            vec![Item::Command(Command::PostcopyAdvise(Some(sizes)))],
            section(SectionType::Start, start.clone()),
            vec![Item::Command(Command::PostcopyRamDiscard { block, ranges })],
            vec![Item::Command(Command::Packaged(Item::bytes(&package.concat())))],
            section(SectionType::End, vec![Ram::Page(page())]),
            vec![Item::Eof],
        ];
        let (mut ours, theirs) = Socket::pair();
        ours.send(&Item::bytes(&stream.concat())).expect("it fits");
        let back = theirs.twin();
        Destination::new(Asks::default()).load(theirs, back)
    };
    assert_eq!(loaded(3 << 12), Outcome::Completed);
    assert_eq!(loaded(4 << 12), Outcome::Failed("a page of ram is placed twice".into()));
}

#[test]
fn a_postcopy_between_two_peers_answers_requests() {
    for version in [Version::V7_2, Version::V10_0, Version::V10_2] {
        let script =
            Script { redirtied: vec![(0, 2)], section_pages: 1, ..Script::postcopy(version, 4) };
        let pages = vec![("ram".into(), 15), ("ram".into(), 2), ("ram".into(), 9)];
        let mut destination = Destination::new(Asks { pages, pause_after: None });
        let ended = load(&mut destination, &script);
        assert_eq!((ended.0, ended.1), (Outcome::Completed, Outcome::Completed));
        assert!(right(&destination) && (1..=3).contains(&ended.3), "{} requests", ended.3);
        // Of the four pages sent before, one was dirtied again.
        let discard = Item::Command(Command::PostcopyRamDiscard {
            block: "ram".into(),
            ranges: vec![(0x2000, 0x1000), (0x4000, 0xc000)],
        });
        assert!(destination.items.contains(&discard));
        let pages = |item: &&Item| matches!(item, Item::Ram(Ram::Page(_)));
        assert_eq!(destination.items.iter().filter(pages).count(), 4 + 13);
    }
}

#[test]
fn either_side_may_lose_the_network_and_both_recover() {
    for version in [Version::V7_2, Version::V10_0] {
        for (ours, theirs) in [(Some(3), None), (None, Some(3))] {
            let script =
                Script { pause_after: ours, section_pages: 1, ..Script::postcopy(version, 4) };
            let pages = vec![("ram".into(), 15)];
            let mut destination = Destination::new(Asks { pages, pause_after: theirs });
            let (sent, loaded, again, _) = load(&mut destination, &script);
            assert_eq!((loaded, right(&destination)), (Outcome::Paused, true), "{version:?}");
            assert_eq!(sent, Outcome::Paused, "{version:?}");
            assert_eq!(again, Some((Outcome::Completed, Outcome::Completed)), "{version:?}");
        }
    }
}
