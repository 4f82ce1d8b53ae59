//! The event channel: rights and schema, without opening a stream.

use domain::ports::StreamError;
use salesforce_pubsub::PubSub;

use super::causes;
use super::rows::Rows;
use crate::cli::ConnectionArgs;

const CHANNEL: &str = "event channel";
const SCHEMA: &str = "event schema";

pub(super) async fn check(
    rows: &mut Rows,
    asked: &ConnectionArgs,
    events: &PubSub,
    logged_in: bool,
) {
    if !logged_in {
        return rows.skip_all(&[CHANNEL, SCHEMA], "not logged in");
    }
    let channel = &asked.channel;
    let topic = match events.inspect(channel).await {
        Ok(topic) => topic,
        Err(error) => {
            failed(rows, &error);
            return rows.skip(SCHEMA, "the channel cannot be read");
        }
    };
    match topic.can_subscribe {
        true => rows.ok(CHANNEL, format!("{channel} may be subscribed to")),
        false => rows.fail(
            CHANNEL,
            format!("{channel} may not be subscribed to"),
            "Give the user of SF_USERNAME read access to the event by the permission set",
        ),
    }
    match topic.schema_problems.as_slice() {
        [] => rows.ok(SCHEMA, "the event has the fields that we read"),
        problems => rows.fail(
            SCHEMA,
            problems.join("; "),
            "Deploy the event of deploy/salesforce: OrderId__c is a required Text(18)",
        ),
    }
    if let Some(name) = &asked.pubsub.managed {
        rows.skip(
            "managed subscription",
            format!(
                "{} is not opened: one client at a time has it",
                name.as_str()
            ),
        );
    }
}

fn failed(rows: &mut Rows, error: &StreamError) {
    match error {
        StreamError::Denied { detail } => {
            let (what, fix) = detail
                .rsplit_once("): ")
                .map_or((detail.as_str(), ""), |(what, fix)| (what, fix));
            rows.fail(CHANNEL, what, fix);
        }
        error => rows.fail(
            CHANNEL,
            causes(error),
            "Check the host and port of SF_PUBSUB_ENDPOINT (7443 or 443), and firewall and HTTPS_PROXY of this machine",
        ),
    }
}
