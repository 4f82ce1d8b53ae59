//! How many calls an ordinary order costs, and how many of them wait for another.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::id::OrderId;
use jiff::Timestamp;
use simulators::When;
use simulators::salesforce::{RestFault, RestFaultKind, Route};
use simulators::whmcs::{Fault, FaultId, Product};

use crate::test_env::TestEnv;

/// How long each call takes. Calls that arrive within this time of another were made beside it.
const DELAY: Duration = Duration::from_millis(300);

/// The calls of one order: when each arrived, and how often which was made.
struct Calls {
    whmcs: Vec<(Timestamp, String)>,
    salesforce: Vec<(Timestamp, String)>,
}

impl Calls {
    fn rounds(&self) -> usize {
        rounds(self.whmcs.iter().chain(&self.salesforce))
    }
}

/// The number of round trips one after the other.
fn rounds<'a>(calls: impl Iterator<Item = &'a (Timestamp, String)>) -> usize {
    let mut arrivals: Vec<_> = calls.map(|(at, _)| *at).collect();
    arrivals.sort_unstable();
    let mut rounds = 0;
    let mut round_ends = Timestamp::MIN;
    for at in arrivals {
        if at >= round_ends {
            rounds += 1;
            round_ends = at + DELAY;
        }
    }
    rounds
}

fn counts(calls: &[(Timestamp, String)]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for (_, name) in calls {
        *counts.entry(name.as_str()).or_default() += 1;
    }
    counts
}

/// Provisions an order and returns its calls.
async fn calls_of(env: &TestEnv, order: OrderId) -> Calls {
    let before = (env.whmcs.calls().len(), env.salesforce.calls().len());
    env.salesforce.approve(order.as_str()).unwrap();
    env.until_activation(&order, "Activated").await;
    env.assert_provisioned_once(&order);
    let whmcs = env.whmcs.calls().into_iter().skip(before.0);
    let salesforce = env.salesforce.calls().into_iter().skip(before.1);
    Calls {
        whmcs: whmcs.map(|call| (call.at, call.action)).collect(),
        salesforce: salesforce.map(|call| (call.at, call.route)).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ordinary_order_needs_nine_whmcs_calls_in_five_round_trips() {
    let mut env = TestEnv::new().await;
    env.whmcs.set_product(Product::new(6, "Mail"));
    env.sell("Mail", 6);
    let (subscriber, worker) = (env.subscribe_with(&[("RECONCILE_EVERY", "0")]), env.work());
    // The worker logs in, and the client has an order.
    calls_of(&env, env.place()).await;
    let slow = Fault::new(FaultId::F15).delay_ms(300);
    env.whmcs.fault(slow.when(When::Always));
    let slow = RestFault::new(Route::Any, RestFaultKind::Delay { ms: 300 });
    env.salesforce.fault(slow.when(When::Always));

    let calls = calls_of(&env, env.place_last_sold()).await;
    let expected = [
        ("acceptorder", 1),
        ("addorder", 1),
        ("getclientsdetails", 1),
        ("getclientsproducts", 2),
        ("getorders", 3),
        ("getproducts", 1),
    ];
    assert_eq!(counts(&calls.whmcs), BTreeMap::from(expected));
    assert_eq!(rounds(calls.whmcs.iter()), 5, "{:?}", calls.whmcs);
    let expected = [
        ("items_patch", 1),
        ("order_get", 1),
        ("order_patch", 1),
        ("query", 1),
    ];
    assert_eq!(counts(&calls.salesforce), BTreeMap::from(expected));
    assert_eq!(
        calls.rounds(),
        8,
        "{:?} {:?}",
        calls.whmcs,
        calls.salesforce
    );

    let calls = calls_of(&env, env.place_last_sold()).await;
    let cached = counts(&calls.whmcs).get("getproducts").copied();
    assert_eq!(cached, None, "the catalogue was read a moment ago");
    assert_eq!(calls.whmcs.len(), 8);
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn correction_of_the_catalogue_works_at_once() {
    let mut env = TestEnv::new().await;
    env.sell("Mail", 6);
    let (subscriber, worker) = (env.subscribe(), env.work());
    let order = env.place_last_sold();
    env.salesforce.approve(order.as_str()).unwrap();
    env.until_activation(&order, "Failed").await;
    assert_eq!(
        env.field(&order, "Activation_Error_Code__c"),
        "MAPPING_INVALID"
    );
    env.whmcs.set_product(Product::new(6, "Mail"));
    env.salesforce.retry(order.as_str()).unwrap();
    env.until_activation(&order, "Activated").await;
    env.assert_provisioned_once(&order);
    worker.stop().await;
    subscriber.stop().await;
}
