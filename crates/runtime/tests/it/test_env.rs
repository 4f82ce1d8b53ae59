//! A listener in this process, and a raw client.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use runtime::{ConnectionLimits, Listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Longer than every timeout of the listener. The clock is paused, so nobody waits for it.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// Serves the routes until the test ends.
pub(crate) async fn serve(routes: Router) -> SocketAddr {
    serve_with(routes, ConnectionLimits::default()).await
}

/// Serves the routes with these limits until the test ends.
pub(crate) async fn serve_with(routes: Router, limits: ConnectionLimits) -> SocketAddr {
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let listener = listener.with_limits(limits);
    let address = listener.address().unwrap();
    tokio::spawn(listener.serve(routes, None, CancellationToken::new()));
    address
}

/// Connects and sends these bytes.
pub(crate) async fn send(address: SocketAddr, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    stream
}

/// Everything until the server closes the connection; `None` when it stays open for [`LONG`].
pub(crate) async fn read_to_close(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    // A reset is an end as well.
    let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut read))
        .await
        .ok()?;
    Some(String::from_utf8_lossy(&read).into_owned())
}

/// Reads until this text has arrived; `None` when it does not within [`LONG`].
pub(crate) async fn read_until(stream: &mut TcpStream, text: &str) -> Option<String> {
    let mut read = Vec::new();
    let found = async {
        loop {
            let mut chunk = [0; 1024];
            let count = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
            read.extend_from_slice(&chunk[..count]);
            let so_far = String::from_utf8_lossy(&read);
            if so_far.contains(text) {
                return Some(so_far.into_owned());
            }
        }
    };
    tokio::time::timeout(LONG, found).await.ok().flatten()
}

/// Resident memory of this process, in KiB.
pub(crate) fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.unwrap().parse().unwrap()
}
