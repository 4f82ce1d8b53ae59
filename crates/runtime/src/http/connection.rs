//! One connection.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::body::{AnswerBody, RequestBody};
use super::connections::{Activity, ConnectionGuard, Phase};
use super::event_stream::{self, Events};
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
    if shutdown.run_until_cancelled(first_byte).await != Some(true) {
        return;
    }
    let served = Box::pin(serve_requests(
        stream,
        peer,
        &guard.activity,
        router,
        shutdown,
    ));
    let ended = match served.await {
        Ok(Some((mut stream, None))) => stream.shutdown().await,
        Ok(Some((stream, Some(events)))) => Box::pin(event_stream::send(stream, events)).await,
        Ok(None) => Ok(()),
        Err(error) => Err(io::Error::other(error)),
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error = %error_chain::chain(&error), "connection failed");
    }
}

/// Serves requests until the connection ends or an event stream goes on with it; none when it was
/// closed on our side.
async fn serve_requests(
    stream: TcpStream,
    peer: SocketAddr,
    activity: &Arc<Activity>,
    router: Router,
    shutdown: CancellationToken,
) -> hyper::Result<Option<(TimedStream<TcpStream>, Option<AnswerBody>)>> {
    let events = Events::default();
    let service = service_fn(|request: Request<Incoming>| {
        let (router, events) = (router.clone(), events.clone());
        // hyper keeps room for this future as long as the connection is open.
        Box::pin(answer(router, request, peer, Arc::clone(activity), events))
    });
    let stream = TimedStream::new(stream, Arc::clone(activity));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut is_ending = false;
    loop {
        tokio::select! {
            ended = poll_fn(|cx| match connection.poll_without_shutdown(cx) {
                // The events go on without hyper.
                Poll::Pending if events.is_head_encoded() && !activity.is_writing() => {
                    Poll::Ready(Ok(()))
                }
                polled => polled,
            }) => {
                ended?;
                break;
            }
            () = activity.evicted(), if !is_ending => {
                tracing::debug!(%peer, "connection closed to make room");
                return Ok(None);
            }
            () = shutdown.cancelled(), if !is_ending => {
                if activity.turn().phase == Phase::Head {
                    return Ok(None);
                }
                Pin::new(&mut connection).graceful_shutdown();
                is_ending = true;
            }
        }
    }
    let stream = connection.into_parts().io.into_inner();
    Ok(Some((stream, events.take())))
}

async fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    activity: Arc<Activity>,
    events: Events,
) -> Result<Response<Body>, Infallible> {
    let mut request =
        request.map(|body| Body::new(RequestBody::new(Body::new(body), Arc::clone(&activity))));
    request.extensions_mut().insert(ConnectInfo(peer));
    let may_be_events = Events::may_answer(&request);
    let answer = router.oneshot(request).await?;
    let answer = answer.map(|body| AnswerBody::new(body, activity));
    Ok(match may_be_events {
        true => events.split(answer),
        false => answer.map(Body::new),
    })
}
