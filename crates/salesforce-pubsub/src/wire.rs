//! Both kinds of stream, by channel and by managed subscription, behind one request and one
//! response side.

use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use crate::proto::{
    CommitReplayRequest, FetchRequest, FetchResponse, ManagedFetchRequest, ManagedFetchResponse,
};

/// Length of the queue of requests.
pub(crate) const QUEUE: usize = 4;
/// The part of it that is for credit.
const RESERVED: usize = 2;

/// The request side.
pub(crate) enum Requests {
    /// Of a stream by channel.
    Plain {
        /// The channel.
        topic: String,
        /// The requests.
        sender: mpsc::Sender<FetchRequest>,
    },
    /// Of a managed subscription.
    Managed {
        /// Its developer name.
        name: String,
        /// The requests.
        sender: mpsc::Sender<ManagedFetchRequest>,
        /// The newest position that is stored.
        newest: Option<Vec<u8>>,
    },
}

impl Requests {
    /// Grants this much credit, and reports that everything up to the position is stored. Returns
    /// whether the request was queued.
    ///
    /// A full queue means that the network is stuck, a closed one that the stream has ended; both
    /// surface at the next receive.
    pub(crate) fn send(&mut self, credit: i32, stored: Option<Vec<u8>>) -> bool {
        match self {
            Self::Plain { topic, sender } => {
                let request = FetchRequest {
                    topic_name: topic.clone(),
                    num_requested: credit,
                    ..FetchRequest::default()
                };
                credit > 0 && sender.try_send(request).is_ok()
            }
            Self::Managed {
                name,
                sender,
                newest,
            } => {
                if stored.is_some() {
                    newest.clone_from(&stored);
                }
                // Commits leave room for credit: without any, no message would arrive that gives
                // another occasion to grant it. The next message makes up for this commit.
                let room = sender.capacity() > RESERVED;
                if credit == 0 && (stored.is_none() || !room) {
                    return false;
                }
                let commit = stored.map(|replay_id| CommitReplayRequest {
                    commit_request_id: uuid::Uuid::new_v4().to_string(),
                    replay_id,
                });
                let request = ManagedFetchRequest {
                    developer_name: name.clone(),
                    num_requested: credit,
                    commit_replay_id_request: commit,
                    ..ManagedFetchRequest::default()
                };
                sender.try_send(request).is_ok()
            }
        }
    }

    /// The position to report once this message is stored; `None` on a stream by channel, whose
    /// position only our own store keeps.
    ///
    /// The service closes a managed stream without commits after half an hour: a message without
    /// events commits the newest stored position again.
    pub(crate) fn to_commit(&self, message: &FetchResponse) -> Option<Vec<u8>> {
        let Self::Managed { newest: stored, .. } = self else {
            return None;
        };
        let newest = || stored.clone().or(Some(message.latest_replay_id.clone()));
        let position = match message.events.last() {
            None => newest(),
            // As for our own cursor: an event without a position must not be skipped.
            Some(_) if message.events.iter().any(|one| one.replay_id.is_empty()) => None,
            Some(last) => Some(last.replay_id.clone()),
        };
        position.filter(|position| !position.is_empty())
    }
}

/// The response side.
pub(crate) enum Messages {
    /// Of a stream by channel.
    Plain(Streaming<FetchResponse>),
    /// Of a managed subscription.
    Managed(Streaming<ManagedFetchResponse>),
}

impl Messages {
    /// The next message with events or a position; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<FetchResponse>, Status> {
        let messages = match self {
            Self::Plain(messages) => return messages.message().await,
            Self::Managed(messages) => messages,
        };
        while let Some(message) = messages.message().await? {
            if let Some(commit) = &message.commit_response {
                if let Some(error) = &commit.error {
                    // The stream goes on, and our own store has the position.
                    tracing::warn!(
                        reason = error.msg,
                        "Salesforce refused to commit the position of the managed subscription"
                    );
                }
                // Its count of credits may be left out, and must not be taken for zero.
                if message.events.is_empty() {
                    continue;
                }
            }
            return Ok(Some(FetchResponse {
                events: message.events,
                latest_replay_id: message.latest_replay_id,
                rpc_id: message.rpc_id,
                pending_num_requested: message.pending_num_requested,
            }));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ConsumerEvent;

    fn message(positions: &[&[u8]], latest: &[u8]) -> FetchResponse {
        FetchResponse {
            events: positions
                .iter()
                .map(|position| ConsumerEvent {
                    event: None,
                    replay_id: position.to_vec(),
                })
                .collect(),
            latest_replay_id: latest.to_vec(),
            ..FetchResponse::default()
        }
    }

    #[test]
    fn only_stored_events_are_committed_and_keepalives_commit_again() {
        let (sender, mut sent) = mpsc::channel(QUEUE);
        let mut requests = Requests::Managed {
            name: "Bridge".to_owned(),
            sender,
            newest: None,
        };
        let first_keepalive = requests.to_commit(&message(&[], &[5]));
        assert_eq!(first_keepalive, Some(vec![5]));
        let stored = requests.to_commit(&message(&[&[6], &[7]], &[9]));
        assert_eq!(stored, Some(vec![7]));
        assert!(requests.send(0, stored));
        assert_eq!(requests.to_commit(&message(&[], &[9])), Some(vec![7]));
        assert_eq!(requests.to_commit(&message(&[&[8], &[]], &[9])), None);
        let request = sent.try_recv().unwrap();
        assert_eq!(request.commit_replay_id_request.unwrap().replay_id, [7]);
        assert!(!requests.send(0, None), "nothing to say");
        // Commits leave room in the queue for credit, and are made up for.
        assert!(requests.send(0, Some(vec![8])) && requests.send(0, Some(vec![9])));
        assert!(!requests.send(0, Some(vec![10])));
        assert!(requests.send(50, None));
        assert_eq!(requests.to_commit(&message(&[], &[12])), Some(vec![10]));
    }
}
