//! A Subscribe stream: credit, deliveries, keepalives and its end.
use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{Stream, StreamExt};
use rand::Rng;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tonic::{Code, Status};

use super::{
    Bus, IdleStyle, StreamFault, StreamFaultKind,
    batch::{LARGEST_RESPONSE, fitting, size_of},
    bus::Stored,
    replay,
    status::{code, status},
    wire::{ConsumerEvent, FetchRequest, FetchResponse},
};
use crate::{listener::ConnectionHandle, lock};

/// Maximum credit of a stream.
const WINDOW: i32 = 100;

pub(super) type Inbound = Pin<Box<dyn Stream<Item = Result<FetchRequest, Status>> + Send + Sync>>;

pub(super) type Outbound = mpsc::Sender<Result<FetchResponse, Status>>;

/// Whether the stream continues.
enum Next {
    Go,
    Stop,
}

pub(super) struct Session {
    bus: Arc<Bus>,
    inbound: Inbound,
    out: Outbound,
    connection: Option<ConnectionHandle>,
    rpc_id: String,
    credit: i32,
    position: u64,
    blind_until: Option<std::time::Instant>,
    faults: Vec<StreamFault>,
    sent: u32,
    last: Option<Stored>,
}

impl Session {
    pub(super) fn new(
        bus: Arc<Bus>,
        inbound: Inbound,
        out: Outbound,
        connection: Option<ConnectionHandle>,
        faults: Vec<StreamFault>,
    ) -> Self {
        Self {
            rpc_id: bus.uuid(),
            bus,
            inbound,
            out,
            connection,
            credit: 0,
            position: 0,
            blind_until: None,
            faults,
            sent: 0,
            last: None,
        }
    }

    fn status(&self, code: Code, suffix: &str, message: &str) -> Status {
        status(code, suffix, message, "Subscribe", &self.rpc_id)
    }

    async fn end(&self, status: Status) -> Next {
        // The client may have disconnected.
        let _ = self.out.send(Err(status)).await;
        Next::Stop
    }

    /// Runs until either side ends the stream.
    pub(super) async fn run(mut self) {
        self.bus.counters.open.fetch_add(1, Ordering::SeqCst);
        let bus = self.bus.clone();
        self.follow().await;
        bus.counters.open.fetch_sub(1, Ordering::SeqCst);
    }

    async fn follow(&mut self) {
        let mut instant_faults = self.bus.instant_faults.subscribe();
        let mut changes = self.bus.changes.subscribe();
        if let Err(refusal) = self.open().await {
            self.end(refusal).await;
            return;
        }
        let mut half_closed = false;
        let mut last_sent = Instant::now();
        let mut empty_since = Instant::now();
        loop {
            let _ = changes.borrow_and_update();
            let before = self.sent;
            if let Next::Stop = self.deliver().await {
                return;
            }
            if self.sent != before {
                last_sent = Instant::now();
                empty_since = Instant::now();
            }
            if half_closed {
                return;
            }
            let options = self.bus.options();
            let keepalive = last_sent + options.keepalive;
            let idle = empty_since + options.idle_close;
            tokio::select! {
                () = self.out.closed() => return,
                fault = instant_faults.recv() => {
                    if let Ok(kind) = fault
                        && let Next::Stop = self.apply_fault(&kind).await
                    {
                        return;
                    }
                }
                request = self.inbound.next() => match request {
                    Some(Ok(request)) => match self.grant(&request) {
                        Ok(()) => empty_since = Instant::now(),
                        Err(refusal) => {
                            self.end(refusal).await;
                            return;
                        }
                    },
                    None => half_closed = true,
                    Some(Err(_)) => return,
                },
                _ = changes.changed() => {}
                () = sleep_until(keepalive), if self.credit > 0 => {
                    let position = self.bus.keepalive_position();
                    self.bus.counters.keepalives.fetch_add(1, Ordering::SeqCst);
                    if let Next::Stop = self.respond(Vec::new(), position).await {
                        return;
                    }
                    last_sent = Instant::now();
                }
                () = sleep_until(idle), if self.credit == 0 => {
                    if options.idle_style == IdleStyle::Unavailable {
                        self.end(self.status(Code::Unavailable, "", "idle stream closed")).await;
                    }
                    return;
                }
            }
        }
    }

    /// Handles the first request, which determines the start.
    async fn open(&mut self) -> Result<(), Status> {
        let first = tokio::select! {
            () = self.out.closed() => None,
            message = self.inbound.next() => message.transpose()?,
        };
        let Some(first) = first else {
            return Err(self.status(
                Code::InvalidArgument,
                "subscription.fetch.request.invalid",
                "no request",
            ));
        };
        if first.topic_name.is_empty() {
            return Err(self.status(
                Code::InvalidArgument,
                "topic.validation.empty",
                "empty topic",
            ));
        }
        if first.topic_name != self.bus.topic() {
            return Err(self.status(
                Code::NotFound,
                "topic.not.found",
                &format!(
                    "The specified topic {} does not exist or you do not have access to it",
                    first.topic_name
                ),
            ));
        }
        self.grant(&first)?;
        self.position = self.bus.start(&first, &self.rpc_id)?;
        let options = self.bus.options();
        match first.replay_preset {
            0 if options.latest_blind > Duration::ZERO => {
                self.blind_until = Some(std::time::Instant::now() + options.latest_blind);
            }
            2 if self.chance(options.duplicates) => {
                // At-least-once delivery may repeat the last event before the cursor.
                if let Some(event) = self.bus.before(self.position) {
                    self.position = event.position - 1;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn chance(&self, probability: f64) -> bool {
        probability > 0.0 && lock(&self.bus.rng).random_bool(probability.min(1.0))
    }

    /// Adds the credit of a request.
    fn grant(&mut self, request: &FetchRequest) -> Result<(), Status> {
        self.bus.counters.fetches.fetch_add(1, Ordering::SeqCst);
        if !request.topic_name.is_empty() && request.topic_name != self.bus.topic() {
            return Err(self.status(
                Code::InvalidArgument,
                "subscription.fetch.topic.mismatch",
                "The topic can't change during a subscription",
            ));
        }
        if request.num_requested <= 0 {
            return Err(self.status(
                Code::InvalidArgument,
                "subscription.fetch.requested.events.invalid",
                "The number of requested events must be greater than 0",
            ));
        }
        self.credit = self
            .credit
            .saturating_add(request.num_requested)
            .min(WINDOW);
        Ok(())
    }

    /// Delivers available events within the credit.
    async fn deliver(&mut self) -> Next {
        while self.credit > 0 {
            let options = self.bus.options();
            let most = usize::try_from(self.credit)
                .unwrap_or(0)
                .min(options.max_batch.max(1));
            let mut batch = self.bus.after(self.position, most);
            if let Some(until) = self.blind_until
                && let Some(missed) = batch.iter().rev().find(|event| event.arrived < until)
            {
                self.position = missed.position;
                continue;
            }
            if batch.is_empty() {
                return Next::Go;
            }
            let take = lock(&self.bus.rng).random_range(1..=batch.len());
            batch.truncate(take.min(fitting(&batch)));
            let mut copies = Vec::new();
            // Repetitions of large events would not fit.
            let size: usize = batch.iter().map(size_of).sum();
            let most = if size * 2 > LARGEST_RESPONSE {
                batch.len()
            } else {
                most
            };
            if let Some(last) = self.last.clone()
                && size_of(&last) < LARGEST_RESPONSE / 2
                && copies.len() + batch.len() < most
                && self.chance(options.duplicates / 2.0)
            {
                copies.push(last);
            }
            let mut spare = most.saturating_sub(copies.len() + batch.len());
            for event in batch {
                self.position = event.position;
                self.last = Some(event.clone());
                copies.push(event.clone());
                if spare > 0 && self.chance(options.duplicates / 2.0) {
                    spare -= 1;
                    copies.push(event);
                }
            }
            let events = copies.iter().map(Stored::delivery).collect();
            let position = self.position;
            if let Next::Stop = self.respond(events, position).await {
                return Next::Stop;
            }
        }
        Next::Go
    }

    /// Sends a response, modified by faults.
    async fn respond(&mut self, mut events: Vec<ConsumerEvent>, position: u64) -> Next {
        self.sent += 1;
        let now = self.sent;
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.faults)
            .into_iter()
            // Faults of events wait for a response with events.
            .partition(|fault| {
                fault.at_response <= now && !(touches_events(&fault.kind) && events.is_empty())
            });
        self.faults = later;
        for fault in due {
            if touches_events(&fault.kind) {
                self.corrupt(&fault.kind, &mut events);
            } else if let Next::Stop = self.apply_fault(&fault.kind).await {
                return Next::Stop;
            }
        }
        let delivered = events.len() as u64;
        if delivered > 0 && !self.bus.may_deliver() {
            let refusal = self.status(
                Code::ResourceExhausted,
                "subscription.limit.exceeded",
                "The daily event delivery allocation is used up",
            );
            return self.end(refusal).await;
        }
        self.credit -= i32::try_from(delivered)
            .unwrap_or(self.credit)
            .min(self.credit);
        let response = FetchResponse {
            events,
            latest_replay_id: replay::encode(position),
            rpc_id: self.bus.uuid(),
            pending_num_requested: self.credit,
        };
        self.bus.counters.responses.fetch_add(1, Ordering::SeqCst);
        self.bus
            .counters
            .delivered
            .fetch_add(delivered, Ordering::SeqCst);
        match self.out.send(Ok(response)).await {
            Ok(()) => Next::Go,
            Err(_) => Next::Stop,
        }
    }

    fn corrupt(&self, kind: &StreamFaultKind, events: &mut [ConsumerEvent]) {
        for delivery in events {
            let Some(event) = delivery.event.as_mut() else {
                continue;
            };
            match kind {
                StreamFaultKind::Garbage => {
                    let mut noise = vec![0u8; event.payload.len().max(8)];
                    lock(&self.bus.rng).fill(noise.as_mut_slice());
                    // An endless varint is never a valid datum.
                    noise[..8].fill(0xff);
                    event.payload = noise;
                }
                StreamFaultKind::Truncated => event.payload.truncate(event.payload.len() / 2),
                StreamFaultKind::UnknownSchema => {
                    "AAAAAAAAAAAAAAAAAAAAAA".clone_into(&mut event.schema_id);
                }
                StreamFaultKind::EmptyReplayId => delivery.replay_id.clear(),
                _ => {}
            }
        }
    }

    /// Applies a fault of the whole stream.
    async fn apply_fault(&mut self, kind: &StreamFaultKind) -> Next {
        match kind {
            StreamFaultKind::Status {
                code: name,
                error_code,
            } => {
                let refusal = self.status(code(name), error_code, "The stream was ended");
                self.end(refusal).await
            }
            StreamFaultKind::End => Next::Stop,
            StreamFaultKind::Reset => {
                if let Some(connection) = &self.connection {
                    connection.cut();
                }
                Next::Stop
            }
            StreamFaultKind::Stall => {
                self.out.closed().await;
                Next::Stop
            }
            _ => Next::Go,
        }
    }
}

fn touches_events(kind: &StreamFaultKind) -> bool {
    matches!(
        kind,
        StreamFaultKind::Garbage
            | StreamFaultKind::Truncated
            | StreamFaultKind::UnknownSchema
            | StreamFaultKind::EmptyReplayId
    )
}
