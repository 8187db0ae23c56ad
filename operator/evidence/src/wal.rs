//! The write-ahead log: frames in preallocated, zeroed segments. One write and one sync make a batch durable; tiles,
//! objects and openings follow from it.
//!
//! ```text
//! segment  wal/<8 digits>.seg: a header block, then frames, each starting at a multiple of 4,096 bytes, then zeros
//! header   magic(8) nonce(16) crc32c(4)
//! frame    magic(8) nonce(16) length(4) crc32c(4) first(8) entries(4) objects(4) openings(4) zero(4) root(32)
//!          entries (as in a bundle), objects and openings (each: 32-bit length, bytes), zeros up to the next block
//! ```
//! Numbers are little-endian, those of entries big-endian as in a bundle. The nonce is the segment's, drawn when it is
//! made: nobody can place bytes in a record that look like a frame. Frames start at blocks of their own, so that a
//! write that power loss cuts off cannot touch a frame that was answered for.

use std::io;

use crate::hash::TreeHash;
use crate::record::{Object, Opening};
use crate::tile::push_entry;

/// Frames start at multiples of this: the page, and the largest sector of common disks.
pub(crate) const BLOCK: usize = 4096;
const SEGMENT_MAGIC: &[u8; 8] = b"PLCTSEG1";
const FRAME_MAGIC: &[u8; 8] = b"PLCTFRM1";
const FRAME_HEADER: usize = 88;
/// Offset of the frame's checksum, which is zero while it is computed.
const CRC_AT: usize = 28;

/// A segment's own random bytes.
pub(crate) type Nonce = [u8; 16];

/// What one frame holds, read back.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Index of its first entry.
    pub(crate) first: u64,
    /// Its entries.
    pub(crate) entries: Vec<Vec<u8>>,
    /// Objects that its entries cite first.
    pub(crate) objects: Vec<Object>,
    /// Openings of its entries' personal values.
    pub(crate) openings: Vec<Opening>,
    /// Root of the tree after its last entry.
    pub(crate) root: TreeHash,
}

impl Frame {
    /// Index after its last entry.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }
}

/// A segment as it was found.
#[derive(Debug, Default)]
pub(crate) struct SegmentScan {
    /// Its valid frames, in order of offset.
    pub(crate) frames: Vec<Frame>,
    /// Offset after the last valid frame.
    pub(crate) end: u64,
    /// Offsets of blocks that are neither part of a valid frame nor zero.
    pub(crate) damaged: Vec<u64>,
}

pub(crate) fn segment_path(number: u64) -> String {
    format!("wal/{number:08}.seg")
}

pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".seg")?.parse().ok()?;
    (segment_path(number) == format!("wal/{name}")).then_some(number)
}

pub(crate) fn segment_header(nonce: &Nonce) -> [u8; 28] {
    let mut header = [0; 28];
    header[..8].copy_from_slice(SEGMENT_MAGIC);
    header[8..24].copy_from_slice(nonce);
    let crc = crc32c::crc32c(&header[..24]);
    header[24..].copy_from_slice(&crc.to_le_bytes());
    header
}

fn read_segment_header(bytes: &[u8]) -> Option<Nonce> {
    let header = bytes.get(..28)?;
    let nonce: Nonce = header[8..24].try_into().ok()?;
    (segment_header(&nonce) == *header).then_some(nonce)
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a frame of the write-ahead log is longer than 4 GiB")
}

/// Builds a frame. `leaves` are at most 65,535 bytes each.
pub(crate) fn encode<'a>(
    nonce: &Nonce,
    first: u64,
    leaves: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    objects: &[Object],
    openings: &[Opening],
    root: &TreeHash,
) -> io::Result<Vec<u8>> {
    let sum: usize = leaves.clone().map(|l| l.len() + 2).sum::<usize>()
        + objects.iter().map(|o| o.bytes().len() + 4).sum::<usize>();
    let mut frame = Vec::with_capacity((FRAME_HEADER + sum).next_multiple_of(BLOCK) + BLOCK);
    let count = |n: usize| u32::try_from(n).map(u32::to_le_bytes).map_err(|_| too_long());
    frame.extend_from_slice(FRAME_MAGIC);
    frame.extend_from_slice(nonce);
    frame.extend_from_slice(&[0; 8]);
    frame.extend_from_slice(&first.to_le_bytes());
    frame.extend_from_slice(&count(leaves.len())?);
    frame.extend_from_slice(&count(objects.len())?);
    frame.extend_from_slice(&count(openings.len())?);
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(&root.0);
    for leaf in leaves {
        if !push_entry(&mut frame, leaf) {
            return Err(too_long());
        }
    }
    for object in objects {
        frame.extend_from_slice(&count(object.bytes().len())?);
        frame.extend_from_slice(object.bytes());
    }
    for opening in openings {
        let json = serde_json::to_vec(opening)?;
        frame.extend_from_slice(&count(json.len())?);
        frame.extend_from_slice(&json);
    }
    let length = count(frame.len())?;
    frame[24..28].copy_from_slice(&length);
    let crc = crc32c::crc32c(&frame);
    frame[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    frame.resize(frame.len().next_multiple_of(BLOCK), 0);
    Ok(frame)
}

/// Takes bytes from the front of a slice.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn u32(&mut self) -> Option<usize> {
        let bytes: [u8; 4] = self.take(4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn blob(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.take(len)
    }
}

/// The frame at the start of `bytes` and its length in bytes, or nothing when there is no valid one.
fn decode(bytes: &[u8], nonce: &Nonce) -> Option<(Frame, usize)> {
    let mut cursor = Cursor(bytes);
    if cursor.take(8)? != FRAME_MAGIC || cursor.take(16)? != nonce {
        return None;
    }
    let length = cursor.u32()?;
    let crc = cursor.take(4)?;
    let whole = bytes.get(..length)?;
    let (before, after) = (whole.get(..CRC_AT)?, whole.get(CRC_AT + 4..)?);
    let computed = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(before), &[0; 4]), after);
    if computed.to_le_bytes() != crc {
        return None;
    }
    let first = cursor.u64()?;
    let (entries, objects, openings) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
    cursor.take(4)?;
    let root = TreeHash(cursor.take(32)?.try_into().ok()?);
    cursor.0 = whole.get(FRAME_HEADER..)?;
    let mut frame = Frame { first, entries: Vec::new(), objects: Vec::new(), openings: Vec::new(), root };
    for _ in 0..entries {
        let len: [u8; 2] = cursor.take(2)?.try_into().ok()?;
        frame.entries.push(cursor.take(usize::from(u16::from_be_bytes(len)))?.to_vec());
    }
    for _ in 0..objects {
        frame.objects.push(Object::new(cursor.blob()?));
    }
    for _ in 0..openings {
        frame.openings.push(serde_json::from_slice(cursor.blob()?).ok()?);
    }
    first.checked_add(frame.entries.len() as u64)?;
    cursor.0.is_empty().then_some((frame, length))
}

/// Reads a segment: its valid frames wherever they are, and where there is something else.
pub(crate) fn scan(bytes: &[u8]) -> SegmentScan {
    let mut found = SegmentScan { end: BLOCK as u64, ..SegmentScan::default() };
    let Some(nonce) = read_segment_header(bytes) else {
        // A segment whose making was cut off holds no frame, for frames follow a durable header.
        if bytes.iter().any(|b| *b != 0) {
            found.damaged.push(0);
        }
        return found;
    };
    let mut at = BLOCK;
    while let Some(rest) = bytes.get(at..).filter(|r| !r.is_empty()) {
        if let Some((frame, length)) = decode(rest, &nonce) {
            found.frames.push(frame);
            at += length.next_multiple_of(BLOCK);
            found.end = at as u64;
            continue;
        }
        let block = &rest[..rest.len().min(BLOCK)];
        if block.iter().any(|b| *b != 0) {
            found.damaged.push(at as u64);
        }
        at += BLOCK;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONCE: Nonce = [7; 16];

    fn segment(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = segment_header(&NONCE).to_vec();
        bytes.resize(BLOCK, 0);
        for frame in frames {
            bytes.extend_from_slice(frame);
        }
        bytes.resize(bytes.len() + 3 * BLOCK, 0);
        bytes
    }

    fn frame(first: u64, entries: &[Vec<u8>]) -> Vec<u8> {
        let opening = Opening { index: first, field: "a".into(), salt: "00".into(), value: "v".into() };
        encode(
            &NONCE,
            first,
            entries.iter().map(Vec::as_slice),
            &[Object::new(&b"obj"[..])],
            &[opening],
            &TreeHash([3; 32]),
        )
        .unwrap()
    }

    #[test]
    fn frames_read_back() {
        let one = frame(0, &[b"a".to_vec(), vec![9; 5000]]);
        let two = frame(2, &[b"c".to_vec()]);
        let scan = scan(&segment(&[one.clone(), two.clone()]));
        assert!(scan.damaged.is_empty());
        assert_eq!(scan.end, (BLOCK + one.len() + two.len()) as u64);
        assert_eq!(scan.frames.len(), 2);
        assert_eq!((scan.frames[0].first, scan.frames[0].end()), (0, 2));
        assert_eq!(scan.frames[0].entries[1], vec![9; 5000]);
        assert_eq!(scan.frames[1].objects[0].bytes(), b"obj");
        assert_eq!(scan.frames[1].openings[0].value, "v");
    }

    #[test]
    fn a_flipped_byte_spoils_its_frame_alone() {
        let one = frame(0, &[b"a".to_vec()]);
        let two = frame(1, &[b"b".to_vec()]);
        let good = segment(&[one.clone(), two]);
        let length = u32::from_le_bytes(one[24..28].try_into().unwrap()) as usize;
        for at in BLOCK..BLOCK + length {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let scan = scan(&bad);
            assert_eq!(scan.frames.len(), 1, "byte {at}");
            assert_eq!(scan.damaged, [BLOCK as u64], "byte {at}");
        }
    }

    #[test]
    fn a_frame_of_another_segment_is_no_frame() {
        let foreign = encode(&[8; 16], 0, [&b"a"[..]].into_iter(), &[], &[], &TreeHash([3; 32])).unwrap();
        assert!(scan(&segment(&[foreign])).frames.is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_scanned(mut bytes in proptest::collection::vec(any::<u8>(), 0..9000), header in any::<bool>()) {
            if header && bytes.len() > 28 {
                bytes[..28].copy_from_slice(&segment_header(&NONCE));
            }
            prop_assert!(scan(&bytes).frames.is_empty());
        }
    }
}
