//! A connection's bytes, with time limits.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::connections::{Activity, Phase};

/// From the first byte of a request, or from the connection's start, to the end of its head.
pub(super) const HEAD: Duration = Duration::from_secs(10);
/// How long a client may take to accept bytes of an answer.
const WRITE: Duration = Duration::from_secs(30);

/// A stream that fails when a request's head takes longer than [`HEAD`], or when the client
/// accepts no bytes for [`WRITE`].
///
/// Idle connections and bodies have limits of their own ([`super::connection`]).
pub(super) struct TimedStream<S> {
    stream: S,
    activity: Arc<Activity>,
    /// The time left for the head that is being received, and the number of that phase.
    head: Option<(u64, Pin<Box<Sleep>>)>,
    /// Set while a write is pending.
    write: Option<Pin<Box<Sleep>>>,
}

impl<S> TimedStream<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            head: Some((activity.turn().number, Box::pin(sleep(HEAD)))),
            activity,
            write: None,
        }
    }

    fn write_progress<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.activity.set_writing(poll.is_pending());
        if poll.is_ready() {
            self.write = None;
            return poll;
        }
        let timer = self.write.get_or_insert_with(|| Box::pin(sleep(WRITE)));
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let poll = Pin::new(&mut this.stream).poll_read(cx, buf);
        let turn = this.activity.turn();
        // What remains of an earlier request's time does not count for this one.
        if this.head.as_ref().is_some_and(|(of, _)| *of != turn.number) {
            this.head = None;
        }
        if turn.phase != Phase::Head {
            return poll;
        }
        if poll.is_ready() {
            if buf.filled().len() > before && this.head.is_none() {
                this.head = Some((turn.number, Box::pin(sleep(HEAD))));
            }
            return poll;
        }
        let Some((_, timer)) = &mut this.head else {
            return Poll::Pending;
        };
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.write_progress(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.write_progress(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.write_progress(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.write_progress(cx, poll)
    }
}
