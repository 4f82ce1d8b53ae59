//! One connection.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::body::{AnswerBody, RequestBody};
use super::connections::{Activity, ConnectionGuard, Phase};
use super::stream::{HEAD, TimedStream};

/// How long a connection may be idle. More than the 60 s after which common reverse proxies close
/// theirs, so that no request meets a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(75);
/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// Serves a connection until it ends, is evicted, or `shutdown` and the answer under way is sent.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    guard: ConnectionGuard,
    router: Router,
    shutdown: CancellationToken,
) {
    // Until its first byte arrives, a connection takes up neither buffers nor the room for what
    // serves it.
    let mut byte = [0];
    let first_byte = async {
        tokio::select! {
            peeked = timeout(HEAD, stream.peek(&mut byte)) => matches!(peeked, Ok(Ok(1))),
            () = guard.activity.evicted() => false,
        }
    };
    if shutdown.run_until_cancelled(first_byte).await == Some(true) {
        Box::pin(serve_requests(stream, peer, guard, router, shutdown)).await;
    }
}

async fn serve_requests(
    stream: TcpStream,
    peer: SocketAddr,
    guard: ConnectionGuard,
    router: Router,
    shutdown: CancellationToken,
) {
    let activity = &guard.activity;
    let service = service_fn(|request: Request<Incoming>| {
        // hyper keeps room for this future as long as the connection is open.
        Box::pin(answer(router.clone(), request, peer, Arc::clone(activity)))
    });
    let stream = TimedStream::new(stream, Arc::clone(activity));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%peer, error = %error_chain::chain(&error), "connection failed");
            }
        }
        () = activity.evicted() => {
            tracing::debug!(%peer, "connection closed to make room");
        }
        () = shutdown.cancelled() => {
            if activity.turn().phase == Phase::Head {
                return;
            }
            connection.as_mut().graceful_shutdown();
            // How it ends is of no interest any more.
            let _ = connection.await;
        }
    }
}

async fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    activity: Arc<Activity>,
) -> Result<Response<Body>, Infallible> {
    let mut request =
        request.map(|body| Body::new(RequestBody::new(Body::new(body), Arc::clone(&activity))));
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = router.oneshot(request).await?;
    Ok(response.map(|body| Body::new(AnswerBody::new(body, activity))))
}
