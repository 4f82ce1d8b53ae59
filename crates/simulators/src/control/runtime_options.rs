//! `POST /knobs`.
use std::time::Duration;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Shared};
use crate::{
    salesforce::{BusOptions, IdleStyle, Refusal},
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

pub(super) async fn update(State(world): Shared, Json(update): Json<Update>) -> Answer {
    if !update.whmcs.is_empty() {
        let mut all = json!(world.whmcs.runtime());
        for (name, value) in update.whmcs {
            all[name] = value;
        }
        let runtime: RuntimeOptions = serde_json::from_value(all)
            .map_err(|error| Refusal::bad("BAD_KNOB", error.to_string()))?;
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
