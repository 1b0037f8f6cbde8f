//! Reading a log as a stream, whatever it is compressed with. The only file that
//! names flate2, ruzstd and lzma-rust2.
//! Must not know: what is in it.

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

/// Enough to tell formats apart.
const MAGIC: usize = 6;

/// The bytes of the log at `path`; of stdin, if it is `-`.
pub fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return decoded(io::stdin().lock());
    }
    decoded(File::open(path)?)
}

/// What `raw` holds, decompressed if it begins like a compressed file.
fn decoded(mut raw: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let mut magic = Vec::with_capacity(MAGIC);
    raw.by_ref().take(MAGIC as u64).read_to_end(&mut magic)?;
    let whole = Cursor::new(magic.clone()).chain(raw);
    let buffered = |whole| BufReader::with_capacity(1 << 16, whole);
    Ok(match &magic[..] {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(buffered(whole))),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Box::new(XzReader::new(buffered(whole), true)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(StreamingDecoder::new(buffered(whole)).map_err(io::Error::other)?)
        }
        _ => Box::new(whole),
    })
}
