//! Schemas by id, kept for good: an id never gets another meaning.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apache_avro::Schema;
use domain::ports::StreamError;
use salesforce_auth::TokenManager;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::failure::{self, Reaction};
use crate::proto::SchemaRequest;
use crate::proto::pub_sub_client::PubSubClient;
use crate::{decode, rpc};

const TIMEOUT: Duration = Duration::from_secs(30);
/// Far more than an event ever has; a server that makes ids up must not fill memory.
const MAX_KEPT: usize = 1000;

/// A schema, or why an event that names it can never be decoded.
pub(crate) type Known = Result<Arc<Schema>, String>;

/// The schemas seen so far.
pub(crate) struct Schemas {
    channel: Channel,
    tokens: Arc<TokenManager>,
    kept: Mutex<HashMap<String, Arc<Schema>>>,
}

impl Schemas {
    pub(crate) fn new(channel: Channel, tokens: Arc<TokenManager>) -> Self {
        Self {
            channel,
            tokens,
            kept: Mutex::default(),
        }
    }

    /// The schema, asked for once. An error says that it cannot be told now: nothing may be
    /// decided about the event.
    pub(crate) async fn get(&self, id: &str) -> Result<Known, StreamError> {
        if id.trim().is_empty() {
            return Ok(Err("the event names no schema".to_owned()));
        }
        let kept = self.kept().get(id).cloned();
        if let Some(schema) = kept {
            return Ok(Ok(schema));
        }
        let json = match self.fetch(id).await? {
            Ok(json) => json,
            Err(why) => return Ok(Err(why)),
        };
        let schema = match decode::parse_schema(&json) {
            Ok(schema) => Arc::new(schema),
            Err(why) => return Ok(Err(why)),
        };
        let mut kept = self.kept();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(id.to_owned(), Arc::clone(&schema));
        Ok(Ok(schema))
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Schema>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, id: &str) -> Result<Result<String, String>, StreamError> {
        let mut session = self.tokens.token().await.map_err(failure::no_token)?;
        let mut fresh = false;
        loop {
            let message = SchemaRequest {
                schema_id: id.to_owned(),
            };
            let request = rpc::request(message, &session)?;
            let mut client = PubSubClient::new(self.channel.clone());
            let status = match tokio::time::timeout(TIMEOUT, client.get_schema(request)).await {
                Ok(Ok(answer)) => {
                    self.tokens.accepted(session.generation);
                    return Ok(Ok(answer.into_inner().schema_json));
                }
                Ok(Err(status)) => status,
                Err(_) => {
                    return Err(failure::disconnected(format!(
                        "no schema within {} s",
                        TIMEOUT.as_secs()
                    )));
                }
            };
            match failure::reaction(&status) {
                // An open stream outlives its token, so this call may be the first to see.
                Reaction::Login if fresh => {
                    return Err(match self.tokens.refused(session.generation) {
                        Some(error) => failure::no_token(error),
                        None => failure::refused_twice(&status),
                    });
                }
                Reaction::Login => {
                    fresh = true;
                    session = self
                        .tokens
                        .refresh(session.generation)
                        .await
                        .map_err(failure::no_token)?;
                }
                reaction if !does_not_exist(&status) => {
                    return Err(failure::stream_error(reaction, status));
                }
                _ => {
                    return Ok(Err(format!(
                        "Salesforce does not know the schema: {}",
                        failure::describe(&status)
                    )));
                }
            }
        }
    }
}

fn does_not_exist(status: &Status) -> bool {
    matches!(status.code(), Code::NotFound | Code::InvalidArgument)
}
