//! Lists of large and busy clients, and the catalogue, against the simulated WHMCS.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use domain::key::{ClientId, Marker, ProductId, WhmcsOrderId};
use domain::order::{MappingOverrides, Plan};
use domain::ports::{Freshness, NewOrder, OrderDetail, Provisioner, ProvisionerReads};
use outbound::Roots;
use settings::Problems;
use simulators::whmcs::{Fault, FaultId, Product, WhmcsOptions, WhmcsSim};
use simulators::{Phase, When};
use testkit::{details, order_id};
use whmcs::{Api, Options, Whmcs, WhmcsArgs};

struct Rig {
    sim: WhmcsSim,
    whmcs: Whmcs,
    client: ClientId,
}

impl Rig {
    /// An install with one client and this sort order of lists.
    async fn start(newest_first: bool) -> Self {
        outbound::install_crypto_provider();
        let sim = WhmcsSim::start(WhmcsOptions::default()).await.unwrap();
        sim.turn(|knobs| knobs.newest_first = newest_first);
        sim.set_product(Product::new(5, "Web hosting"));
        let client = sim.add_client("Ada", "Byron", "ada@example.com");
        let credentials = sim.credentials();
        let given = settings::given::<WhmcsArgs>([
            ("WHMCS_URL", sim.url()),
            ("WHMCS_IDENTIFIER", credentials.identifier),
            ("WHMCS_SECRET", credentials.secret),
            ("WHMCS_PAYMENT_METHOD", "banktransfer".to_owned()),
        ]);
        let config = given.unwrap().args.check(&mut Problems::new()).unwrap();
        let api = Api::new(config, &Roots::load(None).unwrap()).unwrap();
        let (whmcs, client) = (Whmcs::new(api, Options::default()), ClientId(client));
        Self { sim, whmcs, client }
    }

    /// Places an order of two services.
    async fn place(&self, number: u32) -> WhmcsOrderId {
        let details = details(order_id(number));
        let order = NewOrder {
            client: self.client,
            marker: Marker {
                org: details.org,
                order: details.id,
            },
            plan: Plan::of(&details.items, &MappingOverrides::default()).unwrap(),
        };
        self.whmcs.place_order(&order).await.unwrap().order
    }

    fn calls(&self, action: &str) -> usize {
        self.sim
            .call_counts()
            .get(action)
            .copied()
            .unwrap_or_default()
    }

    fn orders_of_others(&self, count: usize) {
        for _ in 0..count {
            self.sim.foreign_order(self.client.0);
        }
    }
}

#[tokio::test]
async fn newest_of_thousand_orders_need_few_calls() {
    for (newest_first, calls) in [(true, 1), (false, 2)] {
        let rig = Rig::start(newest_first).await;
        rig.orders_of_others(1000);
        let watermark = WhmcsOrderId(rig.sim.orders().last().unwrap().id);
        let ours = rig.place(1).await;
        let found = rig
            .whmcs
            .orders(rig.client, Some(watermark), OrderDetail::Services)
            .await
            .unwrap();
        let ids: Vec<_> = found.iter().map(|order| order.id).collect();
        assert_eq!(ids, [ours]);
        assert_eq!(found[0].lines.len(), 2);
        assert_eq!(
            rig.calls("getorders"),
            calls,
            "newest first: {newest_first}"
        );
        let all = rig
            .whmcs
            .orders(rig.client, None, OrderDetail::Services)
            .await
            .unwrap();
        assert_eq!(all.len(), 1001);
    }
}

#[tokio::test]
async fn concurrent_orders_hide_no_rows() {
    for newest_first in [true, false] {
        let rig = Rig::start(newest_first).await;
        let ours = rig.place(1).await;
        rig.orders_of_others(450);
        let sibling = Fault::new(FaultId::F26).on("GetOrders");
        rig.sim.fault(sibling.when(When::Always));
        let before = rig.sim.orders();
        let found = rig
            .whmcs
            .orders(rig.client, None, OrderDetail::Services)
            .await
            .unwrap();
        for order in &before {
            let id = WhmcsOrderId(order.id);
            assert!(found.iter().any(|found| found.id == id), "{id}");
        }
        let seen = found.iter().find(|order| order.id == ours).unwrap();
        assert_eq!(seen.lines.len(), 2);
        assert!(rig.calls("getorders") <= 7);
    }
}

#[tokio::test]
async fn services_of_one_order_are_read_individually() {
    let rig = Rig::start(true).await;
    for number in 1..=60 {
        rig.place(number).await;
    }
    let ours = rig.place(61).await;
    let seen = rig.whmcs.order(rig.client, ours).await.unwrap().unwrap();
    assert_eq!(seen.lines.len(), 2);
    assert!(seen.lines.iter().all(|line| line.product.is_some()));
    // One page with the total, then each of the two services.
    assert_eq!(rig.calls("getclientsproducts"), 3);
}

#[tokio::test]
async fn services_that_are_older_than_their_orders_are_read_again() {
    let rig = Rig::start(true).await;
    rig.place(1).await;
    let orders = rig.sim.hold("GetOrders", Phase::Before);
    let search = rig.whmcs.orders(rig.client, None, OrderDetail::Services);
    let sibling = async {
        orders.arrived(1).await;
        // The services are on their way; then an order appears before the orders are read.
        while rig
            .sim
            .calls()
            .iter()
            .all(|call| call.action != "getclientsproducts" || call.outcome.is_empty())
        {
            tokio::task::yield_now().await;
        }
        let placed = rig.place(2).await;
        orders.release();
        placed
    };
    let (found, sibling) = tokio::join!(search, sibling);
    let found = found.unwrap();
    let seen = found.iter().find(|order| order.id == sibling).unwrap();
    assert!(seen.lines.iter().all(|line| line.product.is_some()));
    assert_eq!(rig.calls("getclientsproducts"), 2);
}

#[tokio::test]
async fn search_for_markers_reads_no_services_without_line_markers() {
    let rig = Rig::start(true).await;
    let placed = rig.place(1).await;
    let found = rig.whmcs.orders(rig.client, None, OrderDetail::Markers);
    let ids: Vec<_> = found.await.unwrap().iter().map(|order| order.id).collect();
    assert_eq!(ids, [placed]);
    assert_eq!(rig.calls("getclientsproducts"), 0);
}

#[tokio::test]
async fn catalogue_is_read_once_for_simultaneous_callers_and_anew_on_request() {
    let rig = Rig::start(true).await;
    let products = [ProductId(5)];
    let recent = || rig.whmcs.catalogue(&products, Freshness::Recent);
    let (one, other) = tokio::join!(recent(), recent());
    assert_eq!(one.unwrap(), other.unwrap());
    recent().await.unwrap();
    assert_eq!(rig.calls("getproducts"), 1);

    let mut corrected = Product::new(5, "Web hosting");
    corrected.prices.remove("monthly");
    rig.sim.set_product(corrected);
    let fresh = rig
        .whmcs
        .catalogue(&products, Freshness::Now)
        .await
        .unwrap();
    assert_eq!(recent().await.unwrap(), fresh, "later callers see it too");
    assert_eq!(rig.calls("getproducts"), 2);
}

#[tokio::test]
async fn connections_are_reused() {
    let rig = Rig::start(true).await;
    rig.place(1).await;
    let search = || rig.whmcs.orders(rig.client, None, OrderDetail::Services);
    for _ in 0..5 {
        search().await.unwrap();
    }
    assert_eq!(rig.sim.connections(), 2, "one for each of the two lists");
}

#[tokio::test]
async fn failed_read_of_the_catalogue_is_not_kept() {
    let rig = Rig::start(true).await;
    let products = [ProductId(5)];
    rig.sim.fault(Fault::new(FaultId::F05).on("GetProducts"));
    let recent = || rig.whmcs.catalogue(&products, Freshness::Recent);
    let (one, other) = tokio::join!(recent(), recent());
    assert!(
        one.is_err() && other.is_err(),
        "both waited for the same call"
    );
    assert!(recent().await.unwrap().is_some());
}

#[tokio::test]
async fn unanswered_call_is_remembered_until_one_is_answered() {
    let rig = Rig::start(true).await;
    let reachability = rig.whmcs.reachability();
    assert_eq!(reachability.problem(), None);
    rig.sim.stop().await;
    assert!(rig.whmcs.probe().await.is_err());
    let problem = reachability.problem().unwrap();
    assert!(problem.contains("refused"), "{problem}");
    rig.sim.restart().await.unwrap();
    rig.whmcs.probe().await.unwrap();
    assert_eq!(reachability.problem(), None);
}
