//! Views of the in-memory store.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use domain::id::OrderId;
use domain::job::{JobOutcome, JobState};
use domain::key::{Channel, DeadLetterId, JobId};
use domain::order::MarkerProof;
use domain::order::{Fact, MarkerCheck};
use domain::ports::{CallOutcome, DeadLetterView, System};
use domain::time::Timestamp;
use operations::{
    AttemptStats, CallStats, CursorHistoryEntry, EventViews, FinishedJob, GapView, JobStage,
    JobView, OrderQuery, OrderRow, OrderViews, QueueStats, RecordedCall, RecordedFact, Statistics,
    StoreHealth, StreamView, StuckOrders, UnreadableJobs,
};

use crate::MemoryStore;
use crate::StoreResult;
use crate::store_state::{Row, StoreState};

fn stage(row: &Row) -> JobStage {
    match row.state {
        JobState::Queued => JobStage::Queued,
        JobState::Leased(_) => JobStage::Leased,
        JobState::Ended(outcome) => JobStage::Ended(outcome),
    }
}

fn view(row: &Row) -> JobView {
    JobView {
        job: row.job.clone(),
        stage: stage(row),
        enqueued_at: row.enqueued_at,
        due_at: matches!(row.state, JobState::Queued).then_some(row.due),
        started_at: row.started_at,
        ended_at: row.ended_at,
    }
}

fn matches(query: &OrderQuery, row: &OrderRow) -> bool {
    let named = query.names().is_none_or(|names| {
        names.order == Some(row.order)
            || (names.account.is_some() && names.account == row.account)
            || (names.whmcs_order.is_some() && names.whmcs_order == row.whmcs_order)
            || row.number.as_ref() == Some(&names.number)
    });
    let behind = query
        .after
        .is_none_or(|after| (row.updated_at, row.order) < after);
    let refused = query.code.is_none_or(|code| row.code == Some(code));
    named && behind && refused && query.stage.is_none_or(|stage| row.stage == stage)
}

fn outcome(state: &StoreState, row: &Row) -> Option<FinishedJob> {
    let (JobState::Ended(outcome), Some(ended_at)) = (&row.state, row.ended_at) else {
        return None;
    };
    let mut facts = state.facts.iter().rev();
    let code = facts.find_map(|(_, recorded)| match &recorded.fact {
        Fact::Refused(refusal) if recorded.job == row.job.id => Some(refusal.code),
        _ => None,
    });
    Some(FinishedJob {
        job: row.job.id.clone(),
        order: row.job.order,
        outcome: *outcome,
        code,
        requested_at: row.job.requested_at,
        ended_at,
    })
}

#[async_trait]
impl OrderViews for MemoryStore {
    async fn jobs_of(&self, order: OrderId) -> StoreResult<Vec<JobView>> {
        let state = self.state();
        let of_order = state.jobs.iter().filter(|row| row.job.order == order);
        Ok(of_order.map(view).collect())
    }

    async fn facts_of(&self, order: OrderId) -> StoreResult<Vec<RecordedFact>> {
        let state = self.state();
        let of_order = state.facts.iter().filter(|(id, _)| *id == order);
        Ok(of_order.map(|(_, recorded)| recorded.clone()).collect())
    }

    async fn calls_of(&self, order: OrderId) -> StoreResult<Vec<RecordedCall>> {
        let state = self.state();
        let of_order = state.calls.iter().filter(|(id, _)| *id == order);
        let mut calls: Vec<_> = of_order.map(|(_, call)| call.clone()).collect();
        calls.sort_by(|a, b| (&a.job, a.number).cmp(&(&b.job, b.number)));
        Ok(calls)
    }

    async fn marker_proof(&self) -> StoreResult<Option<MarkerProof>> {
        Ok(self.state().marker_proof())
    }

    async fn job(&self, job: &JobId) -> StoreResult<Option<JobView>> {
        let state = self.state();
        Ok(state.jobs.iter().find(|row| row.job.id == *job).map(view))
    }

    async fn jobs(
        &self,
        stage: Option<JobStage>,
        after: Option<&JobId>,
        limit: usize,
    ) -> StoreResult<Vec<JobView>> {
        let state = self.state();
        let end = match after {
            Some(id) => state.jobs.iter().position(|row| row.job.id == *id),
            None => Some(state.jobs.len()),
        };
        let before = state.jobs[..end.unwrap_or(0)].iter().rev();
        let matches = |row: &&Row| stage.is_none_or(|stage| row.state.name() == stage.name());
        Ok(before.filter(matches).take(limit).map(view).collect())
    }

    async fn orders(&self, query: &OrderQuery) -> StoreResult<Vec<OrderRow>> {
        let state = self.state();
        let rows = state.orders.values().map(|row| OrderRow {
            stage: state.stage(row),
            ..row.clone()
        });
        let mut rows: Vec<_> = rows.filter(|row| matches(query, row)).collect();
        rows.sort_by_key(|row| Reverse((row.updated_at, row.order)));
        rows.truncate(query.limit);
        Ok(rows)
    }
}

#[async_trait]
impl EventViews for MemoryStore {
    async fn open_dead_letters(&self) -> StoreResult<u64> {
        Ok(self.queue_stats().await?.open_dead_letters)
    }

    async fn stream(&self, channel: &Channel) -> StoreResult<StreamView> {
        let state = self.state();
        Ok(state.streams.get(channel).cloned().unwrap_or_default())
    }

    async fn cursor_history(
        &self,
        channel: &Channel,
        limit: usize,
    ) -> StoreResult<Vec<CursorHistoryEntry>> {
        let state = self.state();
        let marks = state.marks.iter().rev().filter(|(of, _)| of == channel);
        Ok(marks.take(limit).map(|(_, mark)| mark.clone()).collect())
    }

    async fn dead_letters(
        &self,
        open_only: bool,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> StoreResult<Vec<DeadLetterView>> {
        let state = self.state();
        let dead_letters = state.dead_letters.iter().rev().filter(|view| {
            after.is_none_or(|after| view.number < after)
                && !(open_only && view.closed_at.is_some())
        });
        Ok(dead_letters.take(limit).cloned().collect())
    }

    async fn gaps(&self, limit: usize) -> StoreResult<Vec<GapView>> {
        let state = self.state();
        Ok(state.gaps.iter().rev().take(limit).cloned().collect())
    }
}

#[async_trait]
impl Statistics for MemoryStore {
    async fn unreadable_jobs(&self, window: Duration) -> StoreResult<UnreadableJobs> {
        let now = self.clock.now();
        let state = self.state();
        // Everything in memory is readable; its worker may set a job aside.
        let found = state.jobs.iter().filter_map(|row| {
            let recent = row.ended_at.is_some_and(|at| now.since(at) < window);
            Some((row, row.set_aside.clone()?)).filter(|_| recent)
        });
        let found: Vec<_> = found.collect();
        Ok(found
            .last()
            .map_or_else(UnreadableJobs::default, |(row, cause)| UnreadableJobs {
                jobs: found.len() as u64,
                order: row.job.order.to_string(),
                cause: cause.clone(),
            }))
    }

    async fn stuck_orders(
        &self,
        live_for: Duration,
        idle_for: Duration,
    ) -> StoreResult<StuckOrders> {
        let now = self.clock.now();
        let state = self.state();
        let mut live: BTreeMap<OrderId, Timestamp> = BTreeMap::new();
        for row in state.jobs.iter().filter(|row| row.is_live()) {
            live.entry(row.job.order).or_insert(row.enqueued_at);
        }
        live.retain(|order, since| {
            let mut facts = state.facts.iter().rev();
            let newest = facts.find(|(of, _)| of == order);
            let progress = newest.map_or(*since, |(_, recorded)| recorded.at);
            *since <= now - live_for && progress <= now - idle_for
        });
        Ok(StuckOrders {
            orders: live.len() as u64,
            oldest: live
                .into_iter()
                .min_by_key(|(order, since)| (*since, *order)),
        })
    }

    async fn marker_lost(&self) -> StoreResult<Option<Timestamp>> {
        let state = self.state();
        let evidence = state.facts.iter().rev().filter_map(|(_, recorded)| {
            let Fact::Verified { marker, .. } = recorded.fact else {
                return None;
            };
            (marker != MarkerCheck::Unchecked).then_some((marker, recorded.at))
        });
        let evidence: Vec<_> = evidence.collect();
        let was_kept = evidence
            .iter()
            .any(|(marker, _)| *marker == MarkerCheck::Kept);
        Ok(match evidence.first() {
            Some((MarkerCheck::Dropped, at)) if was_kept => Some(*at),
            _ => None,
        })
    }

    async fn queue_stats(&self) -> StoreResult<QueueStats> {
        let state = self.state();
        let dead_letters = state.dead_letters.iter();
        let mut queue_stats = QueueStats {
            open_dead_letters: dead_letters.filter(|view| view.closed_at.is_none()).count() as u64,
            oldest_due: state.oldest_due(self.clock.now()),
            ..QueueStats::default()
        };
        for row in &state.jobs {
            let stage = stage(row);
            match queue_stats.jobs.iter_mut().find(|(of, _)| *of == stage) {
                Some((_, count)) => *count += 1,
                None => queue_stats.jobs.push((stage, 1)),
            }
        }
        Ok(queue_stats)
    }

    async fn finished_jobs(&self, since: Timestamp, limit: usize) -> StoreResult<Vec<FinishedJob>> {
        let state = self.state();
        let finished_jobs = state.jobs.iter().filter_map(|row| outcome(&state, row));
        let mut finished_jobs: Vec<_> = finished_jobs
            .filter(|view| view.ended_at >= since)
            .collect();
        finished_jobs.sort_by_key(|view| Reverse(view.ended_at));
        finished_jobs.truncate(limit);
        Ok(finished_jobs)
    }

    async fn attempt_stats(&self, window: Duration) -> StoreResult<AttemptStats> {
        let now = self.clock.now();
        let state = self.state();
        let ended = |wanted: JobOutcome| {
            let rows = state.jobs.iter().filter(move |row| {
                row.state == JobState::Ended(wanted)
                    && row.ended_at.is_some_and(|at| at > now - window)
            });
            rows.collect::<Vec<_>>()
        };
        let successes = ended(JobOutcome::Succeeded);
        let took = |row: &&Row| Some(row.ended_at?.since(row.job.requested_at));
        let mut took: Vec<_> = successes.iter().filter_map(took).collect();
        took.sort_unstable();
        Ok(AttemptStats {
            now,
            succeeded: successes.len() as u64,
            failed: ended(JobOutcome::Failed).len() as u64,
            p95: took.get(took.len() * 95 / 100).copied(),
            last_end: state.jobs.iter().filter_map(|row| row.ended_at).max(),
        })
    }

    async fn call_stats(&self, window: Duration) -> StoreResult<CallStats> {
        let since = self.clock.now() - window;
        let state = self.state();
        let calls = state.calls.iter().map(|(_, recorded)| recorded.call);
        let lately = calls
            .filter(|call| call.at > since && call.action.system() == System::Whmcs)
            .map(|call| u64::from(call.outcome != CallOutcome::Ok));
        let lately: Vec<_> = lately.collect();
        Ok(CallStats {
            calls: lately.len() as u64,
            errors: lately.iter().sum(),
        })
    }
}

#[async_trait]
impl StoreHealth for MemoryStore {
    async fn ping(&self) -> StoreResult<()> {
        Ok(())
    }
}
