//! How many events fit into a response.
use prost::Message;

use super::bus::Stored;

/// Largest response, in bytes.
pub(super) const LARGEST_RESPONSE: usize = 3 * 1024 * 1024;

/// What the response is, beside its events.
const RESPONSE_FRAME: usize = 128;

/// Bytes of an event in a response.
pub(super) fn size_of(event: &Stored) -> usize {
    event.delivery().encoded_len() + 8
}

/// How many of these events fit into one response, at least one.
pub(super) fn fitting(batch: &[Stored]) -> usize {
    let mut size = RESPONSE_FRAME;
    let fits = batch.iter().take_while(|event| {
        size += size_of(event);
        size <= LARGEST_RESPONSE
    });
    fits.count().max(1)
}
