//! SVG coordinates of the overview's charts: a day's attempts in bucket-hour buckets.

use std::time::Duration;

use domain::job::JobOutcome;
use domain::time::Timestamp;
use operations::FinishedJob;

use crate::time;

/// Buckets of a day.
const BUCKETS: usize = 48;
/// Length of a bucket.
const BUCKET: Duration = Duration::from_secs(30 * 60);
/// Width of a bar and its gap.
const BAR_WIDTH: u64 = 10;
/// Height of the chart.
const HEIGHT: u64 = 100;
/// Percentage at the chart's top; higher values are clipped.
const MAX_PERCENT: u64 = 50;
/// Failures above this percentage are marked.
const THRESHOLD: u64 = 10;

/// A bar of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) height: u64,
    /// Whether the value exceeds the threshold.
    pub(super) is_bad: bool,
    /// The value as text.
    pub(super) label: String,
}

/// Both charts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Charts {
    /// Share of failed attempts; a bar without height is a bucket without failures.
    pub(super) failed: Vec<Bar>,
    /// Y coordinate of the threshold.
    pub(super) threshold: u64,
    /// From the median to the 95th percentile of the time from approval to write-back.
    pub(super) elapsed: Vec<Bar>,
    /// The duration at the top of `elapsed`.
    pub(super) longest: Duration,
}

impl Charts {
    pub(super) fn of(finished_jobs: &[FinishedJob], now: Timestamp) -> Self {
        let mut buckets = vec![Bucket::default(); BUCKETS];
        for view in finished_jobs {
            let ago = now.since(view.ended_at).as_secs() / BUCKET.as_secs();
            let index = usize::try_from(ago)
                .ok()
                .and_then(|ago| (BUCKETS - 1).checked_sub(ago));
            let Some(bucket) = index.and_then(|index| buckets.get_mut(index)) else {
                continue;
            };
            match view.outcome {
                JobOutcome::Succeeded => {
                    bucket.elapsed.push(view.ended_at.since(view.requested_at));
                }
                JobOutcome::Failed => bucket.failed += 1,
                JobOutcome::Skipped | JobOutcome::Superseded => {}
            }
        }
        for bucket in &mut buckets {
            bucket.elapsed.sort_unstable();
        }
        let longest = buckets
            .iter()
            .filter_map(|bucket| bucket.percentile(95))
            .max();
        let longest = longest.unwrap_or_default();
        let indexed = || buckets.iter().zip(0..);
        Self {
            failed: indexed()
                .filter_map(|(bucket, n)| bucket.share(n))
                .collect(),
            threshold: HEIGHT - THRESHOLD * HEIGHT / MAX_PERCENT,
            elapsed: indexed()
                .filter_map(|(bucket, n)| bucket.range(n, longest))
                .collect(),
            longest,
        }
    }
}

/// The attempts of one bucket.
#[derive(Clone, Debug, Default)]
struct Bucket {
    failed: u64,
    /// Durations of succeeded attempts, ascending.
    elapsed: Vec<Duration>,
}

impl Bucket {
    fn percentile(&self, share: usize) -> Option<Duration> {
        let last = self.elapsed.len().checked_sub(1)?;
        self.elapsed
            .get((self.elapsed.len() * share / 100).min(last))
            .copied()
    }

    fn share(&self, n: u64) -> Option<Bar> {
        let all = self.failed + self.elapsed.len() as u64;
        let share = (self.failed * 100).checked_div(all)?;
        let height = (share * HEIGHT / MAX_PERCENT).min(HEIGHT);
        Some(Bar {
            x: n * BAR_WIDTH,
            y: HEIGHT - height,
            height,
            is_bad: share > THRESHOLD,
            label: format!("{} of {all} failed, {}", self.failed, ago(n)),
        })
    }

    fn range(&self, n: u64, longest: Duration) -> Option<Bar> {
        let (median, p95) = (self.percentile(50)?, self.percentile(95)?);
        let scaled = |length: Duration| {
            let share = length.as_millis() * u128::from(HEIGHT) / longest.as_millis().max(1);
            u64::try_from(share).map_or(HEIGHT, |share| share.min(HEIGHT))
        };
        Some(Bar {
            x: n * BAR_WIDTH,
            y: HEIGHT - scaled(p95),
            // Visible even where both are equal.
            height: (scaled(p95) - scaled(median)).max(2),
            is_bad: false,
            label: format!(
                "p50 {}, p95 {}, {}",
                time::span(median),
                time::span(p95),
                ago(n)
            ),
        })
    }
}

fn ago(n: u64) -> String {
    match BUCKETS as u64 - 1 - n {
        0 => "in the last half hour".to_owned(),
        buckets => format!(
            "{} ago",
            time::span(BUCKET * u32::try_from(buckets).unwrap_or(0))
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::key::JobId;
    use testkit::order_id;

    const NOW: Timestamp = Timestamp::from_millis(100_000_000);

    fn ended(outcome: JobOutcome, ago: u64, elapsed: u64) -> FinishedJob {
        let ended_at = NOW - Duration::from_secs(ago);
        FinishedJob {
            job: JobId::new("job").unwrap(),
            order: order_id(1),
            outcome,
            code: None,
            requested_at: ended_at - Duration::from_secs(elapsed),
            ended_at,
        }
    }

    #[test]
    fn bucket_is_bad_above_ten_percent_failures() {
        let mut finished_jobs = vec![ended(JobOutcome::Succeeded, 60, 1); 9];
        finished_jobs.push(ended(JobOutcome::Failed, 60, 1));
        let charts = Charts::of(&finished_jobs, NOW);
        assert_eq!(charts.failed.len(), 1);
        let bar = &charts.failed[0];
        assert_eq!((bar.x, bar.y, bar.is_bad), (470, charts.threshold, false));
        finished_jobs.push(ended(JobOutcome::Failed, 60, 1));
        assert!(Charts::of(&finished_jobs, NOW).failed[0].is_bad);
    }

    #[test]
    fn slowest_bucket_reaches_top_of_chart() {
        let finished_jobs = [
            ended(JobOutcome::Succeeded, 60, 2),
            ended(JobOutcome::Succeeded, 4000, 10),
            ended(JobOutcome::Skipped, 60, 999),
        ];
        let charts = Charts::of(&finished_jobs, NOW);
        assert_eq!(charts.longest, Duration::from_secs(10));
        let positions: Vec<_> = charts.elapsed.iter().map(|bar| (bar.x, bar.y)).collect();
        assert_eq!(positions, [(450, 0), (470, 80)]);
    }

    #[test]
    fn attempts_older_than_a_day_are_not_drawn() {
        let old = ended(JobOutcome::Failed, 24 * 3600 + 1, 1);
        assert_eq!(Charts::of(&[old], NOW).failed, []);
    }
}
