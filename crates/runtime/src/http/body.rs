//! Bodies that tell when they end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use bytes::BytesMut;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::connections::{Activity, Phase};

/// How long a client may take to send a whole body.
const BODY: Duration = Duration::from_secs(30);

/// Pieces of a body are joined up to this size. Each piece, however small, would keep a whole read
/// buffer of the connection in memory.
const PIECE: usize = 8 * 1024;

/// A request's body: it fails when it takes longer than [`BODY`].
pub(super) struct RequestBody {
    body: Body,
    joined: BytesMut,
    deadline: Pin<Box<Sleep>>,
    activity: Arc<Activity>,
}

impl RequestBody {
    /// Enters the phase of the body, or that of the answer when there is none.
    pub(super) fn new(body: Body, activity: Arc<Activity>) -> Self {
        activity.enter(match body.is_end_stream() {
            true => Phase::Answer,
            false => Phase::Body,
        });
        Self {
            body,
            joined: BytesMut::new(),
            deadline: Box::pin(sleep(BODY)),
            activity,
        }
    }
}

/// The client took too long to send a request's body.
#[derive(Debug, thiserror::Error)]
#[error("the body was not received within {} s", BODY.as_secs())]
struct BodyTimeout;

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(frame) => frame.transpose()?,
                Poll::Pending if self.deadline.as_mut().poll(cx).is_ready() => {
                    return Poll::Ready(Some(Err(axum::Error::new(BodyTimeout))));
                }
                Poll::Pending => return Poll::Pending,
            };
            let is_end = frame.is_none() || self.body.is_end_stream();
            if is_end {
                self.activity.enter(Phase::Answer);
            }
            // No route has a use for trailers.
            if let Some(Ok(data)) = frame.map(Frame::into_data) {
                self.joined.extend_from_slice(&data);
            }
            if is_end || self.joined.len() >= PIECE {
                let piece = self.joined.split().freeze();
                return Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.joined.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, joined) = (self.body.size_hint(), self.joined.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + joined);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + joined);
        }
        hint
    }
}

/// An answer's body: when it is dropped, the connection waits for the next request.
pub(super) struct AnswerBody {
    body: Body,
    activity: Arc<Activity>,
}

impl AnswerBody {
    /// Enters the phase of the answer.
    pub(super) fn new(body: Body, activity: Arc<Activity>) -> Self {
        activity.enter(Phase::Answer);
        Self { body, activity }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.activity.enter(Phase::Head);
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
