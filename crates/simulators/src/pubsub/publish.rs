//! Streams of publish requests.
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tonic::{Code, Status, Streaming};

use super::{
    service::PubSubService,
    status::status,
    wire::{PublishRequest, PublishResponse},
};

const RPC: &str = "PublishStream";

/// One response per request, until the stream is idle for too long.
pub(super) struct PublishSession {
    pub(super) service: PubSubService,
    pub(super) inbound: Streaming<PublishRequest>,
    /// The topic of the first request; later ones may leave it out.
    pub(super) topic: Option<String>,
}

impl PublishSession {
    /// Runs until either side ends the stream.
    pub(super) async fn run(mut self, out: mpsc::Sender<Result<PublishResponse, Status>>) {
        let mut last = Instant::now();
        loop {
            let idle = last + self.service.0.bus.options().publish_idle;
            let request = tokio::select! {
                () = out.closed() => return,
                request = self.inbound.message() => request,
                () = sleep_until(idle) => {
                    let late = self.refusal(
                        Code::DeadlineExceeded,
                        "publish.stream.sweeper.timeout",
                        "Nothing was published for too long",
                    );
                    // The client may have disconnected.
                    let _ = out.send(Err(late)).await;
                    return;
                }
            };
            let answer = match request {
                Ok(Some(request)) => self.answer(request),
                Ok(None) | Err(_) => return,
            };
            last = Instant::now();
            let failed = answer.is_err();
            if out.send(answer).await.is_err() || failed {
                return;
            }
        }
    }

    fn answer(&mut self, mut request: PublishRequest) -> Result<PublishResponse, Status> {
        match &self.topic {
            None => self.topic = Some(request.topic_name.clone()),
            Some(topic) if request.topic_name.is_empty() => {
                request.topic_name.clone_from(topic);
            }
            Some(topic) if *topic != request.topic_name => {
                return Err(self.refusal(
                    Code::InvalidArgument,
                    "publish.topic.mismatch",
                    "The topic can't change during a stream",
                ));
            }
            Some(_) => {}
        }
        self.service.publish_all(&request, RPC)
    }

    fn refusal(&self, code: Code, suffix: &str, message: &str) -> Status {
        let rpc_id = self.service.0.bus.uuid();
        status(code, suffix, message, RPC, &rpc_id)
    }
}
