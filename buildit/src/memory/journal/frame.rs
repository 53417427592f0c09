//! Frames: pieces of a file with their length and checksums.

/// The length of a frame's head: payload length (4), checksum of the payload (8), checksum of those two (4).
pub(super) const HEAD: usize = 16;

/// The first 8 bytes of the BLAKE3 digest: enough to tell damage, which nobody makes on purpose (who can write here
/// can write anything).
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    first8(blake3::hash(bytes).as_bytes())
}

pub(super) fn first8(digest: &[u8; 32]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first)
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: u32,
    pub(super) checksum: u64,
}

impl Head {
    pub(super) fn encode(self) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..4].copy_from_slice(&self.length.to_le_bytes());
        bytes[4..12].copy_from_slice(&self.checksum.to_le_bytes());
        let own = checksum(&bytes[..12]);
        bytes[12..].copy_from_slice(&own.to_le_bytes()[..4]);
        bytes
    }

    /// `None` when these bytes are no head. Its own checksum tells a length that is damaged from one that reaches
    /// beyond the end of a file that a crash cut short.
    pub(super) fn decode(bytes: &[u8; HEAD]) -> Option<Self> {
        let mut length = [0; 4];
        length.copy_from_slice(&bytes[..4]);
        let mut sum = [0; 8];
        sum.copy_from_slice(&bytes[4..12]);
        let head = Self { length: u32::from_le_bytes(length), checksum: u64::from_le_bytes(sum) };
        (head.encode() == *bytes).then_some(head)
    }
}

/// A frame with this payload; `None` when it is longer than 4 GiB.
pub(super) fn frame(payload: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(payload.len()).ok()?;
    let mut frame = Vec::with_capacity(HEAD + payload.len());
    frame.extend_from_slice(&Head { length, checksum: checksum(payload) }.encode());
    frame.extend_from_slice(payload);
    Some(frame)
}
