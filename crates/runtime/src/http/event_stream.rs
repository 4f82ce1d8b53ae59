//! Answers that are event streams. hyper writes their heads, then the connection is taken from it: its
//! buffers would take up more memory than everything else of an open stream.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, Request, Response, Version};
use http_body::{Body as HttpBody, Frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::body::AnswerBody;

/// The events that a connection sends after hyper has written the head of the answer.
#[derive(Clone, Default)]
pub(super) struct Events(Arc<Inner>);

#[derive(Default)]
struct Inner {
    body: Mutex<Option<AnswerBody>>,
    is_head_encoded: AtomicBool,
}

impl Events {
    /// Whether an event stream may answer this request: in chunks, which HTTP/1.0 has not.
    pub(super) fn may_answer<B>(request: &Request<B>) -> bool {
        *request.method() == Method::GET && request.version() == Version::HTTP_11
    }

    /// The answer as hyper gets it: of an event stream, the head, with a body that never comes.
    pub(super) fn split(&self, answer: Response<AnswerBody>) -> Response<Body> {
        let content_type = answer.headers().get(CONTENT_TYPE);
        let is_event_stream =
            content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        if !is_event_stream {
            return answer.map(Body::new);
        }
        let (mut head, body) = answer.into_parts();
        head.headers
            .insert(CONNECTION, HeaderValue::from_static("close"));
        *self.body() = Some(body);
        Response::from_parts(head, Body::new(Never(self.clone())))
    }

    /// Whether hyper has encoded the head of an event stream.
    pub(super) fn is_head_encoded(&self) -> bool {
        self.0.is_head_encoded.load(Ordering::Relaxed)
    }

    /// The body of the event stream whose head was written.
    pub(super) fn take(&self) -> Option<AnswerBody> {
        self.body().take()
    }

    fn body(&self) -> MutexGuard<'_, Option<AnswerBody>> {
        self.0.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that never comes. hyper asks for it once it has encoded the head.
struct Never(Events);

impl HttpBody for Never {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.0.0.is_head_encoded.store(true, Ordering::Relaxed);
        Poll::Pending
    }
}

/// Sends the events until they end, or until the client closes the connection. Each is a chunk
/// (RFC 9112, section 7.1).
pub(super) async fn send(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mut events: AnswerBody,
) -> io::Result<()> {
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            frame = poll_fn(|cx| Pin::new(&mut events).poll_frame(cx)) => {
                let Some(Ok(frame)) = frame else {
                    stream.write_all(b"0\r\n\r\n").await?;
                    return stream.shutdown().await;
                };
                match frame.into_data() {
                    Ok(data) if !data.is_empty() => {
                        let size = format!("{:x}\r\n", data.len());
                        let chunk = [size.as_bytes(), &data, b"\r\n"].concat();
                        stream.write_all(&chunk).await?;
                        stream.flush().await?;
                    }
                    _ => {}
                }
            }
            read = stream.read(&mut ignored) => {
                if read? == 0 {
                    return Ok(());
                }
            }
        }
    }
}
