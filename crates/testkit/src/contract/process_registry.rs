//! Process registry and saved alerts.

use std::time::Duration;

use crate::JobQueueExt;
use domain::job::JobOutcome;
use domain::key::{Channel, Owner};
use domain::ports::{Clock, Epoch, Leadership, StoreError};
use operations::{
    Alert, Condition, ConditionKind, JobStore, Notified, PROCESS_REMOVED_AFTER, ProcessReport,
};

use super::{Subject, TTL};
use crate::{new_job, order_id, owner, process_report};

fn watch() -> Channel {
    Channel::new("watch").unwrap()
}

impl<S: JobStore> Subject<'_, S> {
    fn report(&self, id: &str, conditions: Vec<Condition>) -> ProcessReport {
        ProcessReport {
            conditions,
            ..process_report(id, self.clock.now())
        }
    }

    async fn listed_processes(&self) -> Vec<(String, bool)> {
        let views = self.store.processes().await.unwrap();
        let listed = views.into_iter().map(|view| {
            let refused = view.shows(ConditionKind::WhmcsRefuses).is_some();
            (view.report.id.to_string(), refused)
        });
        listed.collect()
    }

    async fn lead_watch(&self, who: &Owner) -> Option<Epoch> {
        match self.store.lead(&watch(), who, TTL).await.unwrap() {
            Leadership::Leader(epoch) => Some(epoch),
            _ => None,
        }
    }

    fn alert(&self, name: &str, notified: Notified) -> Alert {
        Alert {
            name: name.to_owned(),
            severity: "page".to_owned(),
            summary: "Test alert.".to_owned(),
            description: "2 of 12".to_owned(),
            pending_since: Some(self.clock.now()),
            firing_since: Some(self.clock.now()),
            resolved_at: None,
            notified,
        }
    }

    /// The latest report counts. A retired process is removed at once, a silent one after a
    /// while.
    pub async fn process_is_listed_until_its_heartbeat_expires(&self) {
        let refused = Condition {
            kind: ConditionKind::WhmcsRefuses,
            since: self.clock.now(),
            detail: "the credential".to_owned(),
        };
        let first = self.report("a", vec![refused]);
        self.store.report_process(&first).await.unwrap();
        let seen = self.store.processes().await.unwrap();
        assert_eq!(seen[0].report, first);
        self.clock.advance(Duration::from_secs(90));
        let age = self.store.processes().await.unwrap()[0].unseen_for;
        assert!(age >= Duration::from_secs(90), "{age:?}");
        self.store
            .report_process(&self.report("a", Vec::new()))
            .await
            .unwrap();
        let other = self.report("b", Vec::new());
        self.store.report_process(&other).await.unwrap();
        let both = [("a".to_owned(), false), ("b".to_owned(), false)];
        assert_eq!(self.listed_processes().await, both);
        self.store.retire_process(&owner("b")).await.unwrap();
        self.store.retire_process(&owner("b")).await.unwrap();
        assert_eq!(self.listed_processes().await, both[..1]);
        self.clock.advance(PROCESS_REMOVED_AFTER);
        self.store.report_process(&other).await.unwrap();
        assert_eq!(self.listed_processes().await, both[1..]);
    }

    /// A process that lost the watch lease can neither raise nor resolve an alert.
    pub async fn only_watch_leader_saves_alerts(&self) {
        let (a, b) = (owner("a"), owner("b"));
        let watch = watch();
        let old = self.lead_watch(&a).await.unwrap();
        let raised = self.alert("X", Notified::Nothing);
        let alerts = [raised.clone(), self.alert("Y", Notified::Nothing)];
        self.store.save_alerts(&watch, old, &alerts).await.unwrap();
        assert_eq!(self.store.alerts().await.unwrap(), alerts);
        assert_eq!(self.lead_watch(&b).await, None);
        self.clock.advance(TTL * 2);
        let new = self.lead_watch(&b).await.unwrap();
        let firing = self.alert("X", Notified::Firing);
        let late = self
            .store
            .save_alerts(&watch, old, std::slice::from_ref(&firing));
        assert!(matches!(late.await, Err(StoreError::NotLeader)));
        assert_eq!(self.store.alerts().await.unwrap()[0], raised);
        for _ in 0..2 {
            let now = self
                .store
                .save_alerts(&watch, new, std::slice::from_ref(&firing));
            now.await.unwrap();
        }
        assert_eq!(self.store.alerts().await.unwrap()[0], firing);
    }

    /// Successes and failures count while they are in the window; other outcomes never do.
    pub async fn attempt_stats_count_results_in_window(&self) {
        let window = Duration::from_secs(900);
        let none = self.store.attempt_stats(window).await.unwrap();
        assert_eq!((none.finished(), none.p95, none.last_end), (0, None, None));
        let finished_jobs = [
            JobOutcome::Failed,
            JobOutcome::Succeeded,
            JobOutcome::Skipped,
            JobOutcome::Superseded,
            JobOutcome::Succeeded,
        ];
        for (n, outcome) in (1..).zip(finished_jobs) {
            let job = new_job(&format!("e{n}"), order_id(n), None);
            self.enqueue(job).await;
            let lease = self.claim_one().await.lease;
            self.store.finish(&lease, outcome, &[], &[]).await.unwrap();
            if n == 1 {
                self.clock.advance(window / 2);
            }
        }
        let all = self.store.attempt_stats(window).await.unwrap();
        assert_eq!((all.succeeded, all.failed), (2, 1));
        assert!(all.p95.is_some() && all.last_end.is_some());
        self.clock.advance(window * 2 / 3);
        let later = self.store.attempt_stats(window).await.unwrap();
        assert_eq!((later.succeeded, later.failed), (2, 0));
        self.clock.advance(window);
        let much_later = self.store.attempt_stats(window).await.unwrap();
        assert_eq!(much_later.finished(), 0);
        assert_eq!(much_later.last_end, all.last_end);
    }
}
