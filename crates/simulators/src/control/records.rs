//! Records of both systems, created, changed and deleted.
use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, State},
    routing::{get, patch, post},
};
use serde_json::{Value, json};

use super::{
    Answer, Shared, done,
    problem::{Body, Problem},
};
use crate::{
    seed::{Seed, SeedClient, SeedProduct},
    world::World,
};

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route(
            "/records/{name}",
            patch(change).delete(erase).post(create).get(list),
        )
        .route("/whmcs/clients", post(client))
        .route("/whmcs/products", post(product))
        .route("/whmcs/orders/{id}/{edit}", post(staff))
        .route("/seed", post(seed))
        .route("/snapshot", get(save).put(load))
        .route("/reset", post(reset))
        // Snapshots of large sandboxes are larger than bodies usually are.
        .layer(DefaultBodyLimit::disable())
}

async fn create(
    State(world): Shared,
    Path(object): Path<String>,
    Body(fields): Body<Value>,
) -> Answer {
    Ok(Json(
        json!({"id": world.salesforce.create(&object, fields)?}),
    ))
}

async fn list(State(world): Shared, Path(name): Path<String>) -> Answer {
    if let Some(record) = world.salesforce.record(&name) {
        return Ok(Json(record));
    }
    match world.salesforce.has_object(&name) {
        true => Ok(Json(Value::Array(world.salesforce.records(&name)))),
        false => Err(Problem::not_found(format!("no object or record {name}"))),
    }
}

async fn change(State(world): Shared, Path(id): Path<String>, Body(fields): Body<Value>) -> Answer {
    world.salesforce.update(&id, fields)?;
    Ok(done())
}

async fn erase(State(world): Shared, Path(id): Path<String>) -> Answer {
    world.salesforce.delete(&id)?;
    Ok(done())
}

async fn client(State(world): Shared, Body(client): Body<SeedClient>) -> Json<Value> {
    let id = world
        .whmcs
        .add_client(&client.firstname, &client.lastname, &client.email);
    Json(json!({"id": id}))
}

async fn product(State(world): Shared, Body(product): Body<SeedProduct>) -> Json<Value> {
    let id = product.pid;
    product.add(&world);
    Json(json!({"id": id}))
}

const EDITS: &[&str] = &[
    "cancel",
    "fraud",
    "accept",
    "delete",
    "clear_notes",
    "build",
];

async fn staff(State(world): Shared, Path((id, edit)): Path<(u64, String)>) -> Answer {
    if world.whmcs.order(id).is_none() {
        return Err(Problem::not_found(format!("WHMCS has no order {id}")));
    }
    if !EDITS.contains(&edit.as_str()) {
        let known = EDITS.join(", ");
        return Err(Problem::not_found(format!(
            "no edit {edit}; known are {known}"
        )));
    }
    world.whmcs.staff(id, &edit);
    Ok(done())
}

async fn seed(State(world): Shared, Body(data): Body<Seed>) -> Answer {
    Ok(Json(json!({"ids": world.seed(data)?})))
}

async fn save(State(world): Shared) -> Json<Value> {
    Json(json!(world.snapshot()))
}

async fn load(State(world): Shared, Body(snapshot): Body<crate::Snapshot>) -> Answer {
    world.restore(snapshot)?;
    Ok(done())
}

async fn reset(State(world): Shared) -> Answer {
    world.reset()?;
    Ok(done())
}
