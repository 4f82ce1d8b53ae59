//! A listener whose connections can be cut at any moment, one by one or all together.
use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use axum::{Router, extract::connect_info::Connected, serve::IncomingStream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::lock;

/// The switch of one connection: cancelling it resets the connection.
#[derive(Debug, Clone)]
pub(crate) struct Line(CancellationToken);

impl Line {
    /// Cuts the connection; nothing that was not yet written reaches the client.
    pub(crate) fn cut(&self) {
        self.0.cancel();
    }
}

/// One accepted connection.
pub(crate) struct Wire {
    stream: TcpStream,
    line: Line,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Wire {
    fn new(stream: TcpStream, all: &CancellationToken) -> Self {
        // Small answers must not wait for a full segment, tests measure time.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "set_nodelay");
        }
        let line = Line(all.child_token());
        let cut = Box::pin(line.0.clone().cancelled_owned());
        Self { stream, line, cut }
    }

    fn is_cut(&mut self, cx: &mut Context<'_>) -> bool {
        self.line.0.is_cancelled() || self.cut.as_mut().poll(cx).is_ready()
    }
}

fn reset() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_cut(cx) {
            return Poll::Ready(Err(reset()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.line.0.is_cancelled() {
            return Poll::Ready(Err(reset()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl tonic::transport::server::Connected for Wire {
    type ConnectInfo = Line;

    fn connect_info(&self) -> Line {
        self.line.clone()
    }
}

impl Connected<IncomingStream<'_, Door>> for Line {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().line.clone()
    }
}

/// A bound port.
pub(crate) struct Door {
    listener: TcpListener,
    all: Arc<Mutex<CancellationToken>>,
}

impl Door {
    async fn bind(port: u16, all: Arc<Mutex<CancellationToken>>) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        Ok(Self { listener, all })
    }

    pub(crate) async fn next(&mut self) -> Wire {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return Wire::new(stream, &lock(&self.all)),
                Err(error) => {
                    tracing::debug!(%error, "accept");
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

impl axum::serve::Listener for Door {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        let wire = self.next().await;
        let peer = wire
            .stream
            .peer_addr()
            .unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)));
        (wire, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A service behind a door that can be closed and opened again on the same port.
#[derive(Debug)]
pub(crate) struct Host {
    port: u16,
    all: Arc<Mutex<CancellationToken>>,
    stop: Mutex<Option<(CancellationToken, JoinHandle<()>)>>,
}

impl Host {
    /// Binds `port` (0 = any) without serving yet.
    pub(crate) async fn bind(port: u16) -> io::Result<(Self, Door)> {
        let all = Arc::new(Mutex::new(CancellationToken::new()));
        let door = Door::bind(port, all.clone()).await?;
        let port = door.listener.local_addr()?.port();
        let stop = Mutex::new(None);
        Ok((Self { port, all, stop }, door))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:<port>`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A door on the same port again, after [`Host::stop`].
    pub(crate) async fn rebind(&self) -> io::Result<Door> {
        Door::bind(self.port, self.all.clone()).await
    }

    /// Serves an axum router until stopped.
    pub(crate) fn serve_http(&self, door: Door, router: Router) {
        self.serve(async move {
            let service = router.into_make_service_with_connect_info::<Line>();
            if let Err(error) = axum::serve(door, service).await {
                tracing::warn!(%error, "simulated HTTP listener ended");
            }
        });
    }

    /// Runs `server` until stopped.
    pub(crate) fn serve(&self, server: impl Future<Output = ()> + Send + 'static) {
        let token = CancellationToken::new();
        let stopped = token.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = server => {}
                () = stopped.cancelled() => {}
            }
        });
        *lock(&self.stop) = Some((token, task));
    }

    /// Resets every open connection; new ones are welcome.
    pub(crate) fn cut_all(&self) {
        let old = std::mem::replace(&mut *lock(&self.all), CancellationToken::new());
        old.cancel();
    }

    /// Closes the port and resets every connection, as when the machine behind it dies.
    pub(crate) async fn stop(&self) {
        let running = lock(&self.stop).take();
        if let Some((token, task)) = running {
            token.cancel();
            if let Err(error) = task.await {
                tracing::debug!(%error, "simulated listener");
            }
        }
        self.cut_all();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some((token, _)) = lock(&self.stop).take() {
            token.cancel();
        }
        lock(&self.all).cancel();
    }
}
