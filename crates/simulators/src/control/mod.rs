//! Control API: the Rust API of the simulators as JSON over HTTP.
mod calls;
mod managed;
mod page;
mod problem;
mod records;
mod runtime_options;

use std::{io, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::Uri,
    routing::{MethodRouter, delete, get, post},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use self::problem::{Body, Problem, read_known};
use crate::{
    Listen,
    listener::{Host, Port},
    salesforce::{Refusal, RestFault, StreamFault, StreamFaultKind, UnaryFault},
    seed::SeedOrder,
    whmcs::Fault,
    world::World,
};

/// Description of the control API.
pub const DOCS: &str = "\
GET    /                       this text; in a browser the page of GET /ui
GET    /ui                     records, events and calls, live
GET    /livez /readyz          200 when everything listens
GET    /environment            the bridge's settings for this world, private key included
GET    /books/salesforce       orders with their items, accounts, products
GET    /books/salesforce/{id}  one order with its items and its writes
GET    /books/whmcs            clients, products, orders, services, module queue
GET    /oracle                 orders per marker, duplicates, remote accounts per service, mails
GET    /calls                  every call both systems received, and counts; ?system=whmcs&limit=20
                                and filters: method, route, status, action, fault, path, about, outcome, markers
GET    /events                 events on the bus with their fields; ?limit=20
GET    /stats                  the event bus
POST   /orders                 place: {\"account\":0,\"lines\":[[0,1]],\"approve\":true,\"fields\":{}}
POST   /orders/{id}/approve    the Flow publishes
POST   /orders/{id}/retry      Activation_Status__c back to Activating
POST   /orders/{id}/cancel     Status Cancelled
POST   /orders/{id}/republish  same key, new event id
GET    /records/{object|id}    all records of an object, or one
POST   /records/{object}       create: {\"Field\":value}
PATCH  /records/{id}           change fields of any record: {\"Field\":value}
DELETE /records/{id}           delete
POST   /whmcs/clients          {\"firstname\":\"Ada\",\"lastname\":\"Archer\",\"email\":\"ada@x.example\"}
POST   /whmcs/products         {\"pid\":50,\"name\":\"Mail\",\"gid\":1,\"prices\":{\"monthly\":5.0}}
POST   /whmcs/orders/{id}/{edit}  staff: cancel, fraud, accept, delete, clear_notes, build
POST   /managed                {\"developer_name\":\"Bridge\",\"running\":true,\"default_replay\":\"LATEST\"}
GET    /managed                managed subscriptions: id, committed position; also /managed/{name}
POST   /seed                   adds what a seed file has
GET    /snapshot               the state of both systems; PUT /snapshot puts it back
POST   /reset                  back to the start: no events, faults and calls
POST   /events                 publish: {\"OrderId__c\":\"801...\"}
POST   /events/raw             poison: {\"hex\":\"ffff\",\"schema_id\":null}
POST   /events/duplicate       the newest event once more
GET    /faults                 faults that are left, and how often each matched
POST   /faults/salesforce      {\"route\":\"order_patch\",\"when\":{\"next\":2},\"kind\":\"lock_row\"}
POST   /faults/stream          {\"kind\":\"status\",\"code\":\"UNAVAILABLE\",\"error_code\":\"\",\"at_response\":1,\"streams\":1}
POST   /faults/stream/now      the same kinds, for the streams open now
POST   /faults/unary           {\"rpc\":\"GetSchema\",\"code\":\"UNAVAILABLE\",\"error_code\":\"\",\"when\":{\"next\":1}}
POST   /faults/whmcs           {\"id\":\"F09\",\"action\":\"AddOrder\",\"when\":{\"next\":1},\"delay_ms\":5000}
DELETE /faults                 all of them, and every hold is released
POST   /holds/{name}/release   releases hold_before and hold_after faults of that name
GET    /knobs                  every knob and its value
POST   /knobs                  {\"whmcs\":{\"notes_stored\":false},\"bus\":{\"keepalive_ms\":500},
                                \"clock_seconds\":3600,\"skew_seconds\":0,\"revoke_tokens\":true,\"refuse_sessions\":true,
                                \"rotate_instance_url\":true,\"reset_org\":true,\"kill_streams\":true,
                                \"modules\":{\"1\":{\"script\":{\"kind\":\"fail\",\"text\":\"no disk\",\"times\":1}}}}
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
        world.remember();
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

type Shared = State<Arc<World>>;
type Answer = Result<Json<Value>, Problem>;

fn done() -> Json<Value> {
    Json(json!({"ok": true}))
}

fn router(world: Arc<World>) -> Router {
    Router::new()
        .merge(page::routes())
        .merge(calls::routes())
        .merge(records::routes())
        .route(
            "/environment",
            get(async |State(world): Shared| {
                let mut settings: Map<String, Value> = world
                    .environment()
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.into()))
                    .collect();
                let more = world.more_environment.iter().cloned();
                settings.extend(more.map(|(name, value)| (name, value.into())));
                let key = world.salesforce.login().private_key_pem;
                settings.insert("SF_PRIVATE_KEY".to_owned(), key.into());
                Json(Value::Object(settings))
            }),
        )
        .merge(data_routes())
        .merge(orders())
        .merge(faults())
        .merge(managed::routes())
        .route(
            "/knobs",
            post(runtime_options::update).get(runtime_options::show),
        )
        .fallback(async |uri: Uri| Problem::not_found(format!("no path {}", uri.path())))
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
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
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
                async |State(world): Shared, Body(order): Body<SeedOrder>| -> Answer {
                    Ok(Json(json!({"id": order.place(&world)?})))
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
                        _ => {
                            let known = "approve, retry, cancel, republish";
                            let detail = format!("no act {act}; known are {known}");
                            return Err(Problem::not_found(detail));
                        }
                    }
                    Ok(done())
                },
            ),
        )
        .route(
            "/events",
            post(
                async |State(world): Shared, Body(fields): Body<Map<String, Value>>| {
                    Json(world.salesforce.publish_event(&fields))
                },
            ),
        )
        .route(
            "/events/raw",
            post(
                async |State(world): Shared, Body(raw): Body<Raw>| -> Answer {
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
    T: DeserializeOwned + Serialize + Send + 'static,
{
    post(
        move |State(world): Shared, Body(body): Body<Value>| async move {
            act(&world, read_known(body)?);
            Ok::<_, Problem>(done())
        },
    )
}

/// The faults that are left.
fn active_faults(world: &World) -> Value {
    fn counted<T: Serialize>(faults: Vec<(T, u64)>) -> Vec<Value> {
        let shown = faults.into_iter().map(|(fault, seen)| {
            let mut shown = json!(fault);
            shown["matched"] = seen.into();
            shown
        });
        shown.collect()
    }
    json!({
        "salesforce": counted(world.salesforce.faults()),
        "stream": world.salesforce.stream_faults(),
        "unary": counted(world.salesforce.unary_faults()),
        "whmcs": counted(world.whmcs.faults()),
    })
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
            })
            .get(async |State(world): Shared| Json(active_faults(&world))),
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
