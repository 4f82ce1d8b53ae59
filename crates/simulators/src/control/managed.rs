//! `/managed`: managed event subscriptions, which an administrator deploys.
use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Shared,
    problem::{Body, Problem},
};
use crate::{
    salesforce::{ManagedReplay, ManagedSubscription},
    world::World,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    developer_name: String,
    #[serde(default = "yes")]
    running: bool,
    #[serde(default = "earliest")]
    default_replay: ManagedReplay,
    #[serde(default = "earliest")]
    error_recovery: ManagedReplay,
}

fn yes() -> bool {
    true
}

fn earliest() -> ManagedReplay {
    ManagedReplay::Earliest
}

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/managed", post(add).get(list))
        .route("/managed/{name}", get(one))
}

async fn add(State(world): Shared, Body(new): Body<New>) -> Answer {
    let id = world.salesforce.set_managed(ManagedSubscription {
        developer_name: new.developer_name,
        running: new.running,
        default_replay: new.default_replay,
        error_recovery: new.error_recovery,
    });
    Ok(Json(json!({"id": id})))
}

fn show(world: &World, id: &str, subscription: &ManagedSubscription) -> Value {
    let mut shown = json!(world.salesforce.managed_state(&subscription.developer_name));
    shown["id"] = id.into();
    shown["developer_name"] = subscription.developer_name.as_str().into();
    shown["running"] = subscription.running.into();
    shown
}

async fn list(State(world): Shared) -> Json<Value> {
    let all = world.salesforce.managed_subscriptions();
    let all = all.iter().map(|(id, one)| show(&world, id, one));
    Json(all.collect())
}

async fn one(State(world): Shared, Path(name): Path<String>) -> Answer {
    let all = world.salesforce.managed_subscriptions();
    let mut all = all.iter();
    let (id, found) = all
        .find(|(id, one)| one.developer_name == name || *id == name)
        .ok_or_else(|| Problem::not_found(format!("no managed subscription {name}")))?;
    Ok(Json(show(&world, id, found)))
}
