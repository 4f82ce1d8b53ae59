//! `POST /knobs`.
use std::time::Duration;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Answer, Shared,
    problem::{Body, Problem, read},
};
use crate::{
    salesforce::{BusOptions, IdleStyle},
    whmcs::{Module, RuntimeOptions},
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Update {
    whmcs: Map<String, Value>,
    bus: BusUpdate,
    clock_seconds: i64,
    skew_seconds: i64,
    revoke_tokens: bool,
    refuse_sessions: Option<bool>,
    rotate_instance_url: bool,
    reset_org: bool,
    kill_streams: bool,
    modules: std::collections::BTreeMap<u64, Module>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BusUpdate {
    keepalive_ms: Option<u64>,
    idle_close_ms: Option<u64>,
    publish_idle_ms: Option<u64>,
    idle_style: Option<IdleStyle>,
    duplicates: Option<f64>,
    lazy_headers: Option<bool>,
    auth_delay_ms: Option<u64>,
    cut_on_revoke: Option<bool>,
    latest_blind_ms: Option<u64>,
    delivery_allocation: Option<u64>,
    max_batch: Option<usize>,
}

impl BusUpdate {
    fn apply(self, options: &mut BusOptions) {
        fn set<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        set(
            &mut options.keepalive,
            self.keepalive_ms.map(Duration::from_millis),
        );
        set(
            &mut options.idle_close,
            self.idle_close_ms.map(Duration::from_millis),
        );
        set(
            &mut options.publish_idle,
            self.publish_idle_ms.map(Duration::from_millis),
        );
        set(&mut options.idle_style, self.idle_style);
        set(&mut options.duplicates, self.duplicates);
        set(&mut options.lazy_headers, self.lazy_headers);
        set(
            &mut options.auth_delay,
            self.auth_delay_ms.map(Duration::from_millis),
        );
        set(&mut options.cut_on_revoke, self.cut_on_revoke);
        set(
            &mut options.latest_blind,
            self.latest_blind_ms.map(Duration::from_millis),
        );
        set(&mut options.max_batch, self.max_batch);
        if self.delivery_allocation.is_some() {
            options.delivery_allocation = self.delivery_allocation;
        }
    }
}

/// The bus options that are knobs, by their names.
fn bus(options: &BusOptions) -> Value {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    json!({
        "keepalive_ms": ms(options.keepalive), "idle_close_ms": ms(options.idle_close),
        "publish_idle_ms": ms(options.publish_idle), "idle_style": options.idle_style,
        "duplicates": options.duplicates, "lazy_headers": options.lazy_headers,
        "auth_delay_ms": ms(options.auth_delay), "cut_on_revoke": options.cut_on_revoke,
        "latest_blind_ms": ms(options.latest_blind),
        "delivery_allocation": options.delivery_allocation, "max_batch": options.max_batch,
    })
}

/// Every knob and its value.
pub(super) async fn show(State(world): Shared) -> Json<Value> {
    let products = world.whmcs.products().into_iter();
    let modules: Map<String, Value> = products
        .map(|product| (product.pid.to_string(), json!(product.module)))
        .collect();
    Json(json!({
        "whmcs": world.whmcs.runtime(), "bus": bus(&world.salesforce.current_bus_options()),
        "modules": modules, "now": world.salesforce.now().to_string(),
    }))
}

/// Turns knobs: all that are given, or after an error none.
pub(super) async fn update(State(world): Shared, Body(update): Body<Update>) -> Answer {
    let mut runtime = None;
    if !update.whmcs.is_empty() {
        let mut all = json!(world.whmcs.runtime());
        for (name, value) in update.whmcs {
            if all.get(&name).is_none() {
                let detail = "unknown knob; GET /knobs lists those of whmcs";
                return Err(Problem::field(format!("whmcs.{name}"), detail));
            }
            // Each for itself, so that an error names it.
            let mut changed = all.clone();
            changed[&name] = value;
            let read: Result<RuntimeOptions, _> = serde_json::from_value(changed.clone());
            read.map_err(|error| Problem::field(format!("whmcs.{name}"), error.to_string()))?;
            all = changed;
        }
        runtime = Some(read::<RuntimeOptions>(all)?);
    }
    let known = world.whmcs.products();
    let missing = update
        .modules
        .keys()
        .find(|pid| !known.iter().any(|product| product.pid == **pid));
    if let Some(pid) = missing {
        return Err(Problem::field(
            format!("modules.{pid}"),
            format!("WHMCS has no product {pid}"),
        ));
    }
    if let Some(runtime) = runtime {
        world.whmcs.turn(|now| *now = runtime);
    }
    world
        .salesforce
        .bus_options(|options| update.bus.apply(options));
    for (pid, module) in update.modules {
        world.whmcs.set_module(pid, module);
    }
    if update.clock_seconds != 0 {
        world.salesforce.pass_time(update.clock_seconds);
        world.whmcs.pass_time(update.clock_seconds);
    }
    if update.skew_seconds != 0 {
        world.salesforce.advance_clock(update.skew_seconds);
        world.whmcs.advance_clock(update.skew_seconds);
    }
    if update.revoke_tokens {
        world.salesforce.revoke_tokens();
    }
    if let Some(refuse) = update.refuse_sessions {
        world.salesforce.refuse_sessions(refuse);
    }
    if update.rotate_instance_url {
        world.salesforce.rotate_instance_url();
    }
    if update.reset_org {
        world.salesforce.reset_org();
    }
    if update.kill_streams {
        world.salesforce.kill_streams();
    }
    Ok(Json(json!({"whmcs": world.whmcs.runtime()})))
}
