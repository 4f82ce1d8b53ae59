//! Answers that are event streams. hyper writes their heads and gives the connection back: its
//! buffers would take up more memory than everything else of an open stream.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Response, Version};
use http_body::Body as HttpBody;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::body::AnswerBody;

/// The events that a connection sends after hyper has written the head of the answer.
#[derive(Clone, Default)]
pub(super) struct Events(Arc<Mutex<Option<AnswerBody>>>);

impl Events {
    /// The answer as hyper gets it.
    ///
    /// That of an event stream has no body and is HTTP/1.0: its head states no length and no
    /// chunks, so that all that follows until the connection is closed is the body
    /// (RFC 9112, section 6.3).
    pub(super) fn split(&self, method: &Method, answer: Response<AnswerBody>) -> Response<Body> {
        if *method != Method::GET || !is_event_stream(&answer) {
            return answer.map(Body::new);
        }
        let (mut head, body) = answer.into_parts();
        head.version = Version::HTTP_10;
        *self.lock() = Some(body);
        let empty = futures::stream::empty::<Result<Bytes, axum::Error>>();
        Response::from_parts(head, Body::from_stream(empty))
    }

    /// The body of the event stream whose head was written.
    pub(super) fn take(&self) -> Option<AnswerBody> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<AnswerBody>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_event_stream<B>(answer: &Response<B>) -> bool {
    let content_type = answer.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// Sends the events until they end, or until the client closes the connection.
pub(super) async fn send(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mut events: AnswerBody,
) -> std::io::Result<()> {
    let mut ignored = [0; 64];
    loop {
        tokio::select! {
            frame = poll_fn(|cx| Pin::new(&mut events).poll_frame(cx)) => {
                let Some(Ok(frame)) = frame else {
                    return stream.shutdown().await;
                };
                if let Ok(data) = frame.into_data() {
                    stream.write_all(&data).await?;
                    stream.flush().await?;
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
