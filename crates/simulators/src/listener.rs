//! A listener whose connections can be reset at any moment, individually or all together.
use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
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

/// Resets its connection when cancelled.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionHandle(CancellationToken);

impl ConnectionHandle {
    /// Resets the connection; unwritten data never reaches the client.
    pub(crate) fn cut(&self) {
        self.0.cancel();
    }
}

/// An accepted connection.
pub(crate) struct Connection {
    stream: TcpStream,
    connection: ConnectionHandle,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    fn new(stream: TcpStream, all: &CancellationToken) -> Self {
        // Small responses must not wait for a full segment, since tests measure time.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "set_nodelay failed");
        }
        let connection = ConnectionHandle(all.child_token());
        let cut = Box::pin(connection.0.clone().cancelled_owned());
        Self {
            stream,
            connection,
            cut,
        }
    }

    fn is_cut(&mut self, cx: &mut Context<'_>) -> bool {
        self.connection.0.is_cancelled() || self.cut.as_mut().poll(cx).is_ready()
    }
}

fn reset() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}

impl AsyncRead for Connection {
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

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.connection.0.is_cancelled() {
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

impl tonic::transport::server::Connected for Connection {
    type ConnectInfo = ConnectionHandle;

    fn connect_info(&self) -> ConnectionHandle {
        self.connection.clone()
    }
}

impl Connected<IncomingStream<'_, SimListener>> for ConnectionHandle {
    fn connect_info(stream: IncomingStream<'_, SimListener>) -> Self {
        stream.io().connection.clone()
    }
}

/// A bound port.
pub(crate) struct SimListener {
    listener: TcpListener,
    all: Arc<Mutex<CancellationToken>>,
    accepted: Arc<AtomicUsize>,
}

impl SimListener {
    async fn bind(
        port: u16,
        all: Arc<Mutex<CancellationToken>>,
        accepted: Arc<AtomicUsize>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
        Ok(Self {
            listener,
            all,
            accepted,
        })
    }

    pub(crate) async fn next(&mut self) -> Connection {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                    return Connection::new(stream, &lock(&self.all));
                }
                Err(error) => {
                    tracing::debug!(%error, "accept failed");
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

impl axum::serve::Listener for SimListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let connection = self.next().await;
        let peer = connection
            .stream
            .peer_addr()
            .unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)));
        (connection, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A service whose port can be closed and opened again.
#[derive(Debug)]
pub(crate) struct Host {
    port: u16,
    all: Arc<Mutex<CancellationToken>>,
    accepted: Arc<AtomicUsize>,
    stop: Mutex<Option<(CancellationToken, JoinHandle<()>)>>,
}

impl Host {
    /// Binds `port` (0 = any) without serving yet.
    pub(crate) async fn bind(port: u16) -> io::Result<(Self, SimListener)> {
        let all = Arc::new(Mutex::new(CancellationToken::new()));
        let accepted = Arc::<AtomicUsize>::default();
        let listener = SimListener::bind(port, all.clone(), accepted.clone()).await?;
        let port = listener.listener.local_addr()?.port();
        let host = Self {
            port,
            all,
            accepted,
            stop: Mutex::new(None),
        };
        Ok((host, listener))
    }

    /// Number of connections accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:<port>`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Binds the same port again, after [`Host::stop`].
    pub(crate) async fn rebind(&self) -> io::Result<SimListener> {
        SimListener::bind(self.port, self.all.clone(), self.accepted.clone()).await
    }

    /// Serves an axum router until stopped.
    pub(crate) fn serve_http(&self, listener: SimListener, router: Router) {
        self.serve(async move {
            let service = router.into_make_service_with_connect_info::<ConnectionHandle>();
            if let Err(error) = axum::serve(listener, service).await {
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

    /// Resets every open connection; new ones are accepted.
    pub(crate) fn cut_all(&self) {
        let old = std::mem::replace(&mut *lock(&self.all), CancellationToken::new());
        old.cancel();
    }

    /// Closes the port and resets every connection, as a crash of the machine would.
    pub(crate) async fn stop(&self) {
        let running = lock(&self.stop).take();
        if let Some((token, task)) = running {
            token.cancel();
            if let Err(error) = task.await {
                tracing::debug!(%error, "simulated listener failed");
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
