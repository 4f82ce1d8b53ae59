//! Control API: the Rust API of the simulators as JSON over HTTP.
mod managed;
mod runtime_options;

use std::{io, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, patch, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    Listen,
    listener::{Host, Port},
    salesforce::{Refusal, RestFault, StreamFault, StreamFaultKind, UnaryFault},
    whmcs::Fault,
    world::World,
};

/// Description of the control API.
pub const DOCS: &str = "\
GET    /                       this text
GET    /environment            the bridge's settings for this world, private key included
GET    /books/salesforce       orders with their items, accounts, products
GET    /books/salesforce/{id}  one order with its items and its writes
GET    /books/whmcs            clients, products, orders, services, module queue
GET    /oracle                 orders per marker, duplicates, remote accounts per service, mails
GET    /calls                  every call both systems received, and counts
GET    /stats                  the event bus
POST   /orders                 place: {\"account\":0,\"lines\":[[0,1]],\"approve\":true,\"fields\":{}}
POST   /orders/{id}/approve    the Flow publishes
POST   /orders/{id}/retry      Activation_Status__c back to Activating
POST   /orders/{id}/cancel     Status Cancelled
POST   /orders/{id}/republish  same key, new event id
PATCH  /records/{id}           change fields of any record: {\"Field\":value}
POST   /events                 publish: {\"OrderId__c\":\"801...\"}
POST   /events/raw             poison: {\"hex\":\"ffff\",\"schema_id\":null}
POST   /events/duplicate       the newest event once more
POST   /faults/salesforce      {\"route\":\"order_patch\",\"when\":{\"next\":2},\"kind\":\"lock_row\"}
POST   /faults/stream          {\"kind\":\"status\",\"code\":\"UNAVAILABLE\",\"error_code\":\"\",\"at_response\":1,\"streams\":1}
POST   /faults/stream/now      the same kinds, for the streams open now
POST   /faults/unary           {\"rpc\":\"GetSchema\",\"code\":\"UNAVAILABLE\",\"error_code\":\"\",\"when\":{\"next\":1}}
POST   /faults/whmcs           {\"id\":\"F09\",\"action\":\"AddOrder\",\"when\":{\"next\":1},\"delay_ms\":5000}
DELETE /faults                 all of them, and every hold is released
POST   /holds/{name}/release   releases hold_before and hold_after faults of that name
POST   /knobs                  {\"whmcs\":{\"notes_stored\":false},\"bus\":{\"keepalive_ms\":500},\"clock_seconds\":3600,
                                \"revoke_tokens\":true,\"refuse_sessions\":true,\"rotate_instance_url\":true,\"reset_org\":true,\"kill_streams\":true,
                                \"modules\":{\"1\":{\"script\":{\"kind\":\"fail\",\"text\":\"no disk\",\"times\":1}}}}
POST   /whmcs/orders/{id}/{edit}  staff: cancel, fraud, accept, delete, clear_notes, build
";

/// A running control API. Dropping it closes the port.
#[derive(Debug)]
pub struct Control {
    host: Host,
}

impl Control {
    /// Binds the port (0 = any) and starts serving.
    pub async fn start(world: Arc<World>, port: u16) -> io::Result<Self> {
        Self::start_on(world, &Listen::default(), port).await
    }

    /// Binds the port (0 = any) of this address, without TLS, and starts serving.
    pub async fn start_on(world: Arc<World>, listen: &Listen, port: u16) -> io::Result<Self> {
        let (host, listener) = Host::bind(&listen.without_tls(), Port::Control, port).await?;
        host.serve_http(listener, router(world));
        Ok(Self { host })
    }

    /// Base URL.
    pub fn url(&self) -> String {
        self.host.url()
    }

    /// Closes the port.
    pub async fn stop(&self) {
        self.host.stop().await;
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, Json(self.body())).into_response()
    }
}

type Shared = State<Arc<World>>;
type Answer = Result<Json<Value>, Refusal>;

fn done() -> Json<Value> {
    Json(json!({"ok": true}))
}

fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/", get(async || DOCS))
        .route(
            "/environment",
            get(async |State(world): Shared| {
                let mut settings: Map<String, Value> = world
                    .environment()
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.into()))
                    .collect();
                let key = world.salesforce.login().private_key_pem;
                settings.insert("SF_PRIVATE_KEY".to_owned(), key.into());
                Json(Value::Object(settings))
            }),
        )
        .merge(data_routes())
        .merge(orders())
        .merge(faults())
        .merge(managed::routes())
        .route("/knobs", post(runtime_options::update))
        .route(
            "/whmcs/orders/{id}/{edit}",
            post(
                async |State(world): Shared, Path((id, edit)): Path<(u64, String)>| {
                    world.whmcs.staff(id, &edit);
                    done()
                },
            ),
        )
        .with_state(world)
}

fn data_routes() -> Router<Arc<World>> {
    Router::new()
        .route(
            "/books/salesforce",
            get(async |State(world): Shared| {
                let sim = &world.salesforce;
                let ids = sim.orders();
                let orders: Vec<Value> = ids
                    .iter()
                    .filter_map(|order| sim.order(order["Id"].as_str()?))
                    .collect();
                Json(json!({
                    "orders": orders, "accounts": sim.records("Account"),
                    "products": sim.records("Product2"), "contacts": sim.records("Contact"),
                }))
            }),
        )
        .route(
            "/books/salesforce/{id}",
            get(
                async |State(world): Shared, Path(id): Path<String>| -> Answer {
                    let order = world.salesforce.order(&id).ok_or_else(Refusal::not_found)?;
                    Ok(Json(
                        json!({"order": order, "writes": world.salesforce.history(&id)}),
                    ))
                },
            ),
        )
        .route(
            "/books/whmcs",
            get(async |State(world): Shared| Json(world.whmcs.dump())),
        )
        .route(
            "/oracle",
            get(async |State(world): Shared| Json(world.whmcs.oracle())),
        )
        .route(
            "/stats",
            get(async |State(world): Shared| Json(world.salesforce.bus_stats())),
        )
        .route(
            "/calls",
            get(async |State(world): Shared| {
                Json(json!({
                    "salesforce": world.salesforce.calls(), "whmcs": world.whmcs.calls(),
                    "counts": {
                        "salesforce": world.salesforce.call_counts(),
                        "whmcs": world.whmcs.call_counts(),
                    },
                }))
            }),
        )
}

#[derive(Debug, Deserialize)]
struct Placing {
    #[serde(default)]
    account: usize,
    #[serde(default = "one_line")]
    lines: Vec<(usize, u32)>,
    #[serde(default)]
    approve: bool,
    #[serde(default)]
    fields: Map<String, Value>,
}

fn one_line() -> Vec<(usize, u32)> {
    vec![(0, 1)]
}

#[derive(Debug, Deserialize)]
struct Raw {
    #[serde(default)]
    hex: String,
    schema_id: Option<String>,
}

fn orders() -> Router<Arc<World>> {
    Router::new()
        .route(
            "/orders",
            post(
                async |State(world): Shared, Json(order): Json<Placing>| -> Answer {
                    let fields = Value::Object(order.fields);
                    let id = world.place_order_with(order.account, &order.lines, fields)?;
                    if order.approve {
                        world.salesforce.approve(&id)?;
                    }
                    Ok(Json(json!({"id": id})))
                },
            ),
        )
        .route(
            "/orders/{id}/{act}",
            post(
                async |State(world): Shared, Path((id, act)): Path<(String, String)>| -> Answer {
                    let sim = &world.salesforce;
                    match act.as_str() {
                        "approve" => sim.approve(&id)?,
                        "retry" => sim.retry(&id)?,
                        "cancel" => sim.cancel(&id)?,
                        "republish" => {
                            let event = sim.republish(&id).ok_or_else(Refusal::not_found)?;
                            return Ok(Json(json!(event)));
                        }
                        _ => return Err(Refusal::not_found()),
                    }
                    Ok(done())
                },
            ),
        )
        .route(
            "/records/{id}",
            patch(
                async |State(world): Shared,
                       Path(id): Path<String>,
                       Json(fields): Json<Value>|
                       -> Answer {
                    world.salesforce.update(&id, fields)?;
                    Ok(done())
                },
            ),
        )
        .route(
            "/events",
            post(
                async |State(world): Shared, Json(fields): Json<Map<String, Value>>| {
                    Json(world.salesforce.publish_event(&fields))
                },
            ),
        )
        .route(
            "/events/raw",
            post(
                async |State(world): Shared, Json(raw): Json<Raw>| -> Answer {
                    let bytes = (0..raw.hex.len() / 2)
                        .map(|at| {
                            raw.hex
                                .get(at * 2..at * 2 + 2)
                                .and_then(|two| u8::from_str_radix(two, 16).ok())
                        })
                        .collect::<Option<Vec<u8>>>()
                        .ok_or_else(|| Refusal::bad("BAD_HEX", "hex digits are expected"))?;
                    let event = world
                        .salesforce
                        .publish_raw(bytes, raw.schema_id.as_deref());
                    Ok(Json(json!(event)))
                },
            ),
        )
        .route(
            "/events/duplicate",
            post(async |State(world): Shared| Json(world.salesforce.duplicate_last_event())),
        )
}

/// A route that does something with its body.
fn posted<T>(act: fn(&World, T)) -> MethodRouter<Arc<World>>
where
    T: DeserializeOwned + Send + 'static,
{
    post(
        move |State(world): Shared, Json(body): Json<T>| async move {
            act(&world, body);
            done()
        },
    )
}

fn faults() -> Router<Arc<World>> {
    let salesforce = posted(|world, fault: RestFault| world.salesforce.fault(fault));
    let stream = posted(|world, fault: StreamFault| world.salesforce.stream_fault(fault));
    let now = posted(|world, kind: StreamFaultKind| world.salesforce.fault_streams_now(kind));
    let unary = posted(|world, fault: UnaryFault| world.salesforce.unary_fault(fault));
    let whmcs = posted(|world, fault: Fault| world.whmcs.fault(fault));
    Router::new()
        .route("/faults/salesforce", salesforce)
        .route("/faults/stream", stream)
        .route("/faults/stream/now", now)
        .route("/faults/unary", unary)
        .route("/faults/whmcs", whmcs)
        .route(
            "/faults",
            delete(async |State(world): Shared| {
                world.salesforce.clear_faults();
                world.whmcs.clear_faults();
                done()
            }),
        )
        .route(
            "/holds/{name}/release",
            post(async |State(world): Shared, Path(name): Path<String>| {
                world.salesforce.release(&name);
                world.whmcs.release(&name);
                done()
            }),
        )
}
