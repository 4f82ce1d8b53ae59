//! Encoding of replay ids: an eight-byte big-endian position and two zero bytes.

/// The ten bytes of a position.
pub(crate) fn encode(position: u64) -> Vec<u8> {
    let mut bytes = position.to_be_bytes().to_vec();
    bytes.extend([0, 0]);
    bytes
}

/// The position of an id in its ten- or eight-byte form.
pub(crate) fn decode(bytes: &[u8]) -> Option<u64> {
    let position = match bytes {
        [head @ .., 0, 0] if head.len() == 8 => head,
        whole if whole.len() == 8 => whole,
        _ => return None,
    };
    // Rejects a number sent as text.
    if position.iter().all(u8::is_ascii_digit) {
        return None;
    }
    position.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_eight_and_ten_bytes_are_decoded() {
        let id = encode(0x0102_0304);
        assert_eq!(id, [0, 0, 0, 0, 1, 2, 3, 4, 0, 0]);
        assert_eq!(decode(&id), Some(0x0102_0304));
        assert_eq!(decode(&id[..8]), Some(0x0102_0304));
        assert_eq!(decode(b"12345678"), None);
        assert_eq!(decode(&id[..9]), None);
        assert_eq!(decode(&[1; 10]), None);
        assert_eq!(decode(b""), None);
    }
}
