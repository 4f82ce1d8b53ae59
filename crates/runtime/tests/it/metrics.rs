//! Metrics of a process.

use std::time::Duration;

use runtime::Metrics;
use tokio_util::sync::CancellationToken;

use crate::test_env::memory_kib;

#[tokio::test(start_paused = true)]
async fn histogram_does_not_grow_while_nobody_scrapes_it() {
    let metrics = Metrics::install();
    let stopped = CancellationToken::new();
    let keeping = tokio::spawn(metrics.clone().keep_small(stopped.clone()));
    let histogram = metrics::histogram!("test_duration_seconds");
    let record_many = async || {
        for _ in 0..100_000 {
            histogram.record(0.1);
        }
        tokio::time::sleep(Duration::from_secs(6)).await;
    };
    record_many().await;
    let before = memory_kib();
    // Kept one by one, 10 million values take up 80 MB.
    for _ in 0..100 {
        record_many().await;
    }
    let grown = memory_kib().saturating_sub(before);
    assert!(grown < 20_000, "{grown} KiB");
    assert!(
        metrics
            .render()
            .contains("test_duration_seconds_count 10100000")
    );
    stopped.cancel();
    keeping.await.unwrap();
}
