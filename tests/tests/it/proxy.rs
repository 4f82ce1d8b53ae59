//! A road to a TCP service that can be blocked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Road {
    /// It passes.
    Open,
    /// It is neither passed on nor refused: the other side hangs.
    Blocked,
    /// As open until a connection sends COMMIT: that passes, and nothing comes back.
    CommitsUnanswered,
    /// Connections are cut and none is taken.
    Closed,
}

/// A proxy on loopback.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    road: watch::Sender<Road>,
    accepting: AbortHandle,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// A proxy before the service at `target` (`host:port`).
    pub(crate) async fn before(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (road, seen) = watch::channel(Road::Open);
        let target = Arc::new(target);
        let accepting = tokio::spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                tokio::spawn(carry(inner, Arc::clone(&target), seen.clone()));
            }
        })
        .abort_handle();
        Self {
            address,
            road,
            accepting,
        }
    }

    /// From now on.
    pub(crate) fn set(&self, road: Road) {
        self.road.send_replace(road);
    }
}

async fn carry(inner: TcpStream, target: Arc<String>, mut road: watch::Receiver<Road>) {
    if *road.borrow() == Road::Closed {
        return;
    }
    let Ok(outer) = TcpStream::connect(target.as_str()).await else {
        return;
    };
    let (inner_read, inner_write) = inner.into_split();
    let (outer_read, outer_write) = outer.into_split();
    let committing = Arc::new(AtomicBool::new(false));
    let notice = Arc::clone(&committing);
    let there = pass(inner_read, outer_write, road.clone(), move |bytes, road| {
        let commits = bytes.windows(7).any(|word| word == b"COMMIT\0");
        notice.store(commits, Ordering::SeqCst);
        *road != Road::Blocked
    });
    let back = pass(outer_read, inner_write, road.clone(), move |_, road| {
        let unanswered = *road == Road::CommitsUnanswered && committing.load(Ordering::SeqCst);
        *road != Road::Blocked && !unanswered
    });
    tokio::select! {
        () = there => {}
        () = back => {}
        _ = road.wait_for(|road| *road == Road::Closed) => {}
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut road: watch::Receiver<Road>,
    passes: impl Fn(&[u8], &Road) -> bool,
) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let n_bytes = match from.read(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(n_bytes) => n_bytes,
        };
        let sent = &bytes[..n_bytes];
        if road.wait_for(|road| passes(sent, road)).await.is_err()
            || to.write_all(sent).await.is_err()
        {
            return;
        }
    }
}
