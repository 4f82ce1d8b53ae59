//! Bound listeners and how they serve.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;
use settings::Problems;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access::{self, ActorOf};
use super::connection;
use super::connections::{ConnectionLimits, Connections};
use super::nofile::room_for_connections;
use super::{Checks, ListenerConfig, probes};
use crate::{Failure, Metrics};

/// How long to wait after a failed accept, such as one without a free file: a connection that
/// ends frees one.
const PAUSE: Duration = Duration::from_millis(500);
/// How often the same trouble of the listener is logged.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// The routes of a program.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// Served on `HTTP_ADDR` only.
    pub main: Router,
    /// Served where the probes are: on `PROBE_ADDR` if it is set, else on `HTTP_ADDR`.
    pub probes: Router,
    /// Served on both.
    pub both: Router,
    /// Tells who made a request, for the access log.
    pub actor: Option<ActorOf>,
}

/// Connections that wait to be accepted. When more arrive, the system drops them and their clients
/// try again after a second; it may cap the number (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    limits: ConnectionLimits,
}

impl Listener {
    /// Binds the address.
    ///
    /// # Errors
    /// The address is in use or not permitted.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // As `TcpListener::bind`: a restarted program gets its port back at once.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self {
            socket: socket.listen(BACKLOG)?,
            limits: ConnectionLimits::default(),
        })
    }

    /// The same listener with other connection limits.
    #[must_use]
    pub fn with_limits(mut self, limits: ConnectionLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The bound address, with the actual port.
    ///
    /// # Errors
    /// The address is not available.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves the routes until `shutdown`, then finishes the answers under way. A failed accept is
    /// logged and survived.
    pub async fn serve(self, routes: Router, actor: Option<ActorOf>, shutdown: CancellationToken) {
        let router = routes.layer(from_fn(move |request, next| {
            access::log(actor, request, next)
        }));
        let overall = self.limits.overall.min(room_for_connections());
        let connections = Connections::new(ConnectionLimits {
            overall,
            per_peer: self.limits.per_peer.min(overall),
        });
        let tasks = TaskTracker::new();
        let (mut failures, mut refusals) = (Throttle::default(), Throttle::default());
        while let Some(accepted) = shutdown.run_until_cancelled(self.socket.accept()).await {
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    metrics::counter!("orderbridge_http_accept_failures_total").increment(1);
                    if failures.passes() {
                        tracing::error!(%error, "connections cannot be accepted");
                    }
                    shutdown
                        .run_until_cancelled(tokio::time::sleep(PAUSE))
                        .await;
                    continue;
                }
            };
            match connections.open(peer.ip()) {
                Ok(guard) => {
                    prepare(&stream);
                    let (router, shutdown) = (router.clone(), shutdown.clone());
                    tasks.spawn(connection::serve(stream, peer, guard, router, shutdown));
                }
                Err(full) => {
                    let limit = full.name();
                    metrics::counter!("orderbridge_http_connections_refused_total", "limit" => limit)
                        .increment(1);
                    if refusals.passes() {
                        tracing::warn!(limit, peer = %peer.ip(), "connection refused: limit reached");
                    }
                }
            }
        }
        tasks.close();
        tasks.wait().await;
    }
}

/// The listeners of a program: its own, and that of the probes where they are apart.
#[derive(Debug)]
pub struct Listeners {
    main: Listener,
    probes: Option<Listener>,
}

impl Listeners {
    /// Binds the addresses.
    ///
    /// # Errors
    /// One is in use or not permitted; its setting is named.
    pub async fn open(config: &ListenerConfig) -> Result<Self, Failure> {
        let main = bind("HTTP_ADDR", config.http)
            .await?
            .with_limits(config.limits);
        Self::open_with(main, config).await
    }

    /// As [`Listeners::open`], with a main listener that is already bound.
    ///
    /// # Errors
    /// The address of the probes is in use or not permitted.
    pub async fn open_with(main: Listener, config: &ListenerConfig) -> Result<Self, Failure> {
        let probes = match config.probes {
            Some(address) => Some(bind("PROBE_ADDR", address).await?),
            None => None,
        };
        Ok(Self { main, probes })
    }

    /// The address of the program's own listener, with the actual port.
    ///
    /// # Errors
    /// The address is not available.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.main.address()
    }

    /// The address of the probes, with the actual port.
    ///
    /// # Errors
    /// The address is not available.
    pub fn probe_address(&self) -> io::Result<SocketAddr> {
        self.probes.as_ref().unwrap_or(&self.main).address()
    }

    /// Serves until `stopped`; from `draining` on the program is not ready, and its own routes are
    /// no longer served. Where it has none besides the probes, these go on until `stopped`.
    pub async fn serve(
        self,
        checks: Arc<dyn Checks>,
        metrics: Metrics,
        routes: Routes,
        draining: CancellationToken,
        stopped: CancellationToken,
    ) {
        let probes = probes::routes(checks, metrics, draining.clone()).merge(routes.probes);
        let until = match routes.main.has_routes() {
            true => draining,
            false => stopped.clone(),
        };
        let main = routes.main.merge(routes.both.clone());
        match self.probes {
            None => {
                self.main
                    .serve(main.merge(probes), routes.actor, until)
                    .await;
            }
            Some(listener) => {
                tokio::join!(
                    self.main.serve(main, routes.actor, until),
                    listener.serve(probes.merge(routes.both), routes.actor, stopped),
                );
            }
        }
    }
}

async fn bind(name: &'static str, address: SocketAddr) -> Result<Listener, Failure> {
    Listener::bind(address).await.map_err(|error| {
        let mut problems = Problems::new();
        let what = format!("`{address}` cannot be listened on: {error}");
        problems.add(name, what, "Use a free port and an address of this machine");
        Failure::Config(problems)
    })
}

/// Small answers leave at once; dead peers of long event streams are found.
fn prepare(stream: &TcpStream) {
    // Without these the connection works all the same.
    let _ = stream.set_nodelay(true);
}

/// Whether an accept failed because its client had left.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Lets the first of a kind pass, and then one every [`LOG_EVERY`].
#[derive(Default)]
struct Throttle(Option<Instant>);

impl Throttle {
    fn passes(&mut self) -> bool {
        let passes = self.0.is_none_or(|last| last.elapsed() >= LOG_EVERY);
        if passes {
            self.0 = Some(Instant::now());
        }
        passes
    }
}
