//! Schema cache by id: a schema id never changes its meaning.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apache_avro::Schema;
use domain::ports::StreamError;
use salesforce_auth::TokenManager;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::error::{self, Reaction};
use crate::proto::SchemaRequest;
use crate::proto::pub_sub_client::PubSubClient;
use crate::{decode, rpc};

const TIMEOUT: Duration = Duration::from_secs(30);
/// Upper bound of the cache, so that a server that invents ids cannot fill memory.
const MAX_CACHED: usize = 1000;

/// A schema, or why its events can never be decoded.
pub(crate) type SchemaResult = Result<Arc<Schema>, String>;

/// The schema cache.
pub(crate) struct Schemas {
    channel: Channel,
    tokens: Arc<TokenManager>,
    cache: Mutex<HashMap<String, Arc<Schema>>>,
}

impl Schemas {
    pub(crate) fn new(channel: Channel, tokens: Arc<TokenManager>) -> Self {
        Self {
            channel,
            tokens,
            cache: Mutex::default(),
        }
    }

    /// The schema, fetched once. An error means that it is not available now: nothing may be
    /// decided about the event.
    pub(crate) async fn get(&self, id: &str) -> Result<SchemaResult, StreamError> {
        if id.trim().is_empty() {
            return Ok(Err("the event has no schema id".to_owned()));
        }
        let cache = self.cache().get(id).cloned();
        if let Some(schema) = cache {
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
        let mut cache = self.cache();
        if cache.len() >= MAX_CACHED {
            cache.clear();
        }
        cache.insert(id.to_owned(), Arc::clone(&schema));
        Ok(Ok(schema))
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Schema>>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, id: &str) -> Result<Result<String, String>, StreamError> {
        let mut session = self.tokens.token().await.map_err(error::no_token)?;
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
                    return Err(error::disconnected(format!(
                        "no schema within {} s",
                        TIMEOUT.as_secs()
                    )));
                }
            };
            match error::reaction(&status) {
                // An open stream outlives its token, so this call may be the first to be refused.
                Reaction::Login if fresh => {
                    return Err(match self.tokens.refused(session.generation) {
                        Some(error) => error::no_token(error),
                        None => error::refused_twice(&status),
                    });
                }
                Reaction::Login => {
                    fresh = true;
                    session = self
                        .tokens
                        .refresh(session.generation)
                        .await
                        .map_err(error::no_token)?;
                }
                reaction if !does_not_exist(&status) => {
                    return Err(error::stream_error(reaction, status));
                }
                _ => {
                    return Ok(Err(format!(
                        "Salesforce has no such schema: {}",
                        error::describe(&status)
                    )));
                }
            }
        }
    }
}

fn does_not_exist(status: &Status) -> bool {
    matches!(status.code(), Code::NotFound | Code::InvalidArgument)
}
