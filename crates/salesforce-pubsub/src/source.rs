//! Opens streams.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use async_trait::async_trait;
use domain::job::ProvisionRequest;
use domain::key::Channel;
use domain::ports::{DeadLetter, EventSource, EventStream, Start, StreamError, Undecodable};
use outbound::Roots;
use salesforce_auth::{Session, TokenManager};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;

use crate::proto::pub_sub_client::PubSubClient;
use crate::proto::{FetchRequest, ManagedFetchRequest, ReplayPreset};
use crate::schema::Schemas;
use crate::stream::{Call, Refusals, Stream, Subscription, read};
use crate::wire::{Messages, QUEUE, Requests};
use crate::{Config, error, rpc};

/// The Pub/Sub API of one org.
pub struct PubSub {
    config: Config,
    pub(crate) tokens: Arc<TokenManager>,
    pub(crate) channel: tonic::transport::Channel,
    pub(crate) schemas: Arc<Schemas>,
    refusals: Refusals,
}

impl PubSub {
    /// Builds the source. It connects when a stream is opened. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// The endpoint or a certificate is not usable.
    pub fn new(
        config: Config,
        tokens: Arc<TokenManager>,
        roots: &Roots,
    ) -> Result<Self, tonic::transport::Error> {
        let channel = rpc::channel(&config, roots)?;
        metrics::counter!("orderbridge_event_version_unknown_total").increment(0);
        Ok(Self {
            schemas: Arc::new(Schemas::new(channel.clone(), Arc::clone(&tokens))),
            refusals: Arc::new(AtomicU32::new(0)),
            config,
            tokens,
            channel,
        })
    }
}

#[async_trait]
impl EventSource for PubSub {
    async fn open(
        &self,
        channel: &Channel,
        start: &Start,
    ) -> Result<Box<dyn EventStream>, StreamError> {
        let session = self.tokens.token().await.map_err(error::no_token)?;
        let mut client = PubSubClient::new(self.channel.clone());
        let window = self.config.window;
        let (requests, call): (_, Call) = match &self.config.managed {
            None => {
                let topic = channel.as_str().to_owned();
                let first = first_request(channel, start, window);
                let (sender, request) = queue(first, &session)?;
                let call = async move {
                    let answer = client.subscribe(request).await?;
                    Ok(Messages::Plain(answer.into_inner()))
                };
                (Requests::Plain { topic, sender }, Box::pin(call))
            }
            Some(name) => {
                tracing::info!(
                    subscription = name.as_str(),
                    "following a managed subscription: Salesforce's position decides where it starts"
                );
                let name = name.as_str().to_owned();
                let first = ManagedFetchRequest {
                    developer_name: name.clone(),
                    num_requested: window,
                    ..ManagedFetchRequest::default()
                };
                let (sender, request) = queue(first, &session)?;
                let call = async move {
                    let answer = client.managed_subscribe(request).await?;
                    Ok(Messages::Managed(answer.into_inner()))
                };
                let requests = Requests::Managed {
                    name,
                    sender,
                    newest: None,
                };
                (requests, Box::pin(call))
            }
        };
        Ok(Box::new(Stream::new(Subscription {
            window,
            watchdog: self.config.watchdog,
            generation: session.generation,
            requests,
            call,
            tokens: Arc::clone(&self.tokens),
            schemas: Arc::clone(&self.schemas),
            refusals: Arc::clone(&self.refusals),
        })))
    }

    async fn read_again(
        &self,
        dead_letter: &DeadLetter,
    ) -> Result<Result<ProvisionRequest, Undecodable>, StreamError> {
        let event = &dead_letter.undecodable;
        let schema = self.schemas.get(&event.schema_id).await?;
        Ok(read(
            &dead_letter.event,
            schema,
            &event.schema_id,
            &event.payload,
        ))
    }
}

/// A call's requests, the first of them queued already: the service answers, headers included, only
/// with its first message, which may take minutes.
fn queue<T: Send + 'static>(
    first: T,
    session: &Session,
) -> Result<(mpsc::Sender<T>, Request<ReceiverStream<T>>), StreamError> {
    let (sender, requests) = mpsc::channel(QUEUE);
    sender
        .try_send(first)
        .map_err(|_| error::disconnected("the stream's own queue is closed"))?;
    let request = rpc::request(ReceiverStream::new(requests), session)?;
    Ok((sender, request))
}

fn first_request(channel: &Channel, start: &Start, window: i32) -> FetchRequest {
    let (preset, replay_id) = match start {
        Start::Latest => (ReplayPreset::Latest, Vec::new()),
        Start::Earliest => (ReplayPreset::Earliest, Vec::new()),
        Start::After(position) => (ReplayPreset::Custom, position.as_bytes().to_vec()),
    };
    FetchRequest {
        topic_name: channel.as_str().to_owned(),
        replay_preset: preset.into(),
        replay_id,
        num_requested: window,
        ..FetchRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::key::ReplayId;
    use prost::Message;

    fn bytes(start: &Start) -> Vec<u8> {
        first_request(&Channel::new("/e").unwrap(), start, 7).encode_to_vec()
    }

    /// A missing preset on the wire means LATEST and would silently skip events.
    #[test]
    fn start_position_is_encoded_explicitly() {
        let topic = [0x0a, 2, b'/', b'e'];
        let requested = [0x20, 7];
        assert_eq!(bytes(&Start::Latest), [&topic[..], &requested].concat());
        assert_eq!(
            bytes(&Start::Earliest),
            [&topic[..], &[0x10, 1], &requested].concat()
        );
        let position = ReplayId::new(vec![0, 9]).unwrap();
        assert_eq!(
            bytes(&Start::After(position)),
            [&topic[..], &[0x10, 2, 0x1a, 2, 0, 9], &requested].concat()
        );
    }
}
