//! The multifd peers against real QEMUs, and what they put on the wire. Skipped
//! where there is no QEMU, as in `peer_real`.

use crate::peer::{Socket, guest};
use crate::peer_real::{Qemu, nothing, qemus};
use bqlcheck::exec::peer::{
    Asks, Destination, Monitor, Outcome, Received, Receiving, Script, Shared, Source, State, Wire,
    multifd_recv_thread, multifd_send_thread, return_path,
};
use bqlcheck::sim::Version;
use bqlcheck::sim::stream::{Content, Item, Layout, MultifdReader, Ram, Reader};
use serde_json::json;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

const MULTIFD: [&str; 2] = ["return-path", "multifd"];

/// Three pages a packet; a page that becomes data, one that becomes another, one that
/// becomes zero again.
fn script(version: Version) -> Script {
    let redirtied = vec![(0, 3), (0, 6), (0, 0)];
    Script { multifd: 2, packet_pages: 3, redirtied, ..Script::precopy(version) }
}

/// A source on all of its threads.
fn send(version: Version, main: Socket, channels: [Socket; 2]) -> Outcome {
    let (guest, script) = (guest(version), script(version));
    let shared = Monitor::new(State::new(&guest));
    let mut source = Source::new(&guest, &script, &shared);
    std::thread::scope(|scope| {
        for (id, wire) in (0..).zip(channels) {
            let (script, shared) = (&script, &shared);
            scope.spawn(move || multifd_send_thread(script, shared, id, wire));
        }
        shared.with(State::open_return_path);
        let (back, mut whole) = (main.twin(), main.twin());
        let (of, script, state) = (&guest, &script, &shared);
        scope.spawn(move || return_path(of, script, state, back));
        let ended = source.migrate(main, &mut nothing);
        shared.with(|state| state.multifd.exit(Ok(())));
        // As the connections of a source that fails are closed, all of them.
        whole.shutdown();
        ended
    })
}

/// A destination on all of its threads; what it came to, and with which pages.
fn receive(version: Version, main: Socket, channels: [Socket; 2]) -> (Outcome, Vec<u8>) {
    let shared = Arc::new(Monitor::new(Receiving::of(2)));
    let mut destination = Destination::new(Asks::default());
    destination.multifd = Some(Received::new(&script(version), shared.clone()));
    let ended = std::thread::scope(|scope| {
        for (nth, wire) in channels.iter().enumerate() {
            let (shared, wire) = (&*shared, wire.twin());
            scope.spawn(move || multifd_recv_thread(shared, nth, wire));
        }
        let back = main.twin();
        let ended = destination.load(main, back);
        shared.with(Receiving::exit);
        channels.iter().for_each(|wire| wire.twin().shutdown());
        ended
    });
    let byte = |page: &Option<Content>| match page {
        Some(Content::Zero) => 0,
        Some(Content::Data(bytes)) if bytes.iter().all(|byte| *byte == bytes[0]) => bytes[0],
        _ => 0xff,
    };
    // None if it failed before they were named.
    let pages = destination.blocks.get("ram");
    (ended, pages.map(|pages| pages.iter().map(byte).collect()).unwrap_or_default())
}

#[test]
fn multifd_between_two_peers() {
    for version in [Version::V7_2, Version::V10_0, Version::V10_2] {
        let [main, one, two] = [0; 3].map(|_| Socket::pair());
        let (sent, (loaded, pages)) = std::thread::scope(|scope| {
            let sending = scope.spawn(move || send(version, main.0, [one.0, two.0]));
            let loaded = receive(version, main.1, [one.1, two.1]);
            (sending.join().expect("no panic"), loaded)
        });
        assert_eq!((sent, loaded), (Outcome::Completed, Outcome::Completed), "{version:?}");
        assert_eq!(pages, (0..16).collect::<Vec<u8>>(), "{version:?}");
    }
}

#[test]
fn a_destination_gives_up_when_a_channel_ends() {
    let [main, one, two] = [0; 3].map(|_| Socket::pair());
    let (_, (loaded, _)) = std::thread::scope(|scope| {
        let sending = scope.spawn(move || send(Version::V10_0, main.0, [one.0, two.0]));
        one.1.twin().shutdown();
        let loaded = receive(Version::V10_0, main.1, [one.1, two.1]);
        (sending.join().expect("no panic"), loaded)
    });
    assert!(matches!(&loaded, Outcome::Failed(_)), "{loaded:?}");
}

#[test]
fn a_real_source_sends_multifd() {
    for (binary, version) in qemus() {
        let name = format!("multifd-source-{version:?}");
        let mut qemu = Qemu::start(&binary, &name, &MULTIFD);
        let uri = qemu.uri("main");
        qemu.monitor.execute("migrate-incoming", json!({"uri": uri}));
        let [main, one, two] = [0; 3].map(|_| qemu.connect("main"));
        assert_eq!(send(version, main, [one, two]), Outcome::Completed, "{name}");
        qemu.monitor.wait_for("completed");
        let listener = UnixListener::bind(qemu.folder.join("out")).expect("a socket");
        let uri = qemu.uri("out");
        qemu.monitor.execute("migrate", json!({"uri": uri}));
        let [main, one, two] = [0; 3].map(|_| Socket::new(listener.accept().expect("comes").0));
        let (loaded, pages) = receive(version, main, [one, two]);
        assert_eq!(loaded, Outcome::Completed, "{name}");
        qemu.monitor.wait_for("completed");
        assert_eq!(pages, (0..16).collect::<Vec<u8>>(), "{name}");
    }
}

#[test]
fn a_real_destination_takes_multifd() {
    for (binary, version) in qemus() {
        for late in [false, true] {
            // Only by its first bytes can a main channel be told that comes last.
            if late && version == Version::V7_2 {
                continue;
            }
            let name = format!("multifd-{version:?}-{late}");
            let mut qemu = Qemu::start(&binary, &name, &MULTIFD);
            let uri = qemu.uri("main");
            qemu.monitor.execute("migrate-incoming", json!({"uri": uri}));
            let mut all = [0; 3].map(|_| qemu.connect("main"));
            if late {
                all.rotate_left(1);
            }
            let [main, one, two] = all;
            assert_eq!(send(version, main, [one, two]), Outcome::Completed, "{name}");
            qemu.monitor.wait_for("completed");
            assert!(qemu.is_running() && qemu.has_memory(), "{name}");
        }
    }
}

/// What was sent on the main channel in short, and on each other one.
fn shape(version: Version) -> (String, Vec<String>) {
    let (main, mut theirs) = Socket::pair();
    let pairs = [0; 2].map(|_| Socket::pair());
    let [one, two] = pairs;
    std::thread::scope(|scope| {
        let sending = scope.spawn(move || send(version, main, [one.0, two.0]));
        let read = |mut socket: Socket| {
            scope.spawn(move || {
                let mut bytes = Vec::new();
                socket.stream.read_to_end(&mut bytes).expect("a socket");
                bytes
            })
        };
        let others = [read(one.1), read(two.1)];
        let mut reader = Reader::new(&mut theirs.stream, Layout::default());
        let mut words = Vec::new();
        while let Some(item) = reader.next().expect("a stream") {
            match item {
                Item::Ram(Ram::Page(page)) => words.push(format!("page{}", page.offset / 4096)),
                Item::Ram(Ram::MultifdFlush) => words.push("FLUSH".into()),
                Item::Ram(Ram::Eos) => words.push("EOS".into()),
                Item::Vmdesc(_) => break,
                _ => {}
            }
        }
        drop(reader);
        drop(theirs);
        sending.join().expect("no panic");
        let channels = others.map(|thread| {
            let bytes = thread.join().expect("no panic");
            let mut reader = MultifdReader::new(&bytes[..]);
            let mut words = vec![format!("id{}", reader.init().expect("an id").id)];
            while let Some(packet) = reader.next().expect("packets") {
                let pages = packet.normal().map(|(offset, _)| (offset / 4096).to_string());
                let zero = packet.zero().iter().map(|offset| format!("z{}", offset / 4096));
                words.extend(pages.chain(zero));
                words.extend(packet.syncs().then(|| "SYNC".into()));
            }
            words.join(" ")
        });
        (words.join(" "), channels.to_vec())
    })
}

#[test]
fn a_source_syncs_as_its_version_does() {
    // A 7.2 at each end of a section, and it sends zero pages on the main channel.
    let (main, channels) = shape(Version::V7_2);
    assert_eq!(main, "EOS page3 EOS EOS EOS EOS page0 EOS EOS");
    let syncs = |channel: &String| channel.matches("SYNC").count();
    assert_eq!(channels.iter().map(syncs).collect::<Vec<_>>(), [7, 7]);
    assert!(channels.iter().all(|channel| !channel.contains('z')), "{channels:?}");
    // A 10.0 when it has been once through all pages.
    for version in [Version::V10_0, Version::V10_2] {
        let (main, channels) = shape(version);
        assert_eq!(main, "FLUSH EOS EOS EOS EOS EOS FLUSH FLUSH EOS FLUSH EOS", "{version:?}");
        assert_eq!(channels.iter().map(syncs).collect::<Vec<_>>(), [4, 4], "{version:?}");
        assert_eq!(channels.join(" ").matches('z').count(), 2, "{version:?}: {channels:?}");
    }
}
