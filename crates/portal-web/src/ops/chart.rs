//! The overview's charts, as places on a canvas: how the attempts of a day ended, half hour
//! by half hour.

use std::time::Duration;

use domain::job::JobOutcome;
use domain::ports::FinishedJob;
use domain::time::Timestamp;

use crate::time;

/// Columns of a day.
const COLUMNS: usize = 48;
/// What one column stands for.
const COLUMN: Duration = Duration::from_secs(30 * 60);
/// Width of a column on the canvas.
const WIDE: u64 = 10;
/// Height of the canvas.
const HIGH: u64 = 100;
/// Shares above this are drawn as this: what matters is on which side of the line they are.
const FULL_SHARE: u64 = 50;
/// The share of failures that is too much, in per cent.
const LINE: u64 = 10;

/// A column of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) x: u64,
    pub(crate) y: u64,
    pub(crate) height: u64,
    /// Whether it is on the wrong side of the line.
    pub(crate) is_bad: bool,
    /// What it says in words.
    pub(crate) words: String,
}

/// Both charts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charts {
    /// The share of attempts that failed; a column without height is one without failures.
    pub(crate) failed: Vec<Column>,
    /// Where the line is.
    pub(crate) line: u64,
    /// From the median to the 95th percentile of the time from approval to write-back.
    pub(crate) took: Vec<Column>,
    /// What the upper edge of `took` stands for.
    pub(crate) longest: Duration,
}

impl Charts {
    pub(crate) fn of(finished_jobs: &[FinishedJob], now: Timestamp) -> Self {
        let mut columns = vec![Half::default(); COLUMNS];
        for view in finished_jobs {
            let ago = now.since(view.ended_at).as_secs() / COLUMN.as_secs();
            let place = usize::try_from(ago)
                .ok()
                .and_then(|ago| (COLUMNS - 1).checked_sub(ago));
            let Some(half) = place.and_then(|place| columns.get_mut(place)) else {
                continue;
            };
            match view.outcome {
                JobOutcome::Succeeded => half.took.push(view.ended_at.since(view.requested_at)),
                JobOutcome::Failed => half.failed += 1,
                JobOutcome::Skipped | JobOutcome::Superseded => {}
            }
        }
        for half in &mut columns {
            half.took.sort_unstable();
        }
        let longest = columns.iter().filter_map(|half| half.at(95)).max();
        let longest = longest.unwrap_or_default();
        let placed = || columns.iter().zip(0..);
        Self {
            failed: placed().filter_map(|(half, n)| half.share(n)).collect(),
            line: HIGH - LINE * HIGH / FULL_SHARE,
            took: placed()
                .filter_map(|(half, n)| half.range(n, longest))
                .collect(),
            longest,
        }
    }
}

/// How the attempts of half an hour ended.
#[derive(Clone, Debug, Default)]
struct Half {
    failed: u64,
    /// How long the successes took, the shortest first.
    took: Vec<Duration>,
}

impl Half {
    fn at(&self, share: usize) -> Option<Duration> {
        let last = self.took.len().checked_sub(1)?;
        self.took
            .get((self.took.len() * share / 100).min(last))
            .copied()
    }

    fn share(&self, n: u64) -> Option<Column> {
        let all = self.failed + self.took.len() as u64;
        let share = (self.failed * 100).checked_div(all)?;
        let height = (share * HIGH / FULL_SHARE).min(HIGH);
        Some(Column {
            x: n * WIDE,
            y: HIGH - height,
            height,
            is_bad: share > LINE,
            words: format!("{} of {all} failed, {}", self.failed, ago(n)),
        })
    }

    fn range(&self, n: u64, longest: Duration) -> Option<Column> {
        let (median, most) = (self.at(50)?, self.at(95)?);
        let up = |length: Duration| {
            let share = length.as_millis() * u128::from(HIGH) / longest.as_millis().max(1);
            u64::try_from(share).map_or(HIGH, |share| share.min(HIGH))
        };
        Some(Column {
            x: n * WIDE,
            y: HIGH - up(most),
            // A thin mark where both are the same.
            height: (up(most) - up(median)).max(2),
            is_bad: false,
            words: format!(
                "half within {}, 95 of 100 within {}, {}",
                time::span(median),
                time::span(most),
                ago(n)
            ),
        })
    }
}

fn ago(n: u64) -> String {
    match COLUMNS as u64 - 1 - n {
        0 => "in the last half hour".to_owned(),
        halves => format!(
            "{} ago",
            time::span(COLUMN * u32::try_from(halves).unwrap_or(0))
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::key::JobId;
    use testkit::order_id;

    const NOW: Timestamp = Timestamp::from_millis(100_000_000);

    fn ended(outcome: JobOutcome, ago: u64, took: u64) -> FinishedJob {
        let ended_at = NOW - Duration::from_secs(ago);
        FinishedJob {
            job: JobId::new("job").unwrap(),
            order: order_id(1),
            outcome,
            code: None,
            requested_at: ended_at - Duration::from_secs(took),
            ended_at,
        }
    }

    #[test]
    fn a_half_hour_is_bad_when_more_than_a_tenth_of_its_attempts_failed() {
        let mut finished_jobs = vec![ended(JobOutcome::Succeeded, 60, 1); 9];
        finished_jobs.push(ended(JobOutcome::Failed, 60, 1));
        let charts = Charts::of(&finished_jobs, NOW);
        assert_eq!(charts.failed.len(), 1);
        let column = &charts.failed[0];
        assert_eq!(
            (column.x, column.y, column.is_bad),
            (470, charts.line, false)
        );
        finished_jobs.push(ended(JobOutcome::Failed, 60, 1));
        assert!(Charts::of(&finished_jobs, NOW).failed[0].is_bad);
    }

    #[test]
    fn the_slowest_half_hour_reaches_the_upper_edge() {
        let finished_jobs = [
            ended(JobOutcome::Succeeded, 60, 2),
            ended(JobOutcome::Succeeded, 4000, 10),
            ended(JobOutcome::Skipped, 60, 999),
        ];
        let charts = Charts::of(&finished_jobs, NOW);
        assert_eq!(charts.longest, Duration::from_secs(10));
        let places: Vec<_> = charts
            .took
            .iter()
            .map(|column| (column.x, column.y))
            .collect();
        assert_eq!(places, [(450, 0), (470, 80)]);
    }

    #[test]
    fn what_is_older_than_a_day_is_not_drawn() {
        let old = ended(JobOutcome::Failed, 24 * 3600 + 1, 1);
        assert_eq!(Charts::of(&[old], NOW).failed, []);
    }
}
