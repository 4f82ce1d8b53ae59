//! A TCP proxy whose traffic can be blocked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Behaviour of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// Forwards everything.
    Open,
    /// Forwards nothing and keeps connections open.
    Blocked,
    /// Forwards everything until a connection sends COMMIT, which is forwarded without its
    /// response.
    CommitsUnanswered,
    /// Cuts connections and accepts none.
    Closed,
}

/// A proxy on loopback.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    traffic: watch::Sender<Traffic>,
    accepting: AbortHandle,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// Starts a proxy in front of `target` (`host:port`).
    pub(crate) async fn before(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (traffic, seen) = watch::channel(Traffic::Open);
        let target = Arc::new(target);
        let accepting = tokio::spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                tokio::spawn(forward(inner, Arc::clone(&target), seen.clone()));
            }
        })
        .abort_handle();
        Self {
            address,
            traffic,
            accepting,
        }
    }

    /// Changes the behaviour from now on.
    pub(crate) fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

async fn forward(inner: TcpStream, target: Arc<String>, mut traffic: watch::Receiver<Traffic>) {
    if *traffic.borrow() == Traffic::Closed {
        return;
    }
    let Ok(outer) = TcpStream::connect(target.as_str()).await else {
        return;
    };
    let (inner_read, inner_write) = inner.into_split();
    let (outer_read, outer_write) = outer.into_split();
    let committing = Arc::new(AtomicBool::new(false));
    let notice = Arc::clone(&committing);
    let there = pass(
        inner_read,
        outer_write,
        traffic.clone(),
        move |bytes, traffic| {
            let commits = bytes.windows(7).any(|word| word == b"COMMIT\0");
            notice.store(commits, Ordering::SeqCst);
            *traffic != Traffic::Blocked
        },
    );
    let back = pass(
        outer_read,
        inner_write,
        traffic.clone(),
        move |_, traffic| {
            let unanswered =
                *traffic == Traffic::CommitsUnanswered && committing.load(Ordering::SeqCst);
            *traffic != Traffic::Blocked && !unanswered
        },
    );
    tokio::select! {
        () = there => {}
        () = back => {}
        _ = traffic.wait_for(|traffic| *traffic == Traffic::Closed) => {}
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut traffic: watch::Receiver<Traffic>,
    passes: impl Fn(&[u8], &Traffic) -> bool,
) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let n_bytes = match from.read(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(n_bytes) => n_bytes,
        };
        let sent = &bytes[..n_bytes];
        if traffic
            .wait_for(|traffic| passes(sent, traffic))
            .await
            .is_err()
            || to.write_all(sent).await.is_err()
        {
            return;
        }
    }
}
