//! One order's story: everything that is recorded of it in one line of time, with the waits
//! between.

use std::time::Duration;

use domain::job::JobOutcome;
use domain::order::Fact;
use domain::ports::{CallAction, CallOutcome, JobView, RecordedCall, RecordedFact};
use domain::time::Timestamp;

use super::calls::calls_made;
use crate::time;

/// A shorter wait needs no label.
const WORTH_A_LABEL: Duration = Duration::from_secs(1);

/// A line of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    /// The wait before it, where it is worth a label.
    pub(crate) gap: Option<Duration>,
    /// What was waited for.
    pub(crate) waited_for: &'static str,
    /// The call that it is.
    pub(crate) call: Option<Call>,
    /// Where it happened.
    pub(crate) place: &'static str,
    pub(crate) text: String,
    /// `good`, `bad`, `doubt` or `plain`.
    pub(crate) tone: &'static str,
    /// Its place among what happened in the same moment.
    pub(super) rank: Rank,
}

/// What comes first of one moment: an attempt begins, reads, announces what it is about to do,
/// does it, learns from it, and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Begins,
    Reads,
    Intends,
    Acts,
    Learns,
    Ends,
}

/// How a call came out, and how long that took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) action: CallAction,
    pub(crate) outcome: CallOutcome,
    pub(crate) took: Duration,
}

/// An order's whole time, and how much of it was spent in calls to the outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) whole: Duration,
    pub(crate) calls: usize,
    pub(crate) in_calls: Duration,
}

impl Total {
    pub(crate) fn of(moments: &[Moment]) -> Self {
        let calls = || moments.iter().filter_map(|moment| moment.call);
        let begun = moments.first().map(|moment| moment.at);
        let over = moments.iter().map(Moment::end).max();
        Self {
            whole: begun
                .zip(over)
                .map_or(Duration::ZERO, |(from, to)| to.since(from)),
            calls: calls().count(),
            in_calls: calls().map(|call| call.took).sum(),
        }
    }

    pub(crate) fn words(self) -> String {
        let calls = match self.calls {
            0 => return format!("{} from first to last.", time::span(self.whole)),
            1 => "one call".to_owned(),
            many => format!("{many} calls"),
        };
        format!(
            "{} from first to last; {calls} to Salesforce and WHMCS took {} of it.",
            time::span(self.whole),
            time::span(self.in_calls)
        )
    }
}

impl Moment {
    fn end(&self) -> Timestamp {
        self.at + self.call.map_or(Duration::ZERO, |call| call.took)
    }

    pub(crate) fn time(&self) -> String {
        time::exact(self.at)
    }

    pub(crate) fn gap_words(&self) -> String {
        let gap = self.gap.map(time::span).unwrap_or_default();
        match self.waited_for {
            "" => format!("{gap} later"),
            what => format!("waited {gap} for {what}"),
        }
    }
}

/// The story in its sequence.
pub(crate) fn timeline(
    jobs: &[JobView],
    facts: &[RecordedFact],
    calls: &[RecordedCall],
) -> Vec<Moment> {
    let mut moments = calls_made(facts, calls);
    let mut add = |at, rank, waited_for, place, text: String, tone| {
        moments.push(Moment {
            at,
            gap: None,
            waited_for,
            call: None,
            place,
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
            Rank::Begins,
            "",
            "Salesforce",
            format!("Asked for by {by} (correlation id {})", job.correlation),
            "plain",
        );
        add(
            view.enqueued_at,
            Rank::Begins,
            "Salesforce's event",
            "store",
            format!("Received and queued, from the {}", job.source.name()),
            "plain",
        );
        if let Some(at) = view.started_at {
            add(
                at,
                Rank::Begins,
                "a worker",
                "worker",
                "Claimed by a worker".to_owned(),
                "plain",
            );
        }
        if let (Some(at), Some(outcome)) = (view.ended_at, view.outcome) {
            let (text, tone) = match outcome {
                JobOutcome::Succeeded => ("Attempt ended: provisioned", "good"),
                JobOutcome::Failed => ("Attempt ended: failed", "bad"),
                JobOutcome::Skipped => ("Attempt ended: there was nothing to do", "plain"),
                JobOutcome::Superseded => ("Attempt ended: the order went on without it", "plain"),
            };
            add(at, Rank::Ends, "", "worker", text.to_owned(), tone);
        }
    }
    for recorded in facts {
        let (place, text, tone) = words(&recorded.fact);
        let rank = match recorded.fact {
            Fact::CreatingClient { .. }
            | Fact::Placing { .. }
            | Fact::Accepting { .. }
            | Fact::Creating { .. } => Rank::Intends,
            _ => Rank::Learns,
        };
        add(recorded.at, rank, "", place, text, tone);
    }
    // Stable: what happened in one moment stays as it was recorded.
    moments.sort_by_key(|moment| (moment.at, moment.rank));
    let mut before: Option<Timestamp> = None;
    for moment in &mut moments {
        let gap = before.map(|before| moment.at.since(before));
        moment.gap = gap.filter(|gap| *gap >= WORTH_A_LABEL);
        before = before.max(Some(moment.end()));
    }
    moments
}

/// What a fact means, for somebody who does not know the bridge.
fn words(fact: &Fact) -> (&'static str, String, &'static str) {
    let whmcs = |text: &str, tone| ("WHMCS", text.to_owned(), tone);
    match fact {
        Fact::Checked { .. } => (
            "Salesforce",
            "Order read: it is Activating".to_owned(),
            "plain",
        ),
        Fact::CreatingClient { .. } => whmcs("About to create a client", "plain"),
        Fact::ClientNotCreated => whmcs("The client was not created", "doubt"),
        Fact::ClientUnknown { .. } => whmcs("No answer: was the client created?", "doubt"),
        Fact::Client { client } => (
            "WHMCS",
            format!("Client {client} is known and open"),
            "plain",
        ),
        Fact::Placing { watermark, .. } => (
            "WHMCS",
            format!("AddOrder is about to be called (last order before: {watermark})"),
            "plain",
        ),
        Fact::NotPlaced => whmcs("AddOrder had no effect", "doubt"),
        Fact::PlaceUnknown { .. } => whmcs("No answer to AddOrder: was it placed?", "doubt"),
        Fact::SearchedEmpty { .. } => whmcs("Searched: no order with our mark", "doubt"),
        Fact::Placed { order } => ("WHMCS", format!("Order {order} exists"), "good"),
        Fact::Verified { lines, .. } => (
            "WHMCS",
            format!("Read back: {} services as ordered", lines.len()),
            "good",
        ),
        Fact::Accepting { .. } => whmcs("AcceptOrder is about to be called", "plain"),
        Fact::NotAccepted => whmcs("AcceptOrder had no effect", "doubt"),
        Fact::AcceptAnswered => whmcs("AcceptOrder answered success", "good"),
        Fact::AcceptFailed { text } => ("WHMCS", format!("AcceptOrder failed: {text}"), "bad"),
        Fact::AcceptUnknown { .. } => whmcs("No answer to AcceptOrder", "doubt"),
        Fact::Creating { service, .. } => (
            "WHMCS",
            format!("ModuleCreate is about to be called for service {service}"),
            "plain",
        ),
        Fact::NotCreated => whmcs("ModuleCreate had no effect", "doubt"),
        Fact::Created { service } => ("WHMCS", format!("Service {service} was set up"), "good"),
        Fact::CreateFailed { service, text } => (
            "WHMCS",
            format!("Service {service} was not set up: {text}"),
            "bad",
        ),
        Fact::CreateUnknown { .. } => whmcs("No answer to ModuleCreate", "doubt"),
        Fact::Accepted => whmcs("Everything ordered is active", "good"),
        Fact::Held { .. } => whmcs("Waiting: WHMCS refuses the bridge as such", "doubt"),
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
    use testkit::{new_job, order_id};

    #[test]
    fn a_story_is_told_in_its_sequence_with_the_waits_between() {
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
            state: "succeeded",
            outcome: Some(JobOutcome::Succeeded),
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
        // By our clock AddOrder began a little before its intent was written.
        let calls = [
            call(5, 2_000, 40, CallAction::Details, CallOutcome::Ok),
            call(6, 2_990, 90_000, CallAction::AddOrder, CallOutcome::Unknown),
        ];
        let told = timeline(&jobs, &facts, &calls);
        let places: Vec<_> = told.iter().map(|moment| moment.place).collect();
        assert_eq!(
            places,
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
        assert_eq!(told[2].gap_words(), "waited 2.0 s for a worker");
        assert_eq!(told[3].text, "4 earlier calls of this attempt are not kept");
        assert_eq!(told[4].text, "read the order: answered in 40 ms");
        assert!(told[5].text.contains("about to be called"));
        assert_eq!(
            told[6].text,
            "AddOrder – place the order: no answer, outcome unknown after 1 min"
        );
        assert_eq!(told[8].gap_words(), "1 min later", "the call is no wait");
        assert_eq!(told.last().map(|last| last.tone), Some("good"));
        assert_eq!(
            Total::of(&told).words(),
            "3 min from first to last; 2 calls to Salesforce and WHMCS took 1 min of it."
        );
    }
}
