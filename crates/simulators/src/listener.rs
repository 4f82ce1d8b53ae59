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
use tokio_rustls::{Accept, TlsAcceptor, rustls::ServerConfig, server::TlsStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{Listen, lock};

/// Which port of the simulators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// Salesforce OAuth and REST.
    Salesforce,
    /// The Salesforce Pub/Sub API.
    PubSub,
    /// WHMCS.
    Whmcs,
    /// The control API.
    Control,
}

/// A port that cannot be opened; inside the [`io::Error`] of what was to listen there.
#[derive(Debug, thiserror::Error)]
#[error("{address} cannot be opened")]
pub struct BindError {
    /// Which port.
    pub port: Port,
    /// Its address.
    pub address: SocketAddr,
    /// The system's error.
    #[source]
    pub source: io::Error,
}

impl BindError {
    /// The port that an error is about, if it is about one.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// Resets its connection when cancelled.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionHandle(CancellationToken);

impl ConnectionHandle {
    /// Resets the connection; unwritten data never reaches the client.
    pub(crate) fn cut(&self) {
        self.0.cancel();
    }
}

/// The bytes of a connection. The handshake happens with the first read or write, so that a client
/// that never finishes it does not keep others from being accepted.
enum Transport {
    Plain(TcpStream),
    Handshake(Box<Accept<TcpStream>>),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// Finishes the handshake.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Handshake(accept) = self {
            let stream = std::task::ready!(Pin::new(accept.as_mut()).poll(cx))
                .inspect_err(|error| tracing::info!(%error, "TLS handshake failed"))?;
            *self = Self::Tls(Box::new(stream));
        }
        Poll::Ready(Ok(()))
    }
}

/// An accepted connection.
pub(crate) struct Connection {
    stream: Transport,
    connection: ConnectionHandle,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    fn new(stream: TcpStream, tls: Option<&TlsAcceptor>, all: &CancellationToken) -> Self {
        // Small responses must not wait for a full segment, since tests measure time.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "set_nodelay failed");
        }
        let connection = ConnectionHandle(all.child_token());
        let cut = Box::pin(connection.0.clone().cancelled_owned());
        let stream = match tls {
            None => Transport::Plain(stream),
            Some(tls) => Transport::Handshake(Box::new(tls.accept(stream))),
        };
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
        std::task::ready!(self.stream.poll_ready(cx))?;
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
            Transport::Handshake(_) => Poll::Pending,
        }
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
        std::task::ready!(self.stream.poll_ready(cx))?;
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
            Transport::Handshake(_) => Poll::Pending,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            Transport::Handshake(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            Transport::Handshake(_) => Poll::Ready(Ok(())),
        }
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
    tls: Option<TlsAcceptor>,
    all: Arc<Mutex<CancellationToken>>,
    accepted: Arc<AtomicUsize>,
}

impl SimListener {
    async fn bind(host: &Host, port: u16) -> io::Result<Self> {
        let address = SocketAddr::from((host.listen.bind, port));
        let listener = TcpListener::bind(address).await.map_err(|source| {
            let port = host.role;
            let error = BindError {
                port,
                address,
                source,
            };
            io::Error::new(error.source.kind(), error)
        })?;
        Ok(Self {
            listener,
            tls: host.tls.clone().map(TlsAcceptor::from),
            all: host.all.clone(),
            accepted: host.accepted.clone(),
        })
    }

    pub(crate) async fn next(&mut self) -> Connection {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                    return Connection::new(stream, self.tls.as_ref(), &lock(&self.all));
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
        // Nothing behind it reads the peer.
        (self.next().await, SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A service whose port can be closed and opened again.
#[derive(Debug)]
pub(crate) struct Host {
    role: Port,
    port: u16,
    listen: Listen,
    tls: Option<Arc<ServerConfig>>,
    all: Arc<Mutex<CancellationToken>>,
    accepted: Arc<AtomicUsize>,
    stop: Mutex<Option<(CancellationToken, JoinHandle<()>)>>,
}

impl Host {
    /// Binds `port` (0 = any) without serving yet.
    pub(crate) async fn bind(
        listen: &Listen,
        role: Port,
        port: u16,
    ) -> io::Result<(Self, SimListener)> {
        let tls = match role {
            Port::PubSub => listen.grpc_tls(),
            Port::Salesforce | Port::Whmcs | Port::Control => listen.http_tls(),
        };
        let mut host = Self {
            role,
            port,
            listen: listen.clone(),
            tls,
            all: Arc::new(Mutex::new(CancellationToken::new())),
            accepted: Arc::default(),
            stop: Mutex::new(None),
        };
        let listener = SimListener::bind(&host, port).await?;
        host.port = listener.listener.local_addr()?.port();
        Ok((host, listener))
    }

    /// Number of connections accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:<port>`, or with another scheme and name.
    pub(crate) fn url(&self) -> String {
        self.listen.url(self.port)
    }

    /// Binds the same port again, after [`Host::stop`].
    pub(crate) async fn rebind(&self) -> io::Result<SimListener> {
        SimListener::bind(self, self.port).await
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
