//! The stored form of facts: a kind and a JSON body.
//!
//! Later releases must read it: names and fields are only ever added.

use domain::failure::{Code, Refusal};
use domain::id::{AccountId, Id};
use domain::key::{ClientId, IdemKey, JobId, LineMarker, ServiceId, WhmcsOrderId};
use domain::order::{Fact, MarkerCheck, PlacedLine};
use domain::ports::StoreError;
use domain::time::Timestamp;
use serde_json::{Value, json};

use crate::error::corrupt;

/// What could be read of a dead letter, as pairs of name and value; nothing when there is
/// nothing.
pub(crate) fn encode_fields(fields: &[(String, String)]) -> Option<String> {
    (!fields.is_empty()).then(|| json!(fields).to_string())
}

/// The counterpart of [`encode_fields`].
pub(crate) fn decode_fields(text: Option<&str>) -> Result<Vec<(String, String)>, StoreError> {
    text.map_or_else(
        || Ok(Vec::new()),
        |text| serde_json::from_str(text).map_err(|error| corrupt("dead_letter.fields", error)),
    )
}

/// The body of a fact.
pub(crate) fn encode(fact: &Fact) -> Value {
    match fact {
        Fact::Checked {
            job,
            idem_key,
            number,
            account,
        } => json!({
            "job": job.as_str(),
            "idem_key": idem_key.as_ref().map(IdemKey::as_str),
            "number": number,
            "account": account.as_ref().map(Id::as_str),
        }),
        Fact::CreatingClient { at }
        | Fact::ClientUnknown { at }
        | Fact::PlaceUnknown { at }
        | Fact::SearchedEmpty { at }
        | Fact::Accepting { at }
        | Fact::AcceptUnknown { at }
        | Fact::CreateUnknown { at }
        | Fact::Held { at } => json!({"at": at.as_millis()}),
        Fact::Client { client } => json!({"client": client.0}),
        Fact::Placing { at, watermark } => {
            json!({"at": at.as_millis(), "watermark": watermark.0})
        }
        Fact::Placed { order } | Fact::Forgotten { order } => json!({"order": order.0}),
        Fact::Verified { lines, marker } => json!({
            "marked": *marker == MarkerCheck::Kept,
            "dropped": *marker == MarkerCheck::Dropped,
            "lines": lines
                .iter()
                .map(|line| json!([line.marker.to_string(), line.service.0]))
                .collect::<Vec<_>>(),
        }),
        Fact::AcceptFailed { text } => json!({"text": text}),
        Fact::Creating { at, service } => {
            json!({"at": at.as_millis(), "service": service.0})
        }
        Fact::Created { service } => json!({"service": service.0}),
        Fact::CreateFailed { service, text } => json!({"service": service.0, "text": text}),
        Fact::Refused(refusal) => {
            json!({"code": refusal.code.as_str(), "detail": refusal.detail})
        }
        Fact::ClientNotCreated
        | Fact::NotPlaced
        | Fact::NotAccepted
        | Fact::AcceptAnswered
        | Fact::NotCreated
        | Fact::Accepted
        | Fact::ItemsReported
        | Fact::Reported => json!({}),
    }
}

/// The value of the column `marked`: 1 for evidence that WHMCS keeps our marker, 2 that it
/// does not, 0 for every other fact.
pub(crate) fn marker_evidence(fact: &Fact) -> i64 {
    match fact {
        Fact::Verified { marker, .. } => match marker {
            MarkerCheck::Kept => 1,
            MarkerCheck::Dropped => 2,
            MarkerCheck::Unchecked => 0,
        },
        _ => 0,
    }
}

/// Decodes a row's fact.
pub(crate) fn decode(kind: &str, body: &str) -> Result<Fact, StoreError> {
    let bad = || {
        corrupt(
            format!("fact.body of kind `{kind}`"),
            "a field is missing or of another type",
        )
    };
    let body: Value = serde_json::from_str(body).map_err(|error| corrupt("fact.body", error))?;
    let number = |name: &str| body[name].as_u64().ok_or_else(bad);
    let text = |name: &str| body[name].as_str().map(str::to_owned).ok_or_else(bad);
    let at = || {
        body["at"]
            .as_i64()
            .map(Timestamp::from_millis)
            .ok_or_else(bad)
    };
    let order = || number("order").map(WhmcsOrderId);
    let service = || number("service").map(ServiceId);
    Ok(match kind {
        "checked" => Fact::Checked {
            job: job_id(text("job")?)?,
            idem_key: body["idem_key"].as_str().and_then(IdemKey::new),
            number: body["number"].as_str().map(str::to_owned),
            account: body["account"]
                .as_str()
                .and_then(|text| AccountId::parse(text).ok()),
        },
        "creating_client" => Fact::CreatingClient { at: at()? },
        "client_not_created" => Fact::ClientNotCreated,
        "client_unknown" => Fact::ClientUnknown { at: at()? },
        "client" => Fact::Client {
            client: ClientId(number("client")?),
        },
        "placing" => Fact::Placing {
            at: at()?,
            watermark: WhmcsOrderId(number("watermark")?),
        },
        "not_placed" => Fact::NotPlaced,
        "place_unknown" => Fact::PlaceUnknown { at: at()? },
        "searched_empty" => Fact::SearchedEmpty { at: at()? },
        "placed" => Fact::Placed { order: order()? },
        "verified" => Fact::Verified {
            // Rows written before `dropped` existed are no evidence about the marker.
            marker: match (body["marked"].as_bool().ok_or_else(bad)?, &body["dropped"]) {
                (true, _) => MarkerCheck::Kept,
                (false, Value::Bool(true)) => MarkerCheck::Dropped,
                (false, _) => MarkerCheck::Unchecked,
            },
            lines: body["lines"]
                .as_array()
                .ok_or_else(bad)?
                .iter()
                .map(|line| placed_line(line).ok_or_else(bad))
                .collect::<Result<_, _>>()?,
        },
        "accepting" => Fact::Accepting { at: at()? },
        "not_accepted" => Fact::NotAccepted,
        "accept_answered" => Fact::AcceptAnswered,
        "accept_failed" => Fact::AcceptFailed {
            text: text("text")?,
        },
        "accept_unknown" => Fact::AcceptUnknown { at: at()? },
        "creating" => Fact::Creating {
            at: at()?,
            service: service()?,
        },
        "not_created" => Fact::NotCreated,
        "created" => Fact::Created {
            service: service()?,
        },
        "create_failed" => Fact::CreateFailed {
            service: service()?,
            text: text("text")?,
        },
        "create_unknown" => Fact::CreateUnknown { at: at()? },
        "accepted" => Fact::Accepted,
        "held" => Fact::Held { at: at()? },
        "refused" => Fact::Refused(Refusal::new(
            text("code")?
                .parse::<Code>()
                .map_err(|error| corrupt("fact.body.code", error))?,
            text("detail")?,
        )),
        "items_reported" => Fact::ItemsReported,
        "reported" => Fact::Reported,
        "forgotten" => Fact::Forgotten { order: order()? },
        unknown => {
            return Err(corrupt(
                "fact.kind",
                format!("`{unknown}` is no kind of fact"),
            ));
        }
    })
}

/// The kinds of fact that do not bind ([`Fact::binds`]), for statements.
macro_rules! unbinding {
    () => {
        "('checked', 'client', 'held', 'refused', 'items_reported', 'reported')"
    };
}
pub(crate) use unbinding;

pub(crate) fn job_id(text: String) -> Result<JobId, StoreError> {
    JobId::new(text).ok_or_else(|| corrupt("job.id", "it is blank"))
}

fn placed_line(line: &Value) -> Option<PlacedLine> {
    Some(PlacedLine {
        marker: LineMarker::parse(line[0].as_str()?)?,
        service: ServiceId(line[1].as_u64()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::OrderItemId;

    #[test]
    fn every_fact_round_trips() {
        let at = Timestamp::from_millis(7);
        let service = ServiceId(9);
        let order = WhmcsOrderId(3);
        let marker = LineMarker {
            item: OrderItemId::parse("802000000000001").unwrap(),
            unit: 2,
        };
        let facts = [
            Fact::Checked {
                job: JobId::new("j").unwrap(),
                idem_key: IdemKey::new("k"),
                number: Some("00000100".to_owned()),
                account: AccountId::parse("001000000000001").ok(),
            },
            Fact::Checked {
                job: JobId::new("j").unwrap(),
                idem_key: None,
                number: None,
                account: None,
            },
            Fact::CreatingClient { at },
            Fact::ClientNotCreated,
            Fact::ClientUnknown { at },
            Fact::Client {
                client: ClientId(4),
            },
            Fact::Placing {
                at,
                watermark: order,
            },
            Fact::NotPlaced,
            Fact::PlaceUnknown { at },
            Fact::SearchedEmpty { at },
            Fact::Placed { order },
            Fact::Verified {
                lines: vec![PlacedLine { marker, service }],
                marker: MarkerCheck::Kept,
            },
            Fact::Verified {
                lines: Vec::new(),
                marker: MarkerCheck::Dropped,
            },
            Fact::Verified {
                lines: Vec::new(),
                marker: MarkerCheck::Unchecked,
            },
            Fact::Accepting { at },
            Fact::NotAccepted,
            Fact::AcceptAnswered,
            Fact::AcceptFailed {
                text: "no room".to_owned(),
            },
            Fact::AcceptUnknown { at },
            Fact::Creating { at, service },
            Fact::NotCreated,
            Fact::Created { service },
            Fact::CreateFailed {
                service,
                text: "ü".to_owned(),
            },
            Fact::CreateUnknown { at },
            Fact::Accepted,
            Fact::Held { at },
            Fact::Refused(Refusal::new(Code::OrderEmpty, "x")),
            Fact::ItemsReported,
            Fact::Reported,
            Fact::Forgotten { order },
        ];
        for fact in facts {
            let body = encode(&fact).to_string();
            assert_eq!(decode(fact.name(), &body).unwrap(), fact);
            let unbinding = unbinding!().contains(&format!("'{}'", fact.name()));
            assert_eq!(fact.binds(), !unbinding, "{fact}");
        }
        assert!(decode("dreamt", "{}").is_err());
        assert!(decode("placed", "{}").is_err());
    }

    #[test]
    fn facts_of_older_releases_stay_readable() {
        let checked = decode("checked", r#"{"job":"j","idem_key":"k"}"#).unwrap();
        let expected = Fact::Checked {
            job: JobId::new("j").unwrap(),
            idem_key: IdemKey::new("k"),
            number: None,
            account: None,
        };
        assert_eq!(checked, expected);
        let verified = decode("verified", r#"{"lines":[],"marked":false}"#).unwrap();
        let expected = Fact::Verified {
            lines: Vec::new(),
            marker: MarkerCheck::Unchecked,
        };
        assert_eq!(verified, expected);
    }
}
