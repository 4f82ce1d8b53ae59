//! One order's story: everything that is recorded of it in one line of time, with the waits
//! between.

use std::time::Duration;

use domain::job::Ending;
use domain::order::Fact;
use domain::ports::{JobView, RecordedFact};
use domain::time::Timestamp;

use crate::time;

/// A shorter wait needs no label.
const WORTH_A_LABEL: Duration = Duration::from_secs(1);

/// A line of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    /// The wait before it, where it is worth a label.
    pub(crate) gap: Option<Duration>,
    /// Where it happened.
    pub(crate) place: &'static str,
    pub(crate) text: String,
    /// `good`, `bad`, `doubt` or `plain`.
    pub(crate) tone: &'static str,
}

impl Moment {
    pub(crate) fn time(&self) -> String {
        time::plain(self.at)
    }

    pub(crate) fn gap_words(&self) -> String {
        self.gap.map(time::span).unwrap_or_default()
    }
}

/// The story in its sequence.
pub(crate) fn timeline(jobs: &[JobView], facts: &[RecordedFact]) -> Vec<Moment> {
    let mut moments = Vec::new();
    let mut add = |at, place, text: String, tone| {
        moments.push(Moment {
            at,
            gap: None,
            place,
            text,
            tone,
        });
    };
    for view in jobs {
        let job = &view.job;
        let by = job.requested_by.as_deref().unwrap_or("the Flow");
        add(
            job.requested_at,
            "Salesforce",
            format!("Asked for by {by} (correlation id {})", job.correlation),
            "plain",
        );
        add(
            view.enqueued_at,
            "store",
            format!("Received and queued, from the {}", job.source.name()),
            "plain",
        );
        if let Some(at) = view.started_at {
            add(at, "worker", "Claimed by a worker".to_owned(), "plain");
        }
        if let (Some(at), Some(ending)) = (view.ended_at, view.ending) {
            let (text, tone) = match ending {
                Ending::Succeeded => ("Attempt ended: provisioned", "good"),
                Ending::Failed => ("Attempt ended: failed", "bad"),
                Ending::Skipped => ("Attempt ended: there was nothing to do", "plain"),
                Ending::Superseded => ("Attempt ended: the order went on without it", "plain"),
            };
            add(at, "worker", text.to_owned(), tone);
        }
    }
    for recorded in facts {
        let (place, text, tone) = words(&recorded.fact);
        add(recorded.at, place, text, tone);
    }
    // Stable: what happened in one moment stays as it was recorded; an ending comes last.
    moments.sort_by_key(|moment| (moment.at, moment.text.starts_with("Attempt ended")));
    let mut before: Option<Timestamp> = None;
    for moment in &mut moments {
        let gap = before.map(|before| moment.at.since(before));
        moment.gap = gap.filter(|gap| *gap >= WORTH_A_LABEL);
        before = Some(moment.at);
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
            fact(3, Fact::PlaceUnknown { at: at(3) }),
            fact(183, Fact::Placed { order }),
            fact(184, Fact::Reported),
        ];
        let jobs = [JobView {
            job: job.clone(),
            state: "succeeded",
            ending: Some(Ending::Succeeded),
            enqueued_at: at(0),
            started_at: Some(at(0)),
            ended_at: Some(at(184)),
        }];
        let told = timeline(&jobs, &facts);
        let places: Vec<_> = told.iter().map(|moment| moment.place).collect();
        assert_eq!(
            places,
            [
                "Salesforce",
                "store",
                "worker",
                "WHMCS",
                "WHMCS",
                "WHMCS",
                "Salesforce",
                "worker"
            ]
        );
        assert_eq!(told[5].gap_words(), "3 min");
        assert_eq!(told[4].tone, "doubt");
        assert_eq!(told[7].tone, "good");
    }
}
