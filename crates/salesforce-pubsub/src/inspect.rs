//! What `orderctl doctor` asks: rights on the topic, and its current schema.

use std::time::Duration;

use apache_avro::Schema;
use domain::key::Channel;
use domain::ports::StreamError;

use crate::proto::TopicRequest;
use crate::proto::pub_sub_client::PubSubClient;
use crate::{PubSub, error, rpc};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A channel, as the service describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Whether we may subscribe.
    pub can_subscribe: bool,
    /// What is wrong with its events, each in a few words.
    pub schema_problems: Vec<String>,
}

impl PubSub {
    /// Reads a channel's rights and its current schema, without opening a stream.
    ///
    /// # Errors
    /// [`StreamError`].
    pub async fn inspect(&self, channel: &Channel) -> Result<Topic, StreamError> {
        let session = self.tokens.token().await.map_err(error::no_token)?;
        let message = TopicRequest {
            topic_name: channel.as_str().to_owned(),
        };
        let request = rpc::request(message, &session)?;
        let mut client = PubSubClient::new(self.channel.clone());
        let answer = tokio::time::timeout(TIMEOUT, client.get_topic(request)).await;
        let topic = match answer {
            Ok(Ok(answer)) => answer.into_inner(),
            Ok(Err(status)) => {
                return Err(error::stream_error(error::reaction(&status), status));
            }
            Err(_) => return Err(error::disconnected("no answer within 30 s")),
        };
        let schema = self.schemas.get(&topic.schema_id).await?;
        Ok(Topic {
            can_subscribe: topic.can_subscribe,
            schema_problems: match schema {
                Ok(schema) => problems(&schema),
                Err(why) => vec![why],
            },
        })
    }
}

/// What the fields of an event must be for us. All but the order's id may be missing.
fn problems(schema: &Schema) -> Vec<String> {
    let Schema::Record(record) = schema else {
        return vec!["the schema is not a record".to_owned()];
    };
    let mut problems = Vec::new();
    for (name, kind) in [
        ("OrderId__c", "Text"),
        ("IdemKey__c", "Text"),
        ("CorrelationId__c", "Text"),
        ("RequestedBy__c", "Text"),
        ("Version__c", "Number"),
    ] {
        let field = record.fields.iter().find(|field| field.name == name);
        match field {
            None if name == "OrderId__c" => problems.push(format!("the event has no {name}")),
            None => {}
            Some(field) if is(&field.schema, kind) => {}
            Some(_) => problems.push(format!("{name} of the event is not a {kind}")),
        }
    }
    problems
}

fn is(schema: &Schema, kind: &str) -> bool {
    match schema {
        Schema::Union(union) => union.variants().iter().any(|one| is(one, kind)),
        Schema::String => kind == "Text",
        Schema::Double | Schema::Float | Schema::Int | Schema::Long => kind == "Number",
        _ => false,
    }
}
