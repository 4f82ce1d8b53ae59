//! The programs die by SIGKILL at every named point and at random moments, and go on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use domain::id::OrderId;
use domain::ports::JobReader;
use e2e::points::{FATES, reached_file};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use simulators::When;
use simulators::whmcs::{Fault, FaultId, Module};

use crate::house::{House, Settings};
use crate::process::{Process, was_killed};

const WORKER: &str = env!("CARGO_BIN_EXE_victim-worker");
const SUBSCRIBER: &str = env!("CARGO_BIN_EXE_victim-subscriber");

/// What a run of orders is to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing but the worker's death.
    Plain,
    /// The account has no WHMCS client yet.
    NewClient,
    /// AddOrder happens and its answer is lost.
    AnswerLost,
    /// AddOrder does not happen and nobody knows; the operator asks again.
    RequestLost,
    /// The module fails; the operator mends it and asks again.
    ModuleFails,
}

/// Both sides of a call.
fn around(name: &str) -> [String; 2] {
    [format!("before {name}"), format!("after {name}")]
}

/// Every point of the worker's road, with the kind of order that comes by.
fn worker_points() -> Vec<(Kind, String)> {
    let mut points = vec![(Kind::Plain, "after queue.claim".to_owned())];
    for (kind, names) in [
        (
            Kind::Plain,
            vec![
                "salesforce.details",
                "queue.record checked",
                "whmcs.client",
                "queue.record client",
                "whmcs.orders",
                "whmcs.catalogue",
                "queue.record placing",
                "whmcs.place_order",
                "queue.record placed",
                "queue.record verified",
                "whmcs.order",
                "queue.record accepting",
                "whmcs.accept_order",
                "queue.record accept_answered",
                "queue.record accepted",
                "salesforce.standing",
                "salesforce.report_items",
                "queue.record items_reported",
                "salesforce.report",
                "queue.finish",
            ],
        ),
        (
            Kind::NewClient,
            vec![
                "whmcs.client_by_email",
                "queue.record creating_client",
                "whmcs.create_client",
                "salesforce.link_client",
            ],
        ),
        (
            Kind::AnswerLost,
            vec!["queue.record place_unknown", "queue.release"],
        ),
        (
            Kind::RequestLost,
            vec!["queue.record searched_empty", "queue.record refused"],
        ),
        (
            Kind::ModuleFails,
            vec![
                "queue.record accept_failed",
                "queue.record creating",
                "whmcs.create_service",
                "queue.record created",
            ],
        ),
    ] {
        let both = names.into_iter().flat_map(around);
        points.extend(both.map(|point| (kind, point)));
    }
    points
}

impl House {
    fn order_of(&self, kind: Kind) -> OrderId {
        if kind != Kind::NewClient {
            return self.place();
        }
        let account = self.salesforce.create_account("New Ltd", None).unwrap();
        self.place_billed(&account)
    }

    fn spoil(&self, kind: Kind, order: &OrderId) {
        let fault = match kind {
            Kind::Plain | Kind::NewClient => return,
            Kind::AnswerLost => Fault::new(FaultId::F05).on("AddOrder"),
            Kind::RequestLost => Fault::new(FaultId::F08).on("AddOrder"),
            // By order, while the others' modules work.
            Kind::ModuleFails => Fault::new(FaultId::F31)
                .on("AcceptOrder")
                .module(Module::failing("no room on the server")),
        };
        self.whmcs
            .fault(fault.marker(order.as_str()).when(When::Next(1)));
    }

    /// Runs a victim again and again, each time it has died, until `done` holds.
    async fn outlive(&self, program: &str, settings: &Settings, done: impl AsyncFn() -> bool) {
        let log = self.file("victims.log");
        loop {
            let mut victim = Process::start(program, settings, &log);
            tokio::select! {
                status = victim.ended() => {
                    let log = || fs::read_to_string(&log).unwrap_or_default();
                    assert!(was_killed(status), "{status}\n{}", log());
                }
                () = self.until(&done) => return victim.kill().await,
            }
        }
    }

    /// An order may only fail for what was done to it, or because its worker died between
    /// the intent and the call, and then there is nothing in WHMCS.
    fn assert_failed_rightly(&self, order: &OrderId, kind: Kind, point: &str) {
        let code = self.field(order, "Activation_Error_Code__c");
        let n_orders = self.whmcs.orders_for(order.as_str()).len();
        let right = match code.as_str() {
            "WHMCS_OUTCOME_UNKNOWN" => n_orders == 0,
            "WHMCS_MODULE_FAILED" => n_orders == 1 && kind == Kind::ModuleFails,
            _ => false,
        };
        assert!(
            right,
            "{order}, {kind:?}, {point}: {code} with {n_orders} WHMCS orders: {}",
            self.field(order, "Activation_Error_Message__c")
        );
    }

    /// One order for each point, whose worker dies there; keeps the points that nobody came
    /// by. Every order ends provisioned once, after operator's retries where they are due.
    async fn lose_workers_at(
        &self,
        points: &mut Vec<(Kind, String)>,
        fates: &Path,
        settings: &Settings,
    ) {
        let mut orders = Vec::new();
        let mut lines = Vec::new();
        for (kind, point) in &*points {
            let order = self.order_of(*kind);
            self.spoil(*kind, &order);
            lines.push(format!("{order} {point}"));
            orders.push(order);
        }
        fs::write(fates, lines.join("\n")).unwrap();
        for order in &orders {
            self.salesforce.approve(order.as_str()).unwrap();
        }
        for _ in 0..4 {
            let ended = async || self.all_stand(&orders, &["Activated", "Failed"]).await;
            self.outlive(WORKER, settings, ended).await;
            for (order, (kind, point)) in orders.iter().zip(&*points) {
                if self.field(order, "Activation_Status__c") == "Failed" {
                    self.assert_failed_rightly(order, *kind, point);
                    self.salesforce.retry(order.as_str()).unwrap();
                }
            }
        }
        let ended = async || self.all_stand(&orders, &["Activated"]).await;
        self.outlive(WORKER, settings, ended).await;
        for order in &orders {
            self.assert_provisioned_once(order);
        }
        let reached = fs::read_to_string(reached_file(fates)).unwrap_or_default();
        let mut lines = lines.iter();
        points.retain(|_| {
            let line = lines.next().expect("there is a line for each point");
            !reached.lines().any(|reached| reached == line)
        });
    }

    /// Whether every one of these orders has one of these activation statuses, and no job
    /// is left.
    async fn all_stand(&self, orders: &[OrderId], statuses: &[&str]) -> bool {
        let tally = self.store.tally().await.unwrap();
        let left = tally.count("queued") + tally.count("leased");
        let stands = |order: &OrderId| {
            statuses.contains(&self.field(order, "Activation_Status__c").as_str())
        };
        left == 0 && orders.iter().all(stands)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_at_any_named_point_goes_on_and_doubles_nothing() {
    let house = House::new().await;
    let config = house.file("bridge.toml");
    fs::write(&config, "[whmcs]\nidempotent_modules = [\"simulated\"]\n").unwrap();
    let fates = house.file("fates");
    let mut settings = house.mortal_worker_settings();
    settings.extend([
        (FATES, fates.display().to_string()),
        ("ORDERBRIDGE_CONFIG", config.display().to_string()),
        ("WHMCS_CREATE_CLIENTS", "true".to_owned()),
        ("WORKER_CONCURRENCY", "4".to_owned()),
    ]);
    let subscriber = house.subscribe();
    let mut points = worker_points();
    // A death takes the other orders in hand with it, some of them past their own point:
    // those get another order.
    for _ in 0..8 {
        house.lose_workers_at(&mut points, &fates, &settings).await;
        if points.is_empty() {
            break;
        }
    }
    assert!(points.is_empty(), "nobody died at {points:#?}");
    assert!(house.whmcs.duplicates().is_empty() && house.whmcs.doubled_accounts().is_empty());
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_killed_at_any_named_point_loses_and_doubles_nothing() {
    let house = House::new().await;
    let points: Vec<_> = [
        "store.lead",
        "store.cursor",
        "source.open",
        "store.accept events",
    ]
    .into_iter()
    .flat_map(around)
    .chain(["after source.next events".to_owned()])
    .collect();
    let lines: Vec<_> = points.iter().map(|point| format!("* {point}\n")).collect();
    let fates = house.file("fates");
    fs::write(&fates, lines.concat()).unwrap();
    let mut settings = house.subscriber_settings();
    settings.push((FATES, fates.display().to_string()));
    let orders = house.approve(60);
    let reached = async || {
        let reached = fs::read_to_string(reached_file(&fates)).unwrap_or_default();
        let all = points.len() == reached.lines().count();
        all && house.store_holds(60).await
    };
    house.outlive(SUBSCRIBER, &settings, reached).await;
    house.assert_one_job_each(&orders).await;
    let worker = house.work();
    for order in &orders {
        house.until_activation(order, "Activated").await;
        house.assert_provisioned_once(order);
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_thirty_random_moments_the_programs_provision_every_order_once() {
    let seed = 20_261_124;
    let mut random = StdRng::seed_from_u64(seed);
    let house = House::new().await;
    let config = house.file("bridge.toml");
    fs::write(&config, "[whmcs]\nidempotent_modules = [\"simulated\"]\n").unwrap();
    let fates = house.file("fates");
    fs::write(&fates, "").unwrap();
    let fates = (FATES, fates.display().to_string());
    let mut worker = house.mortal_worker_settings();
    worker.push(fates.clone());
    worker.push(("ORDERBRIDGE_CONFIG", config.display().to_string()));
    let mut subscriber = house.subscriber_settings();
    subscriber.push(fates);
    let log = house.file("victims.log");
    let mut orders = Vec::new();
    let mut programs = [
        Process::start(WORKER, &worker, &log),
        Process::start(SUBSCRIBER, &subscriber, &log),
    ];
    for _ in 0..30 {
        orders.extend(house.approve(2));
        // The moment is what is tried here.
        tokio::time::sleep(Duration::from_millis(random.random_range(5..250))).await;
        let which = usize::from(random.random_bool(0.3));
        let next = match which {
            0 => Process::start(WORKER, &worker, &log),
            _ => Process::start(SUBSCRIBER, &subscriber, &log),
        };
        std::mem::replace(&mut programs[which], next).kill().await;
    }
    assert_eq!(orders.len(), 60);
    let ended = async || house.all_stand(&orders, &["Activated", "Failed"]).await;
    house.until(&ended).await;
    for order in &orders {
        if house.field(order, "Activation_Status__c") == "Failed" {
            house.assert_failed_rightly(order, Kind::Plain, "a random moment");
            house.salesforce.retry(order.as_str()).unwrap();
        }
    }
    house.until(&ended).await;
    for order in &orders {
        house.assert_provisioned_once(order);
    }
    assert!(house.whmcs.duplicates().is_empty() && house.whmcs.doubled_accounts().is_empty());
    for program in programs {
        program.stop().await;
    }
}
