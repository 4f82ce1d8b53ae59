//! Output of the demo.
#![expect(clippy::print_stdout, reason = "command-line output")]

use std::path::Path;
use std::time::Duration;

use simulators::World;

use crate::orders::{Placed, Problem, field};

/// Prints a line.
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// Prints the URLs and the number of orders.
pub(crate) fn announce(world: &World, data: &Path, orders: &[Placed], portal: &str) {
    println!("simulated Salesforce  {}", world.salesforce.rest_url());
    println!("simulated Pub/Sub     {}", world.salesforce.pubsub_url());
    println!("simulated WHMCS       {}", world.whmcs.url());
    println!("job store             {}", data.display());
    println!("operator console      {portal}/ops");
    if let Some(order) = orders.first() {
        println!("a customer's page     {portal}/orders/{}", order.id);
    }
    println!("\n{} orders were placed and approved:", orders.len());
    println!(
        "{:<19} {:<11} {:<21} {:<6} time",
        "order", "status", "why", "WHMCS"
    );
}

/// The state of an order as a line.
pub(crate) fn line(world: &World, order: &Placed) -> String {
    let activation = field(world, &order.id, "Activation_Status__c");
    let code = field(world, &order.id, "Activation_Error_Code__c");
    let note = match order.problem {
        Problem::LostReply if code.is_empty() => "(AddOrder reply lost)",
        Problem::ApprovedTwice if code.is_empty() => "(event sent twice)",
        _ => code.as_str(),
    };
    let whmcs = field(world, &order.id, "WHMCS_Order_ID__c");
    let time = world.salesforce.time_to_result(&order.id);
    let time = match time.last() {
        Some(time) if activation != "Activating" => format!("{:.2} s", time.as_secs_f64()),
        _ => String::new(),
    };
    format!(
        "{:<19} {activation:<11} {note:<21} {whmcs:<6} {time}",
        order.id
    )
}

/// Compares Salesforce and WHMCS; returns whether everything is as expected.
pub(crate) fn check(world: &World, orders: &[Placed]) -> bool {
    let mut provisioned = 0;
    let mut most = 0;
    let mut missing = 0;
    let mut times = Vec::new();
    for order in orders {
        let in_whmcs = world.whmcs.orders_for(&order.id).len();
        most = most.max(in_whmcs);
        missing += usize::from(in_whmcs == 0);
        provisioned += usize::from(field(world, &order.id, "Status") == "Provisioned");
        times.extend(world.salesforce.time_to_result(&order.id));
    }
    times.sort_unstable();
    let at = |share: usize| -> Duration {
        let place = (times.len() * share / 100).min(times.len().saturating_sub(1));
        times.get(place).copied().unwrap_or_default()
    };
    let duplicates = world.whmcs.duplicate_accounts().len();
    println!(
        "\norders provisioned                   {provisioned} of {}",
        orders.len()
    );
    println!(
        "approval to write-back               p50 {:.2} s, p95 {:.2} s",
        at(50).as_secs_f64(),
        at(95).as_secs_f64()
    );
    println!("WHMCS orders per Salesforce order    max {most}");
    println!("services built more than once        {duplicates}");
    let good = provisioned == orders.len() && most <= 1 && missing == 0 && duplicates == 0;
    println!(
        "{}",
        if good {
            "Salesforce and WHMCS agree."
        } else {
            "SALESFORCE AND WHMCS DISAGREE."
        }
    );
    good
}
