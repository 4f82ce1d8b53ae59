//! The handle of a running simulator: listeners, faults and knobs.
use std::{collections::BTreeMap, io, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;
use tonic::transport::Server;

use super::{
    Login, PRIVATE_KEY_PEM, RestFault, RestFaultKind, Route, SalesforceOptions,
    history::Call,
    http,
    options::{CLIENT_ID, USERNAME},
    org::Org,
};
use crate::{
    door::{Door, Host},
    faults::{Hold, Phase},
    lock,
    pubsub::{
        BusOptions, BusStats, EventField, EventSchema, Fields, PubSubService, Published,
        StreamFault, StreamFaultKind, UnaryFault, wire::ProducerEvent,
        wire::pub_sub_server::PubSubServer,
    },
};

/// A simulated org on two local ports. Dropping it closes them.
#[derive(Debug)]
pub struct SalesforceSim {
    pub(super) org: Arc<Org>,
    rest: Host,
    pubsub: Host,
}

impl SalesforceSim {
    /// Binds both ports and serves.
    pub async fn start(options: SalesforceOptions) -> io::Result<Self> {
        let (rest, rest_door) = Host::bind(options.rest_port).await?;
        let (pubsub, pubsub_door) = Host::bind(options.pubsub_port).await?;
        let org = Arc::new(Org::new(options));
        *lock(&org.instance_url) = rest.url();
        let sim = Self { org, rest, pubsub };
        sim.serve(rest_door, pubsub_door);
        Ok(sim)
    }

    fn serve(&self, rest: Door, pubsub: Door) {
        self.rest.serve_http(rest, http::router(self.org.clone()));
        self.serve_pubsub(pubsub);
    }

    fn serve_pubsub(&self, door: Door) {
        let service = PubSubServer::new(PubSubService(self.org.clone()));
        let wires = futures::stream::unfold(door, async |mut door| {
            Some((Ok::<_, io::Error>(door.next().await), door))
        });
        self.pubsub.serve(async move {
            let server = Server::builder().add_service(service);
            if let Err(error) = server.serve_with_incoming(wires).await {
                tracing::warn!(%error, "simulated gRPC listener ended");
            }
        });
    }

    /// Base URL of OAuth and REST.
    pub fn rest_url(&self) -> String {
        self.rest.url()
    }

    /// Endpoint of the Pub/Sub API, h2c.
    pub fn pubsub_url(&self) -> String {
        self.pubsub.url()
    }

    /// Port of OAuth and REST.
    pub fn rest_port(&self) -> u16 {
        self.rest.port()
    }

    /// Port of the Pub/Sub API.
    pub fn pubsub_port(&self) -> u16 {
        self.pubsub.port()
    }

    /// The event's channel, `/event/…__e`.
    pub fn channel(&self) -> String {
        format!("/event/{}", self.org.bus.options().event)
    }

    /// What a client needs to log in.
    pub fn login(&self) -> Login {
        Login {
            client_id: CLIENT_ID.to_owned(),
            username: USERNAME.to_owned(),
            private_key_pem: PRIVATE_KEY_PEM.to_owned(),
            org_id: self.org.org_id.clone(),
        }
    }

    /// Organisation id, 18 characters.
    pub fn org_id(&self) -> String {
        self.org.org_id.clone()
    }

    /// Closes both ports and resets every connection; the books stay.
    pub async fn stop(&self) {
        self.stop_rest().await;
        self.stop_pubsub().await;
    }

    /// Opens both ports again, on the same numbers.
    pub async fn restart(&self) -> io::Result<()> {
        self.stop().await;
        self.serve(self.rest.rebind().await?, self.pubsub.rebind().await?);
        Ok(())
    }

    /// Closes OAuth and REST only.
    pub async fn stop_rest(&self) {
        self.rest.stop().await;
    }

    /// Opens OAuth and REST again.
    pub async fn restart_rest(&self) -> io::Result<()> {
        self.rest.stop().await;
        let door = self.rest.rebind().await?;
        self.rest.serve_http(door, http::router(self.org.clone()));
        Ok(())
    }

    /// Closes the Pub/Sub API only.
    pub async fn stop_pubsub(&self) {
        self.pubsub.stop().await;
    }

    /// Opens the Pub/Sub API again.
    pub async fn restart_pubsub(&self) -> io::Result<()> {
        self.pubsub.stop().await;
        self.serve_pubsub(self.pubsub.rebind().await?);
        Ok(())
    }

    /// Resets every open Pub/Sub connection; new ones are welcome.
    pub fn cut_pubsub_connections(&self) {
        self.pubsub.cut_all();
    }

    // Faults of the HTTP side.

    /// Spoils coming HTTP calls.
    pub fn fault(&self, fault: RestFault) {
        self.org.faults.add(fault.when, fault);
    }

    /// Parks the next call of a kind; release it with [`Hold::release`].
    pub fn hold(&self, route: Route, phase: Phase) -> Hold {
        let name = uuid::Uuid::new_v4().to_string();
        let kind = match phase {
            Phase::Before => RestFaultKind::HoldBefore { name: name.clone() },
            Phase::After => RestFaultKind::HoldAfter { name: name.clone() },
        };
        let hold = self.org.holds.named(&name);
        self.fault(RestFault::new(route, kind));
        hold
    }

    /// Releases the hold of a fault that named it.
    pub fn release(&self, name: &str) {
        self.org.holds.named(name).release();
    }

    /// Takes away every fault and releases every hold.
    pub fn clear_faults(&self) {
        self.org.faults.clear();
        self.org.bus.clear_faults();
        self.org.holds.release_all();
    }

    /// Every access token is refused from now on; new logins are welcome.
    pub fn revoke_tokens(&self) {
        self.org.sessions.revoke_all();
        if self.org.bus.options().cut_on_revoke {
            self.org.bus.order(StreamFaultKind::Status {
                code: "UNAUTHENTICATED".to_owned(),
                error_code: "service.auth.error".to_owned(),
            });
        }
    }

    /// Logins are granted and every session is refused, as by a policy of the connected app;
    /// until this is called with `false`.
    pub fn refuse_sessions(&self, refuse: bool) {
        self.org.sessions.refuse(refuse);
    }

    /// Tokens handed out from now on carry another `instance_url`, which reaches us too.
    pub fn rotate_instance_url(&self) -> String {
        let port = self.rest.port();
        let (a, b) = (
            format!("http://127.0.0.1:{port}"),
            format!("http://localhost:{port}"),
        );
        let mut now = lock(&self.org.instance_url);
        *now = if *now == a { b } else { a };
        now.clone()
    }

    /// Logins so far.
    pub fn logins(&self) -> u64 {
        self.org.sessions.minted()
    }

    /// Every HTTP call so far.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.org.calls).clone()
    }

    /// Number of HTTP calls by route.
    pub fn call_counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in lock(&self.org.calls).iter() {
            *counts.entry(call.route.clone()).or_default() += 1;
        }
        counts
    }

    // The bus.

    /// Turns knobs of the bus.
    pub fn bus_options(&self, knob: impl FnOnce(&mut BusOptions)) {
        self.org.bus.turn(knob);
    }

    /// Spoils coming streams.
    pub fn stream_fault(&self, fault: StreamFault) {
        self.org.bus.add_stream_fault(fault);
    }

    /// Spoils every stream that is open now.
    pub fn spoil_streams_now(&self, kind: StreamFaultKind) {
        self.org.bus.order(kind);
    }

    /// Ends every stream that is open now with UNAVAILABLE.
    pub fn kill_streams(&self) {
        self.org.bus.order(StreamFaultKind::Status {
            code: "UNAVAILABLE".to_owned(),
            error_code: String::new(),
        });
    }

    /// Refuses coming unary calls.
    pub fn unary_fault(&self, fault: UnaryFault) {
        self.org.bus.add_unary_fault(fault);
    }

    /// What the bus has seen.
    pub fn bus_stats(&self) -> BusStats {
        self.org.bus.stats()
    }

    /// The event's current schema.
    pub fn event_schema(&self) -> EventSchema {
        self.org.bus.schema()
    }

    /// Changes the event's custom fields; earlier schemas stay resolvable.
    pub fn evolve_schema(&self, change: impl FnOnce(&mut Vec<EventField>)) -> EventSchema {
        self.org.bus.evolve(change)
    }

    /// A new org behind the same name: replay ids start over, old ones mean nothing.
    pub fn reset_org(&self) {
        self.org.bus.reset();
    }

    /// Starts a new day of event deliveries.
    pub fn renew_allocation(&self) {
        self.org.bus.renew_allocation();
    }

    /// Moves the org's clock: retention and sessions look at it.
    pub fn advance_clock(&self, seconds: i64) {
        self.org.clock.advance_seconds(seconds);
    }

    /// The org's clock.
    pub fn now(&self) -> Timestamp {
        self.org.clock.now()
    }

    /// Publishes an event with these custom fields, others are null.
    pub fn publish_event(&self, fields: &Fields) -> Published {
        self.org.publish(fields)
    }

    /// Publishes any bytes under any schema id (`None`: the current one).
    pub fn publish_raw(&self, payload: Vec<u8>, schema_id: Option<&str>) -> Published {
        let schema_id = schema_id.map_or_else(|| self.org.bus.schema().id, str::to_owned);
        self.org.bus.append(ProducerEvent {
            id: self.org.bus.uuid(),
            schema_id,
            payload,
            headers: Vec::new(),
        })
    }

    /// The newest event once more: same UUID, new position.
    pub fn duplicate_last_event(&self) -> Option<Published> {
        self.org.bus.repeat_last()
    }

    /// The order's current request as a new event: same key, new UUID.
    pub fn republish(&self, order: &str) -> Option<Published> {
        let record = self.record(order)?;
        let text = |field: &str| {
            record
                .get(field)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let fields = super::flow::payload(
            &text("Id"),
            &text("Activation_IdemKey__c"),
            &text("Activation_Correlation_Id__c"),
            &self.org.options.operator,
        );
        Some(self.org.publish(&fields))
    }

    /// Events published through the org so far (raw ones and repetitions not counted).
    pub fn published(&self) -> Vec<Published> {
        lock(&self.org.published).clone()
    }
}
