//! The migration stream: real recordings to their last byte, streams of our
//! own, and streams that are broken.

use bqlcheck::sim::stream::{
    BlockHeader, Broken, Command, Configuration, Content, Identity, Item, Kind, Layout, Page,
    PageSizes, Ram, Reader, ReceivedBitmap, Replies, Reply, Section, SectionType, Subsection,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A recording, unpacked; none where there are none.
fn capture(name: &str) -> Option<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
    let Ok(packed) = std::fs::read(folder.join(name)) else {
        println!("skipped: no ../shared/captures here");
        return None;
    };
    let mut bytes = Vec::new();
    lzma_rs::xz_decompress(&mut &packed[..], &mut bytes).expect("an xz file");
    Some(bytes)
}

fn read(bytes: &[u8]) -> Result<Vec<Item>, Broken> {
    Reader::new(bytes, Layout::default()).all()
}

/// How many of each: a line that a test can pin.
fn counts(items: &[Item]) -> String {
    let mut counts = BTreeMap::<String, usize>::new();
    for item in items {
        let kind = match item {
            Item::Header => "header".into(),
            Item::Configuration(configuration) => format!("machine {}", configuration.machine),
            Item::Section(section) => format!("{:?}", section.kind),
            Item::Ram(Ram::MemSize(blocks)) => format!("{} blocks", blocks.len()),
            Item::Ram(Ram::Page(page)) => match page.content {
                Content::Zero => "zero".into(),
                Content::Data(_) => "page".into(),
                Content::Xbzrle(_) => "xbzrle".into(),
            },
            Item::Ram(ram) => format!("{ram:?}"),
            Item::Device(_) => "device".into(),
            Item::Footer(_) => "footer".into(),
            Item::Command(command) => command.name().into(),
            Item::Eof => "eof".into(),
            Item::Vmdesc(json) => format!("vmdesc of {}", json.len()),
        };
        *counts.entry(kind).or_default() += 1;
    }
    let counts: Vec<_> = counts.into_iter().map(|(kind, n)| format!("{kind} {n}")).collect();
    counts.join(", ")
}

/// Bytes that a VMDESC says its fields and subsections take in the stream.
fn length(described: &Value) -> usize {
    let fields = described["fields"].as_array().map_or(0, |fields| {
        fields
            .iter()
            .map(|field| {
                let size = field["size"].as_u64().expect("a size") as usize;
                size * field["array_len"].as_u64().unwrap_or(1) as usize
            })
            .sum()
    });
    let subsections = described["subsections"].as_array().into_iter().flatten();
    // QEMU_VM_SUBSECTION, the name with its length, a version.
    let subsections = subsections.map(|inner| {
        let name = inner["vmsd_name"].as_str().expect("a name");
        1 + 1 + name.len() + 4 + length(inner)
    });
    fields + subsections.sum::<usize>()
}

#[test]
fn every_byte_of_a_real_precopy_is_accounted_for() {
    let Some(bytes) = capture("precopy.qemu10.stream.xz") else { return };
    let items = read(&bytes).expect("a real stream");
    assert!(Item::bytes(&items) == bytes, "what is written is not what was read");
    let counted = "6 blocks 1, End 1, Eos 3, Full 33, Part 1, SWITCHOVER_START 1, Start 1, \
                   device 33, eof 1, footer 36, header 1, machine pc-i440fx-10.0 1, page 7219, \
                   vmdesc of 100394 1, zero 2320";
    assert_eq!(counts(&items), counted);
    // Each device's section is as long as VMDESC says that its fields are.
    let Some(Item::Vmdesc(json)) = items.last() else { panic!("no VMDESC at the end") };
    let vmdesc: Value = serde_json::from_slice(json).expect("JSON");
    let mut described: Vec<_> = vmdesc["devices"].as_array().expect("devices").iter().collect();
    let mut compared = 0;
    for (head, device) in items.iter().zip(&items[1..]) {
        let (Item::Section(section), Item::Device(bytes)) = (head, device) else { continue };
        let identity = section.identity.as_ref().expect("FULL sections only");
        let place = described.iter().position(|device| {
            device["name"] == identity.idstr.as_str()
                && device["instance_id"] == identity.instance_id
        });
        let device = described.remove(place.expect("each device is described"));
        if device["fields"].is_array() {
            assert_eq!(bytes.len(), length(device), "{}", identity.idstr);
        } else {
            assert_eq!(bytes.len() as u64, device["size"], "{}", identity.idstr);
        }
        compared += 1;
    }
    assert_eq!((compared, described.len()), (33, 0));
}

#[test]
fn every_byte_of_a_real_postcopy_is_accounted_for() {
    let Some(bytes) = capture("postcopy.qemu10.forward.xz") else { return };
    let mut reader = Reader::new(&bytes[..], Layout::default());
    let mut items = Vec::new();
    while let Some(item) = reader.next().expect("a real stream") {
        if let Item::Command(Command::Packaged(blob)) = &item {
            let inside = reader.package(blob).all().expect("a real package");
            assert_eq!(&Item::bytes(&inside), blob);
            let counted =
                "Full 33, PING 1, POSTCOPY_LISTEN 1, POSTCOPY_RUN 1, device 33, footer 33";
            assert_eq!(counts(&inside), counted);
        }
        items.push(item);
    }
    assert!(Item::bytes(&items) == bytes, "what is written is not what was read");
    let counted = "6 blocks 1, End 1, Eos 10, OPEN_RETURN_PATH 1, PACKAGED 1, PING 3, \
                   POSTCOPY_ADVISE 1, POSTCOPY_RAM_DISCARD 6, Part 8, SWITCHOVER_START 1, \
                   Start 1, eof 1, footer 10, header 1, machine pc-i440fx-10.0 1, page 4115, \
                   zero 2320";
    assert_eq!(counts(&items), counted);
}

#[test]
fn every_byte_of_a_real_return_path_is_accounted_for() {
    let Some(bytes) = capture("postcopy.qemu10.return-path.xz") else { return };
    let replies = Replies::new(&bytes[..]).all().expect("a real return path");
    let mut again = Vec::new();
    replies.iter().for_each(|reply| reply.write(&mut again));
    assert_eq!(again, bytes);
    let count = |kind: fn(&Reply) -> bool| replies.iter().filter(|reply| kind(reply)).count();
    let pages = count(|reply| matches!(reply, Reply::ReqPages { length: 4096, .. }));
    let named = count(|reply| matches!(reply, Reply::ReqPagesId { length: 4096, .. }));
    assert_eq!((count(|reply| matches!(reply, Reply::Pong(_))), pages, named), (4, 499, 1));
    assert_eq!(replies.last(), Some(&Reply::Shut(0)));
}

fn section(kind: SectionType, section_id: u32, idstr: Option<&str>) -> Item {
    let identity =
        idstr.map(|idstr| Identity { idstr: idstr.into(), instance_id: 0, version_id: 4 });
    Item::Section(Section { kind, section_id, identity })
}

fn page(n: u64, continues: bool, content: Content) -> Item {
    Item::Ram(Ram::Page(Page { block: "ram".into(), continues, offset: n * 4096, content }))
}

fn package() -> Vec<u8> {
    Item::bytes(&[
        Item::Command(Command::PostcopyListen),
        section(SectionType::Full, 7, Some("device")),
        // A footer that is none: nothing that may follow a section follows it.
        Item::Device(vec![0x7e, 0, 0, 0, 7, 0x55, 0x7e]),
        Item::Footer(7),
        Item::Command(Command::PostcopyRun),
    ])
}

/// With all that a stream can have.
fn own() -> (Layout, Vec<Item>) {
    let layout = Layout { huge: ["big".to_owned()].into(), ignore_shared: true };
    let capabilities = [&1_u32.to_be_bytes()[..], b"\x0fx-ignore-shared"].concat();
    let block = |idstr: &str, used_length, page_size| BlockHeader {
        idstr: idstr.into(),
        used_length,
        page_size,
        address: Some(0x10_0000),
    };
    let items = vec![
        Item::Header,
        Item::Configuration(Configuration {
            machine: "none".into(),
            subsections: vec![Subsection {
                name: "configuration/capabilities".into(),
                version: 1,
                bytes: capabilities,
            }],
        }),
        Item::Command(Command::OpenReturnPath),
        Item::Command(Command::Ping(1)),
        Item::Command(Command::PostcopyAdvise(Some(PageSizes { summary: 4096, target: 4096 }))),
        Item::Command(Command::PostcopyAdvise(None)),
        Item::Command(Command::EnableColo),
        section(SectionType::Start, 2, Some("ram")),
        Item::Ram(Ram::MemSize(vec![
            block("ram", 0x10000, None),
            block("big", 0x20_0000, Some(0x20_0000)),
        ])),
        Item::Ram(Ram::Hook),
        Item::Ram(Ram::Eos),
        Item::Footer(2),
        section(SectionType::Part, 2, None),
        page(0, false, Content::Zero),
        page(1, true, Content::Data((0..4096).map(|n| n as u8).collect())),
        page(2, true, Content::Xbzrle(vec![1, 2, 3])),
        Item::Ram(Ram::MultifdFlush),
        Item::Ram(Ram::Eos),
        Item::Footer(2),
        Item::Command(Command::SwitchoverStart),
        Item::Command(Command::PostcopyRamDiscard {
            block: "ram".into(),
            ranges: vec![(0, 4096), (0x3000, 0xd000)],
        }),
        Item::Command(Command::Packaged(package())),
        Item::Command(Command::RecvBitmap("ram".into())),
        Item::Command(Command::PostcopyResume),
        section(SectionType::End, 2, None),
        Item::Ram(Ram::Eos),
        Item::Footer(2),
        Item::Eof,
        Item::Vmdesc(b"{}".to_vec()),
    ];
    (layout, items)
}

#[test]
fn what_is_written_is_read_again() {
    let (layout, items) = own();
    let bytes = Item::bytes(&items);
    assert_eq!(Reader::new(&bytes[..], layout.clone()).all().expect("our own"), items);
    let mut reader = Reader::new(&bytes[..], layout);
    reader.next().expect("the header");
    let inside = reader.package(&package()).all().expect("our own");
    assert_eq!(Item::bytes(&inside), package());
    assert_eq!(inside.len(), 5);
}

/// Its values are clocks: what looks like its footer, with a section after it, may
/// be one of them.
#[test]
fn a_timer_has_24_bytes_whatever_they_look_like() {
    let mut clocks = vec![0; 24];
    clocks[5] = 0x7e;
    let items = |device: &[u8]| {
        vec![
            Item::Header,
            section(SectionType::Full, 0, Some("timer")),
            Item::Device(device.to_vec()),
            Item::Footer(0),
            Item::Eof,
        ]
    };
    let whole = items(&clocks);
    assert_eq!(read(&Item::bytes(&whole)).expect("our own"), whole);
    // Fewer are none, even if a footer follows.
    assert!(read(&Item::bytes(&items(&clocks[..12]))).is_err());
}

#[test]
fn a_cut_stream_says_where_it_ends() {
    let (layout, items) = own();
    let bytes = Item::bytes(&items);
    let whole = items.iter().scan(0, |at, item| {
        *at += Item::bytes([item]).len();
        Some(*at)
    });
    let whole: Vec<usize> = whole.collect();
    for cut in 1..bytes.len() {
        let mut reader = Reader::new(&bytes[..cut], layout.clone());
        let broken = loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(broken) => break Some(broken),
            }
        };
        match broken {
            // A configuration may end before its subsections.
            None => assert!(whole.contains(&cut) || cut == 17, "quiet at {cut}"),
            Some(broken) => {
                assert_eq!((broken.kind, broken.at), (Kind::Cut, cut as u64), "{broken}");
            }
        }
    }
}

#[test]
fn no_byte_makes_the_reader_panic() {
    let (layout, items) = own();
    let bytes = Item::bytes(&items);
    for at in 0..bytes.len().min(400) {
        for value in [0, 1, 5, 8, 0x7e, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            let items = Reader::new(&bytes[..], layout.clone()).all();
            if let Ok(items) = items {
                assert!(Item::bytes(&items) == bytes, "byte {at} is {value}");
            }
        }
    }
}

fn refused(bytes: &[u8]) -> String {
    read(bytes).expect_err("broken").to_string()
}

#[test]
fn what_no_qemu_writes_is_refused_with_its_place() {
    let header = b"QEVM\0\0\0\x03";
    let after = |bytes: &[u8]| refused(&[header, bytes].concat());
    assert_eq!(refused(b"QEMU\0\0\0\x03"), "byte 0: no migration stream: magic 0x51454d55");
    assert_eq!(refused(b"QEVM\0\0\0\x02"), "byte 4: stream version 2, not 3");
    assert_eq!(after(b"\x09"), "byte 8: unknown section type 0x9");
    assert_eq!(after(b"\x02\0\0\0\x05"), "byte 8: section 5 was never started");
    assert_eq!(after(b"\x08\0\x0c\0\0"), "byte 9: unknown command 12");
    assert_eq!(after(b"\x08\0\x02\0\x02\0\0"), "byte 9: command 2 of 2 bytes");
    assert_eq!(
        after(b"\x08\0\x06\0\x07\0\x03ram\0\0"),
        "byte 13: POSTCOPY_RAM_DISCARD of 7 bytes, version 0, terminator 0"
    );
    let ram = |bytes: &[u8]| {
        let head = Item::bytes(&[Item::Header, section(SectionType::Start, 2, Some("ram"))]);
        assert_eq!(head.len(), 25);
        refused(&[&head[..], bytes].concat())
    };
    assert_eq!(ram(&0x10_8000_u64.to_be_bytes()), "byte 25: unknown flags of ram: 0x0 at 0x108000");
    assert_eq!(ram(&0x102_u64.to_be_bytes()), "byte 25: unknown flags of ram: 0x102 at 0x0");
    assert_eq!(
        ram(&0x22_u64.to_be_bytes()),
        "byte 25: a page continues a block, and there was none"
    );
    assert_eq!(ram(b"\0\0\0\0\0\0\0\x02\x03ram\x01"), "byte 37: a zero page with value 1");
    assert_eq!(
        ram(b"\0\0\0\0\0\0\x10\x04\x03ram\0\0\0\0\0\0\x20\0"),
        "byte 33: block ram of 8192 bytes, where 4096 are left"
    );
    assert_eq!(
        ram(b"\0\0\0\0\0\0\0\x10\x7e\0\0\0\x03"),
        "byte 33: no footer of section 2: 0x7e, 0x3"
    );
    assert_eq!(after(b"\0\x07"), "byte 9: 0x7 after QEMU_VM_EOF");
    assert_eq!(after(b"\0\x06\0\0\0\x01{}"), "byte 15: bytes after the end of the stream");
}

#[test]
fn the_return_path_is_read_again_and_a_broken_one_refused() {
    let mut bitmap = ReceivedBitmap::of(70);
    for page in [0, 9, 69] {
        bitmap.set(page);
    }
    assert_eq!(bitmap.size(), 16);
    let received: Vec<usize> = (0..128).filter(|page| bitmap.received(*page)).collect();
    assert_eq!(received, [0, 9, 69]);
    let replies = vec![
        Reply::Pong(1),
        Reply::ReqPagesId { block: "ram".into(), start: 4096, length: 4096 },
        Reply::ReqPages { start: 8192, length: 4096 },
        Reply::RecvBitmap { block: "ram".into(), bitmap },
        Reply::ResumeAck(1),
        Reply::SwitchoverAck,
        Reply::Shut(0),
    ];
    let mut bytes = Vec::new();
    replies.iter().for_each(|reply| reply.write(&mut bytes));
    assert_eq!(Replies::new(&bytes[..]).all().expect("our own"), replies);
    for cut in 1..bytes.len() {
        if let Err(broken) = Replies::new(&bytes[..cut]).all() {
            assert_eq!((broken.kind, broken.at), (Kind::Cut, cut as u64));
        }
    }
    let refused = |bytes: &[u8]| Replies::new(bytes).all().expect_err("broken").to_string();
    assert_eq!(refused(b"\0\x09\0\0"), "byte 0: unknown message 9");
    assert_eq!(refused(b"\0\x01\0\x02\0\0"), "byte 0: message 1 of 2 bytes");
    let ending = "byte 24: a received bitmap ends with 0x0 in place of 0x123456789abcdef";
    assert_eq!(
        refused(b"\0\x05\0\x04\x03ram\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ending
    );
}
