//! Handle of the running simulator: listeners, faults and options.
use std::{collections::BTreeMap, io, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;
use tonic::transport::Server;

use super::{
    Login, PRIVATE_KEY_PEM, SalesforceOptions,
    history::Call,
    http,
    options::{CLIENT_ID, USERNAME},
    org::Org,
};
use crate::{
    listener::{Host, Port, SimListener},
    lock,
    pubsub::{
        BusOptions, BusStats, EventField, EventSchema, Fields, ManagedState, ManagedSubscription,
        PubSubService, Published, StreamFaultKind, wire::ProducerEvent,
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
        let (rest, rest_listener) =
            Host::bind(&options.listen, Port::Salesforce, options.rest_port).await?;
        let (pubsub, pubsub_listener) =
            Host::bind(&options.listen, Port::PubSub, options.pubsub_port).await?;
        let org = Arc::new(Org::new(options));
        *lock(&org.instance_url) = rest.url();
        let sim = Self { org, rest, pubsub };
        sim.serve(rest_listener, pubsub_listener);
        Ok(sim)
    }

    fn serve(&self, rest: SimListener, pubsub: SimListener) {
        self.rest.serve_http(rest, http::router(self.org.clone()));
        self.serve_pubsub(pubsub);
    }

    fn serve_pubsub(&self, listener: SimListener) {
        let service = PubSubServer::new(PubSubService(self.org.clone()));
        let connections = futures::stream::unfold(listener, async |mut listener| {
            Some((Ok::<_, io::Error>(listener.next().await), listener))
        });
        self.pubsub.serve(async move {
            let server = Server::builder().add_service(service);
            if let Err(error) = server.serve_with_incoming(connections).await {
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

    /// Login data for a client.
    pub fn login(&self) -> Login {
        Login {
            client_id: CLIENT_ID.to_owned(),
            username: USERNAME.to_owned(),
            private_key_pem: PRIVATE_KEY_PEM.to_owned(),
            org_id: self.org.org_id.clone(),
        }
    }

    /// The settings of a login to this org.
    pub fn login_settings(&self) -> [(&'static str, String); 4] {
        let login = self.login();
        [
            ("SF_LOGIN_URL", self.rest_url()),
            ("SF_CLIENT_ID", login.client_id),
            ("SF_USERNAME", login.username),
            ("SF_PRIVATE_KEY", login.private_key_pem),
        ]
    }

    /// Organisation id, 18 characters.
    pub fn org_id(&self) -> String {
        self.org.org_id.clone()
    }

    /// Closes both ports and resets every connection; the data is kept.
    pub async fn stop(&self) {
        self.stop_rest().await;
        self.stop_pubsub().await;
    }

    /// Opens both ports again, with the same numbers.
    pub async fn restart(&self) -> io::Result<()> {
        self.stop().await;
        self.serve(self.rest.rebind().await?, self.pubsub.rebind().await?);
        Ok(())
    }

    /// Closes OAuth and REST.
    pub async fn stop_rest(&self) {
        self.rest.stop().await;
    }

    /// Opens OAuth and REST again.
    pub async fn restart_rest(&self) -> io::Result<()> {
        self.rest.stop().await;
        let listener = self.rest.rebind().await?;
        self.rest
            .serve_http(listener, http::router(self.org.clone()));
        Ok(())
    }

    /// Closes the Pub/Sub API.
    pub async fn stop_pubsub(&self) {
        self.pubsub.stop().await;
    }

    /// Opens the Pub/Sub API again.
    pub async fn restart_pubsub(&self) -> io::Result<()> {
        self.pubsub.stop().await;
        self.serve_pubsub(self.pubsub.rebind().await?);
        Ok(())
    }

    /// Resets every open Pub/Sub connection; new ones are accepted.
    pub fn cut_pubsub_connections(&self) {
        self.pubsub.cut_all();
    }

    /// Rejects every existing access token; new logins are accepted.
    pub fn revoke_tokens(&self) {
        self.org.sessions.revoke_all();
        if self.org.bus.options().cut_on_revoke {
            self.org.bus.fault_now(StreamFaultKind::Status {
                code: "UNAUTHENTICATED".to_owned(),
                error_code: "service.auth.error".to_owned(),
            });
        }
    }

    /// Sets whether every session is rejected although logins succeed, as by a policy of the
    /// connected app.
    pub fn refuse_sessions(&self, refuse: bool) {
        self.org.sessions.refuse(refuse);
    }

    /// Gives tokens issued from now on another `instance_url` that reaches the simulator too.
    pub fn rotate_instance_url(&self) -> String {
        let port = self.rest.port();
        let scheme = self.org.options.listen.scheme();
        let (a, b) = (
            format!("{scheme}://127.0.0.1:{port}"),
            format!("{scheme}://localhost:{port}"),
        );
        let mut now = lock(&self.org.instance_url);
        *now = if *now == a { b } else { a };
        now.clone()
    }

    /// Gives tokens issued from now on this `instance_url`, as for an org behind a proxy, and
    /// accepts it as audience.
    pub fn set_instance_url(&self, url: &str) {
        url.clone_into(&mut lock(&self.org.instance_url));
    }

    /// Changes how the org describes a field (`Order.Status`) to its users: merges these properties,
    /// or hides the field, or an object, with null. Only `describe` is affected.
    pub fn edit_description(&self, name: &str, edit: Value) {
        lock(&self.org.description_edits).insert(name.to_owned(), edit);
    }

    /// Shows an allowance of the org as this, in `/limits` only.
    pub fn edit_limit(&self, name: &str, max: u64, remaining: u64) {
        let limit = serde_json::json!({"Max": max, "Remaining": remaining});
        lock(&self.org.limit_edits).insert(name.to_owned(), limit);
    }

    /// Describes everything as it is again.
    pub fn clear_description_edits(&self) {
        lock(&self.org.description_edits).clear();
    }

    /// The number of logins.
    pub fn logins(&self) -> u64 {
        self.org.sessions.minted()
    }

    /// Every HTTP call.
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

    // Event bus.

    /// Changes options of the bus.
    pub fn bus_options(&self, change: impl FnOnce(&mut BusOptions)) {
        self.org.bus.change_options(change);
    }

    /// The options of the bus.
    pub fn current_bus_options(&self) -> BusOptions {
        self.org.bus.options()
    }

    /// The newest events on the bus, oldest first, with their decoded fields.
    pub fn events(&self, limit: usize) -> Vec<Value> {
        self.org.bus.newest(limit)
    }

    /// Statistics of the bus.
    pub fn bus_stats(&self) -> BusStats {
        self.org.bus.stats()
    }

    /// Adds a managed subscription, or replaces the one of the same name, and returns its id.
    pub fn set_managed(&self, subscription: ManagedSubscription) -> Option<String> {
        let name = subscription.developer_name.clone();
        self.org.bus.set_managed(subscription);
        let mut all = self.org.bus.managed_subscriptions().into_iter();
        all.find(|(_, one)| one.developer_name == name)
            .map(|(id, _)| id)
    }

    /// The managed subscriptions with their ids.
    pub fn managed_subscriptions(&self) -> Vec<(String, ManagedSubscription)> {
        self.org.bus.managed_subscriptions()
    }

    /// What the org knows of a managed subscription.
    pub fn managed_state(&self, developer_name: &str) -> ManagedState {
        self.org.bus.managed_state(developer_name)
    }

    /// Sets the committed position of a managed subscription, in hex; `None` forgets it, as STOP
    /// and RUN do.
    pub fn set_managed_position(&self, developer_name: &str, replay_id: Option<&str>) {
        self.org.bus.set_managed_position(developer_name, replay_id);
    }

    /// Keeps a managed subscription from everybody for a while, as after the unclean loss of its
    /// client.
    pub fn hold_managed(&self, developer_name: &str, hold: std::time::Duration) {
        self.org.bus.hold_managed(developer_name, hold);
    }

    /// The event's current schema.
    pub fn event_schema(&self) -> EventSchema {
        self.org.bus.schema()
    }

    /// Changes the event's custom fields; earlier schemas stay resolvable.
    pub fn evolve_schema(&self, change: impl FnOnce(&mut Vec<EventField>)) -> EventSchema {
        self.org.bus.evolve(change)
    }

    /// Simulates a new org with the same name: replay ids start over and old ones are invalid.
    pub fn reset_org(&self) {
        self.org.bus.reset();
    }

    /// Starts a new day of event deliveries.
    pub fn renew_allocation(&self) {
        self.org.bus.renew_allocation();
    }

    /// Lets time pass for retention and sessions, unnoticed by clients: they can log in afterwards.
    pub fn pass_time(&self, seconds: i64) {
        self.org.clock.pass_seconds(seconds);
    }

    /// Advances the org's clock, so that it is ahead of its clients'.
    pub fn advance_clock(&self, seconds: i64) {
        self.org.clock.advance_seconds(seconds);
    }

    /// The org's time.
    pub fn now(&self) -> Timestamp {
        self.org.clock.now()
    }

    /// Publishes an event with these custom fields; others are null.
    pub fn publish_event(&self, fields: &Fields) -> Published {
        self.org.publish(fields)
    }

    /// Publishes a raw payload with a schema id; `None` is the current one.
    pub fn publish_raw(&self, payload: Vec<u8>, schema_id: Option<&str>) -> Published {
        let schema_id = schema_id.map_or_else(|| self.org.bus.schema().id, str::to_owned);
        self.org.bus.append(ProducerEvent {
            id: self.org.bus.uuid(),
            schema_id,
            payload,
            headers: Vec::new(),
        })
    }

    /// Publishes the newest event again: same UUID, new position.
    pub fn duplicate_last_event(&self) -> Option<Published> {
        self.org.bus.repeat_last()
    }

    /// Publishes the order's current request as a new event: same key, new UUID.
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

    /// Events published through the org, without raw ones and repetitions.
    pub fn published(&self) -> Vec<Published> {
        lock(&self.org.published).clone()
    }
}
