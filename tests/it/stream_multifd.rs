//! The packets of a multifd channel: written and read, laid out as QEMU's structs
//! are, and broken in each way.

use bqlcheck::sim::stream::{
    Broken, Kind, MULTIFD_FLAG_SYNC, MULTIFD_PAGES, MultifdInit, MultifdPacket, MultifdReader,
};

/// A packet of two pages and a zero page.
fn packet() -> MultifdPacket {
    MultifdPacket {
        pages_alloc: MULTIFD_PAGES as u32,
        normal_pages: 2,
        next_packet_size: 8192,
        packet_num: 7,
        zero_pages: 1,
        ramblock: "pc.ram".into(),
        offset: vec![0x3000, 0x1000, 0x2000],
        pages: [[0xaa; 4096], [0xbb; 4096]].concat(),
        ..MultifdPacket::default()
    }
}

fn channel(packets: &[MultifdPacket]) -> Vec<u8> {
    let mut bytes = Vec::new();
    MultifdInit { uuid: [9; 16], id: 3 }.write(&mut bytes);
    packets.iter().for_each(|packet| packet.write(&mut bytes));
    bytes
}

fn read(bytes: &[u8]) -> Result<(MultifdInit, Vec<MultifdPacket>), Broken> {
    let mut reader = MultifdReader::new(bytes);
    let init = reader.init()?;
    let mut packets = Vec::new();
    while let Some(packet) = reader.next()? {
        packets.push(packet);
    }
    Ok((init, packets))
}

#[test]
fn what_is_written_is_read_and_written_again() {
    let sync = MultifdPacket { flags: MULTIFD_FLAG_SYNC, packet_num: 8, ..Default::default() };
    // As a 7.2 sends it: without pages, and with what is left of the packet before.
    let stale = MultifdPacket { normal_pages: 0, zero_pages: 0, pages: Vec::new(), ..packet() };
    // Of page 0 alone, whose offset looks like none.
    let first = MultifdPacket {
        normal_pages: 1,
        zero_pages: 0,
        offset: vec![0],
        pages: vec![1; 4096],
        ..packet()
    };
    let packets = [packet(), sync, stale, first];
    let bytes = channel(&packets);
    let (init, read) = read(&bytes).expect("no error");
    assert_eq!(init, MultifdInit { uuid: [9; 16], id: 3 });
    assert_eq!(read, packets);
    assert_eq!(
        read.iter().map(MultifdPacket::syncs).collect::<Vec<_>>(),
        [false, true, false, false]
    );
    assert_eq!(channel(&read), bytes);
}

#[test]
fn a_packet_is_laid_out_as_the_structs_are() {
    let bytes = channel(&[packet()]);
    // MultiFDInit_t has 64 bytes, MultiFDPacket_t 320 and its offsets.
    assert_eq!(bytes.len(), 64 + 320 + 8 * 128 + 2 * 4096);
    assert_eq!(bytes[..8], [0x11, 0x22, 0x33, 0x44, 0, 0, 0, 1]);
    assert_eq!(bytes[24], 3);
    let packet = &bytes[64..];
    assert_eq!(packet[..8], bytes[..8]);
    // pages_alloc, normal_pages, next_packet_size, packet_num, zero_pages.
    assert_eq!(packet[12..24], [0, 0, 0, 128, 0, 0, 0, 2, 0, 0, 0x20, 0]);
    assert_eq!(packet[24..36], [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1]);
    assert_eq!(packet[64..71], *b"pc.ram\0");
    assert_eq!(packet[320..336], [0, 0, 0, 0, 0, 0, 0x30, 0, 0, 0, 0, 0, 0, 0, 0x10, 0]);
    assert_eq!(packet[320 + 8 * 128], 0xaa);
}

#[test]
fn the_pages_of_a_packet_are_where_it_says() {
    let packet = packet();
    let normal: Vec<_> = packet.normal().map(|(offset, page)| (offset, page[0])).collect();
    assert_eq!(normal, [(0x3000, 0xaa), (0x1000, 0xbb)]);
    assert!(packet.normal().all(|(_, page)| page.len() == 4096));
    assert_eq!(packet.zero(), [0x2000]);
}

#[test]
fn a_channel_that_is_cut_says_where() {
    let whole = channel(&[packet()]);
    for length in 0..whole.len() {
        if length == 64 {
            // Between two packets it may end.
            assert!(read(&whole[..length]).is_ok());
            continue;
        }
        let broken = read(&whole[..length]).expect_err("it is cut");
        assert_eq!((broken.kind, broken.at), (Kind::Cut, length as u64));
    }
    assert_eq!(
        read(&whole[..300]).expect_err("it is cut").to_string(),
        "byte 300: the stream ends inside of a multifd packet"
    );
}

#[test]
fn what_no_qemu_writes_is_refused_with_its_place() {
    let said = |at: usize, bytes: &[u8]| {
        let mut broken = channel(&[packet()]);
        broken[at..at + bytes.len()].copy_from_slice(bytes);
        read(&broken).expect_err("it is broken").to_string()
    };
    for (at, bytes, what) in [
        (
            0,
            &b"QEVM"[..],
            "byte 0: a multifd channel's first packet of magic 0x5145564d and version 1, not \
             0x11223344 and 1",
        ),
        (
            64 + 7,
            &[2],
            "byte 64: a multifd packet of magic 0x11223344 and version 2, not 0x11223344 and 1",
        ),
        // MULTIFD_FLAG_ZLIB.
        (64 + 11, &[2], "byte 72: multifd flags 0x2: compressed pages, or no pages"),
        (
            64 + 19,
            &[200],
            "byte 76: a multifd packet of 200 pages and 1 zero pages, where 128 of 128 are \
             allocated",
        ),
        (
            64 + 14,
            &[1, 0],
            "byte 76: a multifd packet of 2 pages and 1 zero pages, where 256 of 128 are \
             allocated",
        ),
        (
            64 + 32,
            &[0xff; 4],
            "byte 76: a multifd packet of 2 pages and 4294967295 zero pages, where 128 of 128 \
             are allocated",
        ),
        (64 + 64, &[0xff], "byte 128: a multifd packet's block is not text"),
    ] {
        assert_eq!(said(at, bytes), what);
    }
}
