//! Tiles and entry bundles of a tiled log, as C2SP tlog-tiles writes them: paths, widths, framing.

use std::fmt;
use std::str::FromStr;

use crate::hash::clip;

/// Hashes of a full tile, entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;
/// The longest entry that a bundle can frame: its length is 16 bits.
pub const MAX_ENTRY: usize = 65_535;
/// The highest tile level that C2SP allows.
const MAX_LEVEL: u8 = 63;

/// One file of a tiled log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TilePath {
    /// `tile/<level>/<index>[.p/<width>]`: `width` hashes of 32 bytes.
    Hashes {
        /// Tile level: a hash at level l covers 256^l entries. 0 to 63.
        level: u8,
        /// Position among the tiles of the level.
        index: u64,
        /// Hashes in the tile, 1 to 256.
        width: u16,
    },
    /// `tile/entries/<index>[.p/<width>]`: `width` entries, each with its length before it.
    Entries {
        /// Position among the bundles.
        index: u64,
        /// Entries in the bundle, 1 to 256.
        width: u16,
    },
}

/// A path that is not one of a tiled log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("wanted tile/<level>/<index> or tile/entries/<index>, with .p/<width> when partial; found {0:?}")]
pub struct TilePathError(String);

impl TilePath {
    /// Position of the tile or bundle in its level.
    pub fn index(self) -> u64 {
        match self {
            Self::Hashes { index, .. } | Self::Entries { index, .. } => index,
        }
    }

    /// Hashes or entries in the file, 1 to 256.
    pub fn width(self) -> u16 {
        match self {
            Self::Hashes { width, .. } | Self::Entries { width, .. } => width,
        }
    }

    /// The same tile with all 256 slots.
    #[must_use]
    pub fn full(self) -> Self {
        match self {
            Self::Hashes { level, index, .. } => Self::Hashes { level, index, width: 256 },
            Self::Entries { index, .. } => Self::Entries { index, width: 256 },
        }
    }
}

/// The tile at `level` that holds the tree's last hashes when the log has `size` entries: index and width, where
/// width 0 means that the level has no partial tile.
pub fn right_edge(size: u64, level: u8) -> (u64, u16) {
    let shift = u32::from(level) * 8;
    let hashes = size.checked_shr(shift).unwrap_or(0);
    // Below 256 by the remainder.
    let width = (hashes % TILE_WIDTH) as u16;
    (hashes / TILE_WIDTH, width)
}

/// An index in C2SP's groups of three digits: 1234067 is `x001/x234/067`.
pub fn index_path(index: u64) -> String {
    let mut groups = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    groups.reverse();
    groups.join("/")
}

/// Reads groups of three digits; one spelling only.
pub fn parse_index_path(text: &str) -> Option<u64> {
    let mut groups = text.split('/').peekable();
    let mut index = 0u64;
    while let Some(group) = groups.next() {
        let digits = if groups.peek().is_some() { group.strip_prefix('x')? } else { group };
        if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    // Refuses leading groups of zeros.
    (index_path(index) == text).then_some(index)
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = index_path(self.index());
        match self {
            Self::Hashes { level, .. } => write!(f, "tile/{level}/{path}")?,
            Self::Entries { .. } => write!(f, "tile/entries/{path}")?,
        }
        if self.width() < 256 { write!(f, ".p/{}", self.width()) } else { Ok(()) }
    }
}

/// A decimal number without a sign or leading zeros.
fn decimal<T: FromStr + fmt::Display>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

fn parse(text: &str) -> Option<TilePath> {
    let (level, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let (path, width) = match rest.split_once(".p/") {
        Some((path, width)) => (path, decimal::<u16>(width).filter(|w| (1..256).contains(w))?),
        None => (rest, 256),
    };
    let index = parse_index_path(path)?;
    if level == "entries" {
        return Some(TilePath::Entries { index, width });
    }
    let level = decimal::<u8>(level).filter(|l| *l <= MAX_LEVEL)?;
    Some(TilePath::Hashes { level, index, width })
}

impl FromStr for TilePath {
    type Err = TilePathError;

    fn from_str(text: &str) -> Result<Self, TilePathError> {
        parse(text).ok_or_else(|| TilePathError(clip(text)))
    }
}

/// Adds one entry to a bundle: its length as big-endian 16 bits, then its bytes. `false` when it is too long.
#[must_use]
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> bool {
    let Ok(len) = u16::try_from(entry.len()) else { return false };
    bundle.extend_from_slice(&len.to_be_bytes());
    bundle.extend_from_slice(entry);
    true
}

/// The entries of a bundle, in order. `Err` holds the byte offset at which the framing breaks.
pub fn split_bundle(bundle: &[u8]) -> Result<Vec<&[u8]>, usize> {
    let mut entries = Vec::new();
    let mut at = 0;
    while at < bundle.len() {
        let Some(head) = bundle.get(at..at + 2) else { return Err(at) };
        let len = usize::from(u16::from_be_bytes([head[0], head[1]]));
        let Some(entry) = bundle.get(at + 2..at + 2 + len) else { return Err(at) };
        entries.push(entry);
        at += 2 + len;
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let hashes = |level, index, width| TilePath::Hashes { level, index, width };
        assert_eq!(hashes(0, 1_234_067, 256).to_string(), "tile/0/x001/x234/067");
        assert_eq!(hashes(1, 0, 5).to_string(), "tile/1/000.p/5");
        assert_eq!(TilePath::Entries { index: 273, width: 112 }.to_string(), "tile/entries/273.p/112");
        assert_eq!(right_edge(70_000, 0), (273, 112));
        assert_eq!(right_edge(70_000, 1), (1, 17));
        assert_eq!(right_edge(70_000, 2), (0, 1));
        assert_eq!(right_edge(u64::MAX, 8), (0, 0));
    }

    #[test]
    fn hostile_paths_are_refused_and_never_panic() {
        for path in [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/x000/000",
            "tile/0/001/002",
            "tile/0/x001",
            "tile/64/000",
            "tile/00/000",
            "tile/255/000",
            "tile/256/000",
            "tile/-1/000",
            "tile/+1/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/+1",
            "tile/0/000.p/",
            "tile/0/000.p/1.p/1",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
            "tile/0/\u{661}23",
            "../tile/0/000",
            "tile/entries/../000",
        ] {
            assert!(path.parse::<TilePath>().is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_path_reads_back(level in 0u8..64, index in any::<u64>(), width in 1u16..=256, entries in any::<bool>()) {
            let path = if entries {
                TilePath::Entries { index, width }
            } else {
                TilePath::Hashes { level, index, width }
            };
            prop_assert_eq!(path.to_string().parse::<TilePath>().unwrap(), path);
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "(tile/)?[0-9a-z/.x]{0,40}") {
            if let Ok(path) = text.parse::<TilePath>() {
                prop_assert_eq!(path.to_string(), text);
            }
        }

        #[test]
        fn any_bundle_is_split_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            match split_bundle(&bytes) {
                Ok(entries) => {
                    let mut again = Vec::new();
                    for entry in entries {
                        prop_assert!(push_entry(&mut again, entry));
                    }
                    prop_assert_eq!(again, bytes);
                }
                Err(at) => prop_assert!(at < bytes.len()),
            }
        }
    }
}
