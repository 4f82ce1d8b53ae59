//! Reading a body without trusting its length.

use bytes::{Bytes, BytesMut};

/// A body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection broke, or the time was up, before the body ended.
    #[error("the answer broke off")]
    Broken(#[source] reqwest::Error),
    /// It is longer than we are willing to read.
    #[error("the answer is longer than {cap} bytes")]
    TooLong {
        /// The cap, in bytes.
        cap: usize,
    },
}

/// Reads a body of at most `cap` bytes.
///
/// # Errors
/// [`BodyError`].
pub async fn read_capped(mut response: reqwest::Response, cap: usize) -> Result<Bytes, BodyError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > cap {
            return Err(BodyError::TooLong { cap });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
