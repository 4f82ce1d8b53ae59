//! Heartbeats of this process.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::Clock;
use domain::time::Timestamp;
use error_chain::chain;
use operations::{Condition, ConditionKind, ProcessRegistry, ProcessReport};
use tokio_util::sync::CancellationToken;

/// A condition that this process observes about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedCondition {
    /// Which condition.
    pub kind: ConditionKind,
    /// Details for operators.
    pub detail: String,
    /// When it began, if known; otherwise it begins with the first report.
    pub since: Option<Timestamp>,
}

impl ObservedCondition {
    /// A condition without details.
    #[must_use]
    pub fn bare(kind: ConditionKind) -> Self {
        Self::words(kind, String::new())
    }

    /// A condition with details.
    #[must_use]
    pub fn words(kind: ConditionKind, detail: String) -> Self {
        Self {
            kind,
            detail,
            since: None,
        }
    }
}

/// Writes this process's conditions to the process registry.
pub struct Heartbeat {
    store: Arc<dyn ProcessRegistry>,
    clock: Arc<dyn Clock>,
    report: ProcessReport,
}

impl Heartbeat {
    /// Creates the heartbeat of this process.
    #[must_use]
    pub fn new(
        store: Arc<dyn ProcessRegistry>,
        clock: Arc<dyn Clock>,
        report: ProcessReport,
    ) -> Self {
        Self {
            store,
            clock,
            report,
        }
    }

    /// Reports at this interval until `shutdown`, then leaves the registry. A failed report is
    /// replaced by the next one.
    pub async fn run(
        mut self,
        every: Duration,
        conditions: impl Fn() -> Vec<ObservedCondition> + Send + Sync,
        shutdown: CancellationToken,
    ) {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            self.report(conditions()).await;
        }
        // If this fails, the entry expires by itself.
        let _ = self.store.retire_process(&self.report.id).await;
    }

    /// Reports once.
    pub async fn report(&mut self, observed: Vec<ObservedCondition>) {
        let now = self.clock.now();
        self.report.conditions = since_when(&self.report.conditions, observed, now);
        if let Err(error) = self.store.report_process(&self.report).await {
            tracing::warn!(error = %chain(&error), "heartbeat not stored");
        }
    }
}

/// A condition keeps its start time while it lasts; another panic is a new condition.
fn since_when(
    before: &[Condition],
    observed: Vec<ObservedCondition>,
    now: Timestamp,
) -> Vec<Condition> {
    let conditions = observed.into_iter().map(|observed| {
        let known = before
            .iter()
            .find(|condition| condition.kind == observed.kind)
            .filter(|condition| {
                condition.kind != ConditionKind::Panicked || condition.detail == observed.detail
            });
        Condition {
            kind: observed.kind,
            since: observed
                .since
                .or(known.map(|condition| condition.since))
                .unwrap_or(now),
            detail: observed.detail,
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
