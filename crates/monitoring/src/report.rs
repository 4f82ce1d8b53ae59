//! What a process says of itself.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::{Clock, Condition, ConditionKind, JobIntake, ProcessReport};
use domain::time::Timestamp;
use tokio_util::sync::CancellationToken;

/// Something that a process notices of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedCondition {
    /// What.
    pub kind: ConditionKind,
    /// In plain words.
    pub detail: String,
    /// Since when, where it is known; otherwise since it was first reported.
    pub since: Option<Timestamp>,
}

impl ObservedCondition {
    /// A kind that says it all.
    #[must_use]
    pub fn bare(kind: ConditionKind) -> Self {
        Self::words(kind, String::new())
    }

    /// A kind and what there is to say about it.
    #[must_use]
    pub fn words(kind: ConditionKind, detail: String) -> Self {
        Self {
            kind,
            detail,
            since: None,
        }
    }
}

/// Tells the store what this process alone knows.
pub struct Reporter {
    store: Arc<dyn JobIntake>,
    clock: Arc<dyn Clock>,
    report: ProcessReport,
}

impl Reporter {
    /// Of this process.
    #[must_use]
    pub fn new(store: Arc<dyn JobIntake>, clock: Arc<dyn Clock>, report: ProcessReport) -> Self {
        Self {
            store,
            clock,
            report,
        }
    }

    /// Reports so often until `shutdown`, then says goodbye. A report that cannot be written
    /// is made up for by the next one.
    pub async fn run(
        mut self,
        every: Duration,
        notice: impl Fn() -> Vec<ObservedCondition> + Send + Sync,
        shutdown: CancellationToken,
    ) {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            self.say(notice()).await;
        }
        // It is forgotten by itself when this fails.
        let _ = self.store.retire_process(&self.report.id).await;
    }

    /// Reports once.
    pub async fn say(&mut self, noticed: Vec<ObservedCondition>) {
        let now = self.clock.now();
        self.report.conditions = since_when(&self.report.conditions, noticed, now);
        if let Err(error) = self.store.report_process(&self.report).await {
            tracing::warn!(%error, "the store did not take this process's report");
        }
    }
}

/// A kind that stands already has stood since it came up; another panic is news of its own.
fn since_when(
    before: &[Condition],
    noticed: Vec<ObservedCondition>,
    now: Timestamp,
) -> Vec<Condition> {
    let conditions = noticed.into_iter().map(|noticed| {
        let stood = before
            .iter()
            .find(|condition| condition.kind == noticed.kind)
            .filter(|condition| {
                condition.kind != ConditionKind::Panicked || condition.detail == noticed.detail
            });
        Condition {
            kind: noticed.kind,
            since: noticed
                .since
                .or(stood.map(|condition| condition.since))
                .unwrap_or(now),
            detail: noticed.detail,
        }
    });
    conditions.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn condition_keeps_its_start_time() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let kind = || vec![ObservedCondition::bare(ConditionKind::Standby)];
        let first = since_when(&[], kind(), at(1));
        let later = since_when(&first, kind(), at(9));
        assert_eq!(later[0].since, at(1));
        let gone = since_when(&later, Vec::new(), at(10));
        let back = since_when(&gone, kind(), at(20));
        assert_eq!(back[0].since, at(20));
    }

    #[test]
    fn second_panic_is_new_condition() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let kind = |words: &str| {
            vec![ObservedCondition::words(
                ConditionKind::Panicked,
                words.to_owned(),
            )]
        };
        let first = since_when(&[], kind("job a"), at(1));
        let later = since_when(&first, kind("job a"), at(9));
        assert_eq!(later[0].since, at(1));
        let second = since_when(&later, kind("job b"), at(20));
        assert_eq!(second[0].since, at(20));
    }
}
