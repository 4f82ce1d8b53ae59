//! Slow, idle and too many connections.

use std::convert::Infallible;
use std::task::Poll;
use std::time::Duration;

use axum::http::Extensions;
use axum::response::Sse;
use axum::response::sse::Event;
use axum::routing::{get, post};
use axum::{Extension, Router};
use runtime::{ConnectionLimits, Listener};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use testkit::Logs;

use crate::test_env::{memory_kib, read_to_close, read_until, send, serve, serve_with};

fn routes() -> Router {
    Router::new()
        .route("/hello", get(async || "hello"))
        .route("/echo", post(async |body: String| body))
}

#[tokio::test(start_paused = true)]
async fn half_sent_header_is_closed() {
    let address = serve(routes()).await;
    let mut stream = send(address, "GET /hello HTTP/1.1\r\nHost: local").await;
    assert!(read_to_close(&mut stream).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn header_sent_byte_by_byte_is_closed() {
    let address = serve(routes()).await;
    let mut stream = send(address, "GET /hello HTTP/1.1\r\n").await;
    let mut closed = false;
    for _ in 0..100 {
        tokio::time::advance(Duration::from_secs(1)).await;
        closed |= stream.write_all(b"a").await.is_err();
    }
    assert!(closed || read_to_close(&mut stream).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn half_sent_body_is_closed() {
    let address = serve(routes()).await;
    let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf";
    let mut stream = send(address, head).await;
    let answer = read_to_close(&mut stream).await.expect("closed");
    assert!(!answer.contains("200 OK"), "{answer}");
}

/// Each byte of such a body used to keep a read buffer of 8 KiB in memory.
#[tokio::test]
async fn body_sent_byte_by_byte_takes_up_little_memory() {
    const LENGTH: usize = 8000;
    let address = serve(routes()).await;
    let head =
        format!("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LENGTH}\r\n\r\n");
    let mut stream = send(address, head).await;
    stream.set_nodelay(true).unwrap();
    let before = memory_kib();
    for _ in 1..LENGTH {
        stream.write_all(b"x").await.unwrap();
        // The reader runs on this thread, and sees each byte alone.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    }
    let grown = memory_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB");
    stream.write_all(b"x").await.unwrap();
    let answer = read_until(&mut stream, "xxx").await.unwrap();
    assert!(answer.contains("200 OK"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn idle_connection_is_closed() {
    let address = serve(routes()).await;
    let mut stream = send(address, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let answer = read_to_close(&mut stream).await.expect("closed");
    assert!(answer.ends_with("hello"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn connection_that_sends_nothing_is_closed() {
    let address = serve(routes()).await;
    let mut stream = send(address, "").await;
    assert_eq!(read_to_close(&mut stream).await.as_deref(), Some(""));
}

#[tokio::test(start_paused = true)]
async fn keep_alive_connection_answers_again() {
    let address = serve(routes()).await;
    let request = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = send(address, request).await;
    read_until(&mut stream, "\r\n\r\nhello").await.unwrap();
    tokio::time::advance(Duration::from_secs(60)).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\nhello").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn event_stream_outlives_the_idle_timeout() {
    let late = || async {
        tokio::time::sleep(Duration::from_secs(1800)).await;
        Ok::<_, Infallible>(Event::default().data("late"))
    };
    let stream = get(async move || Sse::new(futures::stream::once(late())));
    let address = serve(Router::new().route("/events", stream)).await;
    let request = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = send(address, request).await;
    let read = read_until(&mut stream, "data: late").await;
    assert!(read.is_some());
}

/// Events that never come; `dropped` is cancelled with the first stream of them.
fn silent_events(dropped: &CancellationToken) -> Router {
    let dropped = dropped.clone();
    let events = get(async move || {
        let guard = dropped.drop_guard();
        Sse::new(futures::stream::poll_fn(move |_| {
            let _ = &guard;
            Poll::<Option<Result<Event, Infallible>>>::Pending
        }))
    });
    Router::new().route("/events", events)
}

#[tokio::test]
async fn event_stream_ends_when_its_client_leaves() {
    let dropped = CancellationToken::new();
    let address = serve(silent_events(&dropped)).await;
    let mut stream = send(address, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    read_until(&mut stream, "\r\n\r\n").await.unwrap();
    drop(stream);
    let left = tokio::time::timeout(Duration::from_secs(30), dropped.cancelled()).await;
    assert_eq!(left, Ok(()));
}

#[tokio::test]
async fn connection_ends_with_its_event_stream() {
    let one = || futures::stream::iter([Ok::<_, Infallible>(Event::default().data("only"))]);
    let events = get(async move || Sse::new(one()));
    let address = serve(Router::new().route("/events", events)).await;
    let mut stream = send(address, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let answer = read_to_close(&mut stream).await.expect("closed");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(body, "c\r\ndata: only\n\n\r\n0\r\n\r\n");
}

/// HTTP/1.0 knows no chunks.
#[tokio::test]
async fn client_of_http_1_0_gets_its_events_without_chunks() {
    let one = || futures::stream::iter([Ok::<_, Infallible>(Event::default().data("only"))]);
    let events = get(async move || Sse::new(one()));
    let address = serve(Router::new().route("/events", events)).await;
    let mut stream = send(address, "GET /events HTTP/1.0\r\n\r\n").await;
    let answer = read_to_close(&mut stream).await.expect("closed");
    assert!(answer.ends_with("\r\n\r\ndata: only\n\n"), "{answer}");
}

#[tokio::test]
async fn head_of_event_stream_leaves_the_connection_open() {
    let address = serve(silent_events(&CancellationToken::new())).await;
    let head = "HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = send(address, head).await;
    for _ in 0..2 {
        read_until(&mut stream, "\r\n\r\n").await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn reader_that_stops_reading_is_closed() {
    let endless = get(async || {
        let chunk = Ok::<_, Infallible>(vec![b'x'; 64 * 1024]);
        axum::body::Body::from_stream(futures::stream::repeat(chunk))
    });
    let address = serve(Router::new().route("/endless", endless)).await;
    let request = "GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = send(address, request).await;
    // The buffers fill up, then the server gives up.
    tokio::time::sleep(Duration::from_secs(600)).await;
    let mut read = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(1), stream.read_to_end(&mut read)).await;
    assert!(read.is_ok(), "the server still writes");
}

#[tokio::test(start_paused = true)]
async fn listener_speaks_no_http2() {
    let address = serve(routes()).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    let mut stream = send(address, preface).await;
    let answer = read_to_close(&mut stream).await.expect("closed");
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn idle_and_slow_connections_lock_nobody_out() {
    let limits = ConnectionLimits {
        overall: 32,
        per_peer: 16,
    };
    let address = serve_with(routes(), limits).await;
    let mut attackers = Vec::new();
    for _ in 0..30 {
        attackers.push(send(address, "").await);
        attackers.push(send(address, "GET /hello HTTP/1.1\r\n").await);
        let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf";
        attackers.push(send(address, head).await);
    }
    let request = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = send(address, request).await;
    assert!(read_until(&mut stream, "hello").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn listener_without_a_free_file_logs_it_and_answers_again() {
    let logs = Logs::capture();
    let address = serve(routes()).await;
    let before = getrlimit(Resource::Nofile);
    // Both ends of every connection are in this process.
    let low = Rlimit {
        current: Some(64),
        maximum: before.maximum,
    };
    setrlimit(Resource::Nofile, low).unwrap();
    let mut open = Vec::new();
    while let Ok(stream) = TcpStream::connect(address).await {
        open.push(stream);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The last free file goes to a client, so that the listener has none.
    open.pop();
    open.push(TcpStream::connect(address).await.unwrap());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(logs.text().contains("connections cannot be accepted"));
    drop(open);
    let request = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = send(address, request).await;
    assert!(read_until(&mut stream, "hello").await.is_some());
}

#[test]
fn limit_of_open_files_is_raised_to_the_maximum() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let low = Rlimit {
        current: Some(64),
        maximum,
    };
    setrlimit(Resource::Nofile, low).unwrap();
    runtime::raise_nofile();
    assert_eq!(getrlimit(Resource::Nofile).current, maximum);
}

#[tokio::test(start_paused = true)]
async fn access_log_names_route_actor_and_request_id_but_no_query() {
    let logs = Logs::capture();
    let named = get(async || (Extension("account 001".to_owned()), "hello"));
    let listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.address().unwrap();
    let routes = Router::new()
        .route("/orders/{id}", named)
        .route("/livez", get(async || ""));
    let actor = |extensions: &Extensions| extensions.get::<String>().cloned();
    tokio::spawn(listener.serve(routes, Some(actor), CancellationToken::new()));
    for (path, id) in [
        ("/orders/801?token=hunter2", "trace-7"),
        ("/livez", "probe-8"),
        ("/secret-path", "a=\"b\""),
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: {id}\r\nConnection: close\r\n\r\n"
        );
        let answer = read_to_close(&mut send(address, request).await).await;
        let answer = answer.unwrap().to_ascii_lowercase();
        assert!(answer.contains("x-request-id: "), "{answer}");
        assert_eq!(answer.contains(id), id != "a=\"b\"", "{answer}");
    }
    let text = logs.text();
    for part in [
        "method=GET",
        r#"route="/orders/{id}""#,
        "status=200",
        "duration_ms=",
        "peer=127.0.0.1",
        r#"actor="account 001""#,
        r#"request_id="trace-7""#,
        r#"route="unmatched" status=404"#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    for hidden in ["hunter2", "801", "livez", "secret-path", "a=\\\"b"] {
        assert!(!text.contains(hidden), "{hidden} is in {text}");
    }
}
