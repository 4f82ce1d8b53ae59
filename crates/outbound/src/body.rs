//! Reading of bodies with a size limit.

use bytes::{Bytes, BytesMut};

/// An error while reading a body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection broke or timed out before the end of the body.
    #[error("the answer is incomplete")]
    Broken(#[source] reqwest::Error),
    /// It exceeds the cap.
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
