//! The timeline of one order: its jobs, facts and calls in order of time, with the waits
//! between them.

use std::time::Duration;

use domain::job::JobOutcome;
use domain::order::Fact;
use domain::time::Timestamp;
use operations::{JobView, RecordedCall, RecordedFact};

use super::calls::call_entries;
use super::entry::{Entry, Rank};
use crate::time;

/// Shorter waits are not shown.
const MIN_GAP: Duration = Duration::from_secs(1);

/// An order's total time, and the share of calls to other systems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) whole: Duration,
    pub(crate) calls: usize,
    pub(crate) in_calls: Duration,
}

impl Total {
    pub(crate) fn of(entries: &[Entry]) -> Self {
        let calls = || entries.iter().filter_map(|entry| entry.call);
        let start = entries.first().map(|entry| entry.at);
        let end = entries.iter().map(Entry::end).max();
        Self {
            whole: start
                .zip(end)
                .map_or(Duration::ZERO, |(from, to)| to.since(from)),
            calls: calls().count(),
            in_calls: calls().map(|call| call.elapsed).sum(),
        }
    }

    pub(crate) fn summary(self) -> String {
        let calls = match self.calls {
            0 => return format!("{} in total.", time::span(self.whole)),
            1 => "one call".to_owned(),
            many => format!("{many} calls"),
        };
        format!(
            "{} in total, {} of it in {calls} to Salesforce and WHMCS.",
            time::span(self.whole),
            time::span(self.in_calls)
        )
    }
}

/// The entries in order of time.
pub(crate) fn timeline(
    jobs: &[JobView],
    facts: &[RecordedFact],
    calls: &[RecordedCall],
) -> Vec<Entry> {
    let mut entries = call_entries(facts, calls);
    let mut add = |at, rank, waited_for, source, text: String, tone| {
        entries.push(Entry {
            at,
            gap: None,
            waited_for,
            call: None,
            source,
            text,
            tone,
            rank,
        });
    };
    for view in jobs {
        let job = &view.job;
        let by = job.requested_by.as_deref().unwrap_or("the Flow");
        add(
            job.requested_at,
            Rank::Start,
            "",
            "Salesforce",
            format!("Requested by {by} (correlation id {})", job.correlation),
            "plain",
        );
        add(
            view.enqueued_at,
            Rank::Start,
            "Salesforce's event",
            "store",
            format!("Received and queued, from the {}", job.source.name()),
            "plain",
        );
        if let Some(at) = view.started_at {
            add(
                at,
                Rank::Start,
                "a worker",
                "worker",
                "Claimed by a worker".to_owned(),
                "plain",
            );
        }
        if let (Some(at), Some(outcome)) = (view.ended_at, view.stage.outcome()) {
            let (text, tone) = match outcome {
                JobOutcome::Succeeded => ("Attempt ended: provisioned", "good"),
                JobOutcome::Failed => ("Attempt ended: failed", "bad"),
                JobOutcome::Skipped => ("Attempt ended: nothing to do", "plain"),
                JobOutcome::Superseded => ("Attempt ended: superseded by a later request", "plain"),
            };
            add(at, Rank::End, "", "worker", text.to_owned(), tone);
        }
    }
    for recorded in facts {
        let (source, text, tone) = describe(&recorded.fact);
        let rank = match recorded.fact {
            Fact::CreatingClient { .. }
            | Fact::Placing { .. }
            | Fact::Accepting { .. }
            | Fact::Creating { .. } => Rank::Intent,
            _ => Rank::Fact,
        };
        add(recorded.at, rank, "", source, text, tone);
    }
    // Stable: equal entries stay in recorded order.
    entries.sort_by_key(|entry| (entry.at, entry.rank));
    let mut previous_end: Option<Timestamp> = None;
    for entry in &mut entries {
        let gap = previous_end.map(|end| entry.at.since(end));
        entry.gap = gap.filter(|gap| *gap >= MIN_GAP);
        previous_end = previous_end.max(Some(entry.end()));
    }
    entries
}

/// Source, text and CSS class of a fact.
fn describe(fact: &Fact) -> (&'static str, String, &'static str) {
    let whmcs = |text: &str, tone| ("WHMCS", text.to_owned(), tone);
    match fact {
        Fact::Checked { .. } => (
            "Salesforce",
            "Order read: it is Activating".to_owned(),
            "plain",
        ),
        Fact::CreatingClient { .. } => whmcs("About to create a client", "plain"),
        Fact::ClientNotCreated => whmcs("The client was not created", "warn"),
        Fact::ClientUnknown { .. } => whmcs(
            "No response: outcome of creating the client unknown",
            "warn",
        ),
        Fact::Client { client } => ("WHMCS", format!("Client {client} found and open"), "plain"),
        Fact::Placing { watermark, .. } => (
            "WHMCS",
            format!("About to call AddOrder (newest order: {watermark})"),
            "plain",
        ),
        Fact::NotPlaced => whmcs("AddOrder had no effect", "warn"),
        Fact::PlaceUnknown { .. } => whmcs("No response to AddOrder: outcome unknown", "warn"),
        Fact::SearchedEmpty { .. } => whmcs("Searched: no order with our marker", "warn"),
        Fact::Placed { order } => ("WHMCS", format!("Order {order} exists"), "good"),
        Fact::Verified { lines, .. } => (
            "WHMCS",
            format!("Read back: {} services as ordered", lines.len()),
            "good",
        ),
        Fact::Accepting { .. } => whmcs("About to call AcceptOrder", "plain"),
        Fact::NotAccepted => whmcs("AcceptOrder had no effect", "warn"),
        Fact::AcceptAnswered => whmcs("AcceptOrder succeeded", "good"),
        Fact::AcceptFailed { text } => ("WHMCS", format!("AcceptOrder failed: {text}"), "bad"),
        Fact::AcceptUnknown { .. } => whmcs("No response to AcceptOrder: outcome unknown", "warn"),
        Fact::Creating { service, .. } => (
            "WHMCS",
            format!("About to call ModuleCreate for service {service}"),
            "plain",
        ),
        Fact::NotCreated => whmcs("ModuleCreate had no effect", "warn"),
        Fact::Created { service } => ("WHMCS", format!("Service {service} created"), "good"),
        Fact::CreateFailed { service, text } => (
            "WHMCS",
            format!("Service {service} not created: {text}"),
            "bad",
        ),
        Fact::CreateUnknown { .. } => whmcs("No response to ModuleCreate: outcome unknown", "warn"),
        Fact::Accepted => whmcs("All services are active", "good"),
        Fact::Held { .. } => whmcs("Waiting: WHMCS refuses access", "warn"),
        Fact::Refused(refusal) => (
            "worker",
            format!(
                "{} ({}): {}",
                refusal.code.entry().title,
                refusal.code,
                refusal.detail
            ),
            "bad",
        ),
        Fact::ItemsReported => (
            "Salesforce",
            "Service ids written to the order's lines".to_owned(),
            "plain",
        ),
        Fact::Reported => (
            "Salesforce",
            "Outcome written to the order".to_owned(),
            "good",
        ),
        Fact::Forgotten { order } => (
            "operator",
            format!("WHMCS order {order} was forgotten"),
            "plain",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::job::Source;
    use domain::key::WhmcsOrderId;
    use domain::ports::{CallAction, CallOutcome, CallRecord};
    use operations::JobStage;
    use testkit::{new_job, order_id};

    #[test]
    fn timeline_is_ordered_and_shows_waits() {
        let at = |seconds: i64| Timestamp::from_millis(1_767_225_600_000 + seconds * 1000);
        let job = new_job("e1", order_id(1), None);
        assert_eq!(job.source, Source::Event);
        let fact = |seconds, fact| RecordedFact {
            at: at(seconds),
            job: job.id.clone(),
            fact,
        };
        let order = WhmcsOrderId(7);
        let facts = [
            fact(
                3,
                Fact::Placing {
                    at: at(3),
                    watermark: WhmcsOrderId(6),
                },
            ),
            fact(93, Fact::PlaceUnknown { at: at(93) }),
            fact(183, Fact::Placed { order }),
            fact(184, Fact::Reported),
        ];
        let jobs = [JobView {
            job: job.clone(),
            stage: JobStage::Ended(JobOutcome::Succeeded),
            enqueued_at: at(0),
            due_at: None,
            started_at: Some(at(2)),
            ended_at: Some(at(184)),
        }];
        let call = |number, millis, took, action, outcome| RecordedCall {
            job: job.id.clone(),
            number,
            call: CallRecord {
                at: at(0) + Duration::from_millis(millis),
                took: Duration::from_millis(took),
                action,
                outcome,
            },
        };
        // By the recorded times AddOrder started before its intent was committed.
        let calls = [
            call(5, 2_000, 40, CallAction::Details, CallOutcome::Ok),
            call(6, 2_990, 90_000, CallAction::AddOrder, CallOutcome::Unknown),
        ];
        let entries = timeline(&jobs, &facts, &calls);
        let sources: Vec<_> = entries.iter().map(|entry| entry.source).collect();
        assert_eq!(
            sources,
            [
                "Salesforce",
                "store",
                "worker",
                "worker",
                "Salesforce",
                "WHMCS",
                "WHMCS",
                "WHMCS",
                "WHMCS",
                "Salesforce",
                "worker"
            ]
        );
        assert_eq!(entries[2].gap_label(), "waited 2.0 s for a worker");
        assert_eq!(
            entries[3].text,
            "4 earlier calls of this attempt are not recorded"
        );
        assert_eq!(entries[4].text, "read the order: answered in 40 ms");
        assert!(entries[5].text.contains("About to call"));
        assert_eq!(
            entries[6].text,
            "AddOrder – place the order: no answer, outcome unknown after 1 min"
        );
        assert_eq!(
            entries[8].gap_label(),
            "1 min later",
            "the call itself is not a wait"
        );
        assert_eq!(entries.last().map(|last| last.tone), Some("good"));
        assert_eq!(
            Total::of(&entries).summary(),
            "3 min in total, 1 min of it in 2 calls to Salesforce and WHMCS."
        );
    }
}
