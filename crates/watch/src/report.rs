//! What a process says of itself.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::{Clock, Condition, JobIntake, ProcessReport, ConditionKind};
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
    /// A sign that says it all.
    #[must_use]
    pub fn bare(kind: ConditionKind) -> Self {
        Self::words(sign, String::new())
    }

    /// A sign and what there is to say about it.
    #[must_use]
    pub fn words(kind: ConditionKind, detail: String) -> Self {
        Self {
            sign,
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

/// A sign that stands already has stood since it came up; another panic is news of its own.
fn since_when(before: &[Condition], noticed: Vec<ObservedCondition>, now: Timestamp) -> Vec<Condition> {
    let conditions = noticed.into_iter().map(|noticed| {
        let stood = before
            .iter()
            .find(|condition| condition.kind == noticed.sign)
            .filter(|condition| {
                condition.kind != ConditionKind::Panicked || condition.detail == noticed.detail
            });
        Condition {
            sign: noticed.sign,
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
    fn a_sign_stands_since_it_came_up() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let sign = || vec![ObservedCondition::bare(ConditionKind::Standby)];
        let first = since_when(&[], sign(), at(1));
        let later = since_when(&first, sign(), at(9));
        assert_eq!(later[0].since, at(1));
        let gone = since_when(&later, Vec::new(), at(10));
        let back = since_when(&gone, sign(), at(20));
        assert_eq!(back[0].since, at(20));
    }

    #[test]
    fn a_second_panic_is_news() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let sign = |words: &str| vec![ObservedCondition::words(ConditionKind::Panicked, words.to_owned())];
        let first = since_when(&[], sign("job a"), at(1));
        let later = since_when(&first, sign("job a"), at(9));
        assert_eq!(later[0].since, at(1));
        let second = since_when(&later, sign("job b"), at(20));
        assert_eq!(second[0].since, at(20));
    }
}
