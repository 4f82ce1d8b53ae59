//! Waits for the orders to finish and compares both systems.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use simulators::World;

use crate::faults::field;
use crate::operator;
use crate::say;

/// Waits until every order is provisioned, retrying those that failed. Returns whether all were.
pub(crate) async fn wait_until_provisioned(
    world: &World,
    orders: &[String],
    timeout: Duration,
) -> anyhow::Result<bool> {
    let started = Instant::now();
    let mut retries = 0;
    loop {
        let mut left = 0;
        for order in orders {
            match field(world, order, "Activation_Status__c").as_str() {
                "Activated" => {}
                "Failed" => {
                    left += 1;
                    retries += 1;
                    operator::resolve(world, order)?;
                }
                _ => left += 1,
            }
        }
        if left == 0 {
            say(&format!(
                "all orders finished after {:.0} s, with {retries} operator retries",
                started.elapsed().as_secs_f64()
            ));
            return Ok(true);
        }
        if started.elapsed() > timeout {
            say(&format!("{left} orders did not finish"));
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Compares Salesforce and WHMCS, and prints each difference.
pub(crate) fn compare(world: &World, orders: &[String]) -> bool {
    let mut differences = Vec::new();
    let mut lost = 0;
    for order in orders {
        let placed = world.whmcs.orders_for(order);
        let (status, number) = (
            field(world, order, "Status"),
            field(world, order, "WHMCS_Order_ID__c"),
        );
        lost += usize::from(placed.is_empty());
        if status != "Provisioned" {
            let code = field(world, order, "Activation_Error_Code__c");
            differences.push(format!("{order} is {status} {code}"));
        }
        match placed.as_slice() {
            [one] if one.id.to_string() == number => {}
            other => {
                let ids: Vec<_> = other.iter().map(|order| order.id).collect();
                differences.push(format!("{order} names `{number}`, WHMCS has {ids:?}"));
            }
        }
    }
    let duplicates: BTreeMap<_, _> = world.whmcs.duplicate_accounts();
    differences.extend(
        duplicates
            .iter()
            .map(|(service, times)| format!("service {service} was built {times} times")),
    );
    for difference in differences.iter().take(20) {
        say(difference);
    }
    say(&format!(
        "orders {}, lost {lost}, placed more than once {}, services built more than once {}",
        orders.len(),
        world.whmcs.duplicates().len(),
        duplicates.len()
    ));
    let consistent = differences.is_empty() && world.whmcs.duplicates().is_empty();
    say(match consistent {
        true => "Salesforce and WHMCS agree.",
        false => "SALESFORCE AND WHMCS DISAGREE.",
    });
    consistent
}
