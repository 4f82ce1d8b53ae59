//! The orders of the demo and their problems.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use simulators::salesforce::{Line, NewOrder};
use simulators::whmcs::{Fault, FaultId, Module, ModuleScript, Product};
use simulators::{When, World};

use crate::bridge::Bridge;
use crate::table::Table;

/// The WHMCS product whose module fails at first.
const BROKEN: u64 = 990;
/// Timeout of one round of orders, longer for many.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The problem of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    None,
    Unmapped,
    BrokenModule,
    LostReply,
    ApprovedTwice,
}

/// An order of the demo.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) id: String,
    pub(crate) problem: Problem,
    product: Option<String>,
}

impl Placed {
    /// The error code that the order must show before it is fixed.
    pub(crate) fn expected_failure(&self) -> Option<&'static str> {
        match self.problem {
            Problem::Unmapped => Some("MAPPING_MISSING"),
            Problem::BrokenModule => Some("WHMCS_MODULE_FAILED"),
            Problem::None | Problem::LostReply | Problem::ApprovedTwice => None,
        }
    }
}

/// A field of an order, as text.
pub(crate) fn field(world: &World, order: &str, name: &str) -> String {
    let record = world.salesforce.order(order).unwrap_or_default();
    record[name].as_str().unwrap_or_default().to_owned()
}

/// Places and approves the orders.
pub(crate) fn place(world: &World, n_orders: usize, seed: u64) -> anyhow::Result<Vec<Placed>> {
    let broken = Module::failing("Simulated panel: no room on the server");
    world
        .whmcs
        .set_product(Product::new(BROKEN, "VPS on a full server").with_module(broken));
    let mapped = BROKEN.to_string();
    let (_, vps) = world
        .salesforce
        .create_product("VPS", Some(&mapped), Some("monthly"), 29.0)
        .map_err(refused)?;
    let mut orders = Vec::new();
    for n in 0..n_orders {
        let account = n % world.accounts.len();
        let product = n % world.products.len();
        let quantity = u32::try_from(n % 3)? + 1;
        let problem = match (n + usize::try_from(seed)?) % 8 {
            2 => Problem::Unmapped,
            4 => Problem::BrokenModule,
            6 => Problem::LostReply,
            _ if n == 1 => Problem::ApprovedTwice,
            _ => Problem::None,
        };
        let mut unmapped = None;
        let entry = match problem {
            Problem::Unmapped => {
                let (id, entry) = world
                    .salesforce
                    .create_product(&format!("New product {n}"), None, Some("annually"), 99.0)
                    .map_err(refused)?;
                unmapped = Some(id);
                entry
            }
            Problem::BrokenModule => vps.clone(),
            _ => world.products[product].pricebook_entry.clone(),
        };
        let order = NewOrder {
            account: world.accounts[account].salesforce.clone(),
            lines: vec![Line::new(&entry, quantity)],
            ..NewOrder::default()
        };
        let id = world.salesforce.place_order(order).map_err(refused)?;
        if problem == Problem::LostReply {
            let marker = format!("orderbridge:v1:{}:{id}", world.salesforce.org_id());
            let fault = Fault::new(FaultId::F05).on("AddOrder").marker(&marker);
            world.whmcs.fault(fault.when(When::Next(1)));
        }
        world.salesforce.approve(&id).map_err(refused)?;
        if problem == Problem::ApprovedTwice {
            world.salesforce.republish(&id);
        }
        orders.push(Placed {
            id,
            problem,
            product: unmapped,
        });
    }
    Ok(orders)
}

/// Follows the orders until each has finished.
pub(crate) async fn follow(
    world: &World,
    orders: &[Placed],
    bridge: &Bridge,
    table: &mut Table,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let timeout = TIMEOUT + Duration::from_millis(200) * u32::try_from(orders.len())?;
    let mut waiting: Vec<_> = orders.iter().collect();
    while !waiting.is_empty() {
        waiting.retain(|order| {
            let activation = field(world, &order.id, "Activation_Status__c");
            let ended = matches!(activation.as_str(), "Activated" | "Failed");
            if ended {
                table.ended(world, order);
            }
            !ended
        });
        table.draw(world, orders)?;
        if bridge.is_broken() {
            bail!("a program of the bridge has ended");
        }
        if started.elapsed() > timeout {
            bail!("{} orders not finished after {timeout:?}", waiting.len());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    table.leave();
    Ok(())
}

/// Fixes the causes, as an operator does.
pub(crate) fn fix_causes(world: &World, orders: &[Placed]) -> anyhow::Result<()> {
    world
        .whmcs
        .set_module(BROKEN, Module::new(ModuleScript::Ok));
    for order in orders {
        let Some(expected) = order.expected_failure() else {
            continue;
        };
        let code = field(world, &order.id, "Activation_Error_Code__c");
        if code != expected {
            bail!("order {} shows `{code}` instead of {expected}", order.id);
        }
        if let Some(product) = &order.product {
            let pid = world.products[0].pid.to_string();
            world
                .salesforce
                .set_field(product, "WHMCS_Product_Id__c", pid)
                .map_err(refused)
                .context("mapping a product")?;
        }
    }
    Ok(())
}

/// Retries the failed orders, as an operator does.
pub(crate) fn retry(world: &World, orders: &[Placed]) -> anyhow::Result<Vec<Placed>> {
    crate::summary::say(
        "\nThe operator maps the new products, frees space on the server, and retries:",
    );
    let failed = orders
        .iter()
        .filter(|order| order.expected_failure().is_some());
    let failed: Vec<_> = failed.cloned().collect();
    for order in &failed {
        world.salesforce.retry(&order.id).map_err(refused)?;
    }
    Ok(failed)
}

fn refused(refusal: impl std::fmt::Debug) -> anyhow::Error {
    anyhow::anyhow!("the simulated Salesforce rejected the order: {refusal:?}")
}
