//! Managed subscriptions: the org keeps the position, and one client at a time has the stream.
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tonic::{Code, Status, Streaming};

use super::{
    Bus, replay,
    status::status,
    wire::{
        CommitReplayRequest, CommitReplayResponse, Error, ErrorCode, FetchRequest, FetchResponse,
        ManagedFetchRequest, ManagedFetchResponse, ReplayPreset,
    },
};
use crate::lock;

/// Where a managed subscription starts without a usable position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ManagedReplay {
    /// With new events.
    Latest,
    /// With the oldest retained event.
    Earliest,
}

/// A `ManagedEventSubscription` record of the event's topic.
#[derive(Debug, Clone)]
pub struct ManagedSubscription {
    /// `DeveloperName`.
    pub developer_name: String,
    /// State RUN; otherwise STOP.
    pub running: bool,
    /// `defaultReplay`: the start while nothing is committed.
    pub default_replay: ManagedReplay,
    /// `errorRecoveryReplay`: the start when the committed position is not retained any more.
    pub error_recovery: ManagedReplay,
}

impl ManagedSubscription {
    /// A running subscription that starts with the oldest retained event.
    pub fn new(developer_name: &str) -> Self {
        Self {
            developer_name: developer_name.to_owned(),
            running: true,
            default_replay: ManagedReplay::Earliest,
            error_recovery: ManagedReplay::Earliest,
        }
    }
}

/// What the org knows of a managed subscription.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ManagedState {
    /// The committed replay id, lower-case hex.
    pub committed: Option<String>,
    /// Commits that were accepted.
    pub commits: u64,
    /// Commits that were refused.
    pub refused_commits: u64,
    /// Whether a client has the stream.
    pub active: bool,
    #[serde(skip)]
    position: Option<u64>,
    /// Nobody gets the stream until then: its last client vanished without a word.
    #[serde(skip)]
    held_until: Option<std::time::Instant>,
}

/// The managed subscriptions of a bus, by developer name.
pub(super) type ManagedStates = BTreeMap<String, ManagedState>;

impl Bus {
    /// What the org knows of a managed subscription.
    pub(crate) fn managed_state(&self, name: &str) -> ManagedState {
        lock(&self.managed).get(name).cloned().unwrap_or_default()
    }

    /// The managed subscriptions with their ids.
    pub(crate) fn managed_subscriptions(&self) -> Vec<(String, ManagedSubscription)> {
        let all = self.options().managed.into_iter().zip(1..);
        all.map(|(one, n)| (crate::salesforce::mint_id("18x", n), one))
            .collect()
    }

    /// Adds a managed subscription, or replaces the one of the same name.
    pub(crate) fn set_managed(&self, subscription: ManagedSubscription) {
        self.change_options(|options| {
            let name = &subscription.developer_name;
            let mut known = options.managed.iter_mut();
            match known.find(|one| one.developer_name == *name) {
                Some(place) => *place = subscription,
                None => options.managed.push(subscription),
            }
        });
    }

    /// Sets the committed position, or forgets it as STOP and RUN do.
    pub(crate) fn set_managed_position(&self, name: &str, replay_id: Option<&str>) {
        let mut states = lock(&self.managed);
        let state = states.entry(name.to_owned()).or_default();
        state.committed = replay_id.map(str::to_owned);
        state.position = replay_id.and_then(|id| replay::decode(&super::bus::unhex(id)));
    }

    /// Keeps the stream from everybody for a while, as after the unclean loss of its client.
    pub(crate) fn hold_managed(&self, name: &str, hold: Duration) {
        let mut states = lock(&self.managed);
        let state = states.entry(name.to_owned()).or_default();
        state.held_until = Some(std::time::Instant::now() + hold);
    }

    /// The subscription that a first request names.
    fn managed_of(&self, request: &ManagedFetchRequest) -> Result<ManagedSubscription, Refused> {
        use Code::{FailedPrecondition, InvalidArgument, NotFound};
        let name = &request.developer_name;
        if name.is_empty() == request.subscription_id.is_empty() {
            return Err((
                InvalidArgument,
                "subscription.id.or.developer.name.empty",
                "Exactly one of subscription_id and developer_name is required",
            ));
        }
        if request.commit_replay_id_request.is_some() {
            return Err((
                InvalidArgument,
                "fetch.request.commit.request.restricted",
                "The first request can't commit",
            ));
        }
        let asked = &request.subscription_id;
        let mut known = self.managed_subscriptions().into_iter();
        let found = known.find(|(id, one)| {
            (!name.is_empty() && one.developer_name == *name)
                || (!asked.is_empty() && (id == asked || id[..15] == **asked))
        });
        let Some((_, found)) = found else {
            let code = match name.is_empty() {
                true => "subscription.id.not.found",
                false => "developer.name.not.found",
            };
            return Err((NotFound, code, "The managed subscription does not exist"));
        };
        match found.running {
            true => Ok(found),
            false => Err((
                FailedPrecondition,
                "config.stopped",
                "The managed subscription is stopped",
            )),
        }
    }

    fn take_slot(self: &Arc<Self>, name: &str) -> Result<Slot, Refused> {
        let mut states = lock(&self.managed);
        let state = states.entry(name.to_owned()).or_default();
        let now = std::time::Instant::now();
        if state.active || state.held_until.is_some_and(|until| until > now) {
            return Err((
                Code::AlreadyExists,
                "already.active",
                "Another client has the managed subscription",
            ));
        }
        state.active = true;
        Ok(Slot {
            bus: Arc::clone(self),
            name: name.to_owned(),
        })
    }

    fn commit(&self, name: &str, asked: &CommitReplayRequest, sent: u64) -> CommitReplayResponse {
        let mut states = lock(&self.managed);
        let state = states.entry(name.to_owned()).or_default();
        let position = replay::decode(&asked.replay_id);
        let problem = match position {
            None => Some("The replay ID is missing or malformed"),
            Some(position) if position > sent => Some("The replay ID was not delivered yet"),
            Some(position) if state.position.is_some_and(|last| position < last) => {
                Some("The replay ID is older than the committed one")
            }
            Some(_) => None,
        };
        match problem {
            None => {
                state.commits += 1;
                state.position = position;
                state.committed = Some(super::bus::hex(&asked.replay_id));
            }
            Some(_) => state.refused_commits += 1,
        }
        CommitReplayResponse {
            commit_request_id: asked.commit_request_id.clone(),
            replay_id: asked.replay_id.clone(),
            error: problem.map(|problem| Error {
                code: ErrorCode::Commit.into(),
                msg: problem.to_owned(),
            }),
            process_time: self.clock.now().as_millisecond(),
        }
    }

    /// The first request of the plain stream behind a managed one.
    fn managed_start(&self, found: &ManagedSubscription, credit: i32) -> FetchRequest {
        let preset = |replay| match replay {
            ManagedReplay::Latest => ReplayPreset::Latest,
            ManagedReplay::Earliest => ReplayPreset::Earliest,
        };
        let custom = |position| FetchRequest {
            topic_name: self.topic(),
            replay_preset: ReplayPreset::Custom.into(),
            replay_id: replay::encode(position),
            num_requested: credit,
            ..FetchRequest::default()
        };
        let without = |replay| FetchRequest {
            topic_name: self.topic(),
            replay_preset: preset(replay).into(),
            num_requested: credit,
            ..FetchRequest::default()
        };
        match self.managed_state(&found.developer_name).position {
            None => without(found.default_replay),
            Some(position) if self.start(&custom(position), "").is_ok() => custom(position),
            Some(_) => without(found.error_recovery),
        }
    }
}

/// gRPC code, error code below `managed.subscription.`, message.
type Refused = (Code, &'static str, &'static str);

/// The exclusive right to a managed stream.
struct Slot {
    bus: Arc<Bus>,
    name: String,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(state) = lock(&self.bus.managed).get_mut(&self.name) {
            state.active = false;
        }
    }
}

/// A managed stream in front of a plain one.
pub(super) struct ManagedSession {
    pub(super) bus: Arc<Bus>,
    pub(super) rpc_id: String,
    pub(super) inbound: Streaming<ManagedFetchRequest>,
    pub(super) out: mpsc::Sender<Result<ManagedFetchResponse, Status>>,
    /// Requests to the plain stream.
    pub(super) fetches: mpsc::Sender<Result<FetchRequest, Status>>,
    /// Its answers.
    pub(super) answers: mpsc::Receiver<Result<FetchResponse, Status>>,
}

impl ManagedSession {
    async fn refuse(&self, (code, suffix, message): Refused) {
        let suffix = match suffix {
            "" => String::new(),
            suffix => format!("managed.subscription.{suffix}"),
        };
        let refusal = status(code, &suffix, message, "ManagedSubscribe", &self.rpc_id);
        // The client may have disconnected.
        let _ = self.out.send(Err(refusal)).await;
    }

    /// Runs until either side ends the stream.
    pub(super) async fn run(mut self) {
        let Ok(Some(first)) = self.inbound.message().await else {
            return;
        };
        let found = match self.bus.managed_of(&first) {
            Ok(found) => found,
            Err(refused) => return self.refuse(refused).await,
        };
        let name = &found.developer_name;
        let _slot = match self.bus.take_slot(name) {
            Ok(slot) => slot,
            Err(refused) => return self.refuse(refused).await,
        };
        let start = self.bus.managed_start(&found, first.num_requested);
        // The plain stream reads its requests until it ends.
        let _ = self.fetches.send(Ok(start)).await;
        let mut fetches = Some(self.fetches.clone());
        let mut sent = 0;
        let mut last_commit = Instant::now();
        loop {
            let commit_due = last_commit + self.bus.options().commit_timeout;
            tokio::select! {
                () = self.out.closed() => return,
                answer = self.answers.recv() => {
                    let Some(answer) = answer else { return };
                    let ended = answer.is_err();
                    let answer = answer.map(|answer| {
                        sent = sent.max(replay::decode(&answer.latest_replay_id).unwrap_or(0));
                        ManagedFetchResponse {
                            events: answer.events,
                            latest_replay_id: answer.latest_replay_id,
                            rpc_id: answer.rpc_id,
                            pending_num_requested: answer.pending_num_requested,
                            commit_response: None,
                        }
                    });
                    if self.out.send(answer).await.is_err() || ended {
                        return;
                    }
                }
                request = self.inbound.message() => match request {
                    Ok(Some(request)) => {
                        if let Some(asked) = &request.commit_replay_id_request {
                            last_commit = Instant::now();
                            let response = ManagedFetchResponse {
                                // Clients read it from every response.
                                latest_replay_id: match sent {
                                    0 => asked.replay_id.clone(),
                                    sent => replay::encode(sent),
                                },
                                rpc_id: self.bus.uuid(),
                                commit_response: Some(self.bus.commit(name, asked, sent)),
                                ..ManagedFetchResponse::default()
                            };
                            if self.out.send(Ok(response)).await.is_err() {
                                return;
                            }
                        }
                        if request.num_requested != 0 && let Some(fetches) = &fetches {
                            let more = FetchRequest {
                                num_requested: request.num_requested,
                                ..FetchRequest::default()
                            };
                            let _ = fetches.send(Ok(more)).await;
                        }
                    }
                    Ok(None) => fetches = None,
                    Err(_) => return,
                },
                () = sleep_until(commit_due) => {
                    let late = "no commit for too long";
                    return self.refuse((Code::DeadlineExceeded, "", late)).await;
                }
            }
        }
    }

    /// Counts the stream.
    pub(super) fn count(&self) {
        self.bus
            .counters
            .managed_streams
            .fetch_add(1, Ordering::SeqCst);
    }
}
