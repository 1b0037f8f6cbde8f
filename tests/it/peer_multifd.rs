//! The multifd peers against real QEMUs, and what they put on the wire. Skipped
//! where there is no QEMU, as in `peer_real`.

use crate::peer::{Socket, guest, run};
use crate::peer_real::{Qemu, nothing, qemus};
use bqlcheck::exec::peer::{Monitor, Outcome, Script, Shared, Source, State, multifd_send_thread};
use bqlcheck::sim::Version;
use bqlcheck::sim::stream::{Item, Layout, MultifdReader, Ram, Reader};
use serde_json::json;
use std::io::Read;

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
        let ended = run(&mut source, &guest, &script, &shared, main, false, &mut nothing);
        shared.with(|state| state.multifd.exit(Ok(())));
        ended
    })
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
