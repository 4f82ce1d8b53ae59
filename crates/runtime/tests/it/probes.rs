//! Where probes are served, and what they answer.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::routing::get;
use runtime::{Check, Checks, ConnectionLimits, ListenerConfig, Listeners, Metrics, Routes};
use tokio_util::sync::CancellationToken;

use crate::test_env::{read_to_close, send};

/// Checks that a test sets.
#[derive(Default)]
struct Set(Mutex<Vec<Check>>);

#[async_trait]
impl Checks for Set {
    async fn look(&self) -> Vec<Check> {
        self.0.lock().unwrap().clone()
    }
}

fn config(apart: bool) -> ListenerConfig {
    let free = ([127, 0, 0, 1], 0).into();
    ListenerConfig {
        http: free,
        probes: apart.then_some(free),
        limits: ConnectionLimits::default(),
    }
}

fn routes() -> Routes {
    Routes {
        main: Router::new().route("/page", get(async || "page")),
        probes: Router::new().route("/own", get(async || "own")),
        both: Router::new().route("/health/sf-events", get(async || "health")),
        actor: None,
    }
}

async fn answer(address: std::net::SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut stream = send(address, request).await;
    read_to_close(&mut stream).await.unwrap()
}

async fn status(address: std::net::SocketAddr, path: &str) -> String {
    answer(address, path).await[9..12].to_owned()
}

#[tokio::test(start_paused = true)]
async fn probes_are_served_on_their_own_listener_only() {
    for (apart, on_main, on_probes) in [(false, "200", "200"), (true, "404", "404")] {
        let listeners = Listeners::open(&config(apart)).await.unwrap();
        let main = listeners.address().unwrap();
        let probes = listeners.probe_address().unwrap();
        let (draining, stopped) = (CancellationToken::new(), CancellationToken::new());
        let checks = Arc::new(Set::default());
        let serving = listeners.serve(checks, Metrics::install(), routes(), draining, stopped);
        tokio::spawn(serving);
        for path in ["/livez", "/readyz", "/metrics", "/own"] {
            assert_eq!(status(main, path).await, on_main, "{path}");
            assert_eq!(status(probes, path).await, "200", "{path}");
        }
        assert_eq!(status(main, "/page").await, "200");
        assert_eq!(status(probes, "/page").await, on_probes);
        for address in [main, probes] {
            assert_eq!(status(address, "/health/sf-events").await, "200");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn vendor_problem_degrades_and_only_store_or_drain_make_unready() {
    let listeners = Listeners::open(&config(false)).await.unwrap();
    let address = listeners.address().unwrap();
    let (draining, stopped) = (CancellationToken::new(), CancellationToken::new());
    let checks = Arc::new(Set::default());
    let routes = Routes::default();
    let serving = listeners.serve(
        Arc::clone(&checks) as _,
        Metrics::install(),
        routes,
        draining.clone(),
        stopped,
    );
    tokio::spawn(serving);
    let vendor = Check::optional("whmcs", Some("connection refused".to_owned()));
    let store = Check::required("store", Some("locked".to_owned()));
    *checks.0.lock().unwrap() = vec![vendor.clone()];
    let degraded = answer(address, "/readyz").await;
    assert!(degraded.starts_with("HTTP/1.1 200"), "{degraded}");
    assert!(degraded.contains(r#""status":"degraded""#), "{degraded}");
    assert!(degraded.contains("connection refused"), "{degraded}");
    *checks.0.lock().unwrap() = vec![vendor.clone(), store];
    assert_eq!(status(address, "/readyz").await, "503");
    *checks.0.lock().unwrap() = vec![vendor];
    draining.cancel();
    let draining = answer(address, "/readyz").await;
    assert!(draining.starts_with("HTTP/1.1 503"), "{draining}");
    assert!(draining.contains("shutting down"), "{draining}");
    assert_eq!(status(address, "/livez").await, "200");
}
