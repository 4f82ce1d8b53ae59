//! The programs die by SIGKILL at every named point and at random moments, and go on.

mod alert;
mod effects;
mod letters;
mod matrix;
mod points;
mod portal;
mod random;
mod subscriber;
mod worker;

use std::fs;
use std::path::Path;

use domain::id::OrderId;
use e2e::points::{FATES, reached_file};
use e2e::staff::finish_set_up;
use simulators::When;
use simulators::salesforce::{RestFault, RestFaultKind, Route};
use simulators::whmcs::{Fault, FaultId, Module, ModuleScript};

use crate::house::{TestEnv, Settings};
use crate::process::{Process, was_killed};
use points::{Call, Case, Kind, Loss, Write};

const WORKER: &str = env!("CARGO_BIN_EXE_victim-worker");
const SUBSCRIBER: &str = env!("CARGO_BIN_EXE_victim-subscriber");

impl TestEnv {
    /// Settings of a worker that dies by the fates in that file.
    fn victim_settings(&self, fates: &Path) -> Settings {
        let config = self.file("bridge.toml");
        fs::write(&config, "[whmcs]\nidempotent_modules = [\"simulated\"]\n").unwrap();
        let mut settings = self.mortal_worker_settings();
        settings.extend([
            (FATES, fates.display().to_string()),
            ("ORDERBRIDGE_CONFIG", config.display().to_string()),
            ("WHMCS_CREATE_CLIENTS", "true".to_owned()),
            ("WORKER_CONCURRENCY", "4".to_owned()),
        ]);
        settings
    }

    /// Loses a worker at each of these points, and sees every order to its right end.
    ///
    /// A death takes the other orders in hand with it, some of them past their own point:
    /// those points get another order.
    async fn lose_workers_everywhere(&self, mut cases: Vec<Case>) {
        let fates = self.file("fates");
        let settings = self.victim_settings(&fates);
        let subscriber = self.subscribe();
        for _ in 0..8 {
            self.lose_workers_at(&mut cases, &fates, &settings).await;
            if cases.is_empty() {
                break;
            }
        }
        assert!(cases.is_empty(), "nobody died at {cases:#?}");
        assert!(self.whmcs.doubled_accounts().is_empty());
        subscriber.stop().await;
    }

    fn order_of(&self, kind: Kind) -> OrderId {
        match kind {
            Kind::NewClient => {
                let account = self.salesforce.create_account("New Ltd", None).unwrap();
                self.place_billed(&account)
            }
            Kind::SetUpLost { listed: false, .. } => self.place_last_sold(),
            _ => self.place(),
        }
    }

    fn spoil(&self, kind: Kind, order: &OrderId) {
        let fault = match kind {
            Kind::Plain | Kind::NewClient => return,
            Kind::SetUpLost { call, loss, listed } => {
                return self.lose_set_up(order, call, loss, listed);
            }
            Kind::WriteFails { write, fault } => return self.fail_write(order, write, fault),
            Kind::Spoilt(id) => Fault::new(id)
                .with_effect()
                .on("AddOrder")
                .delay_ms(if id == FaultId::F10 { 150 } else { 600_000 }),
            Kind::RequestLost => Fault::new(FaultId::F08).on("AddOrder"),
            // By order, while the others' modules work.
            Kind::ModuleFails => Fault::new(FaultId::F31)
                .on("AcceptOrder")
                .module(Module::failing("no room on the server")),
        };
        self.whmcs
            .fault(fault.marker(order.as_str()).when(When::Next(1)));
    }

    /// Spoils AcceptOrder, or a ModuleCreate that comes after an AcceptOrder without effect:
    /// one whose request was lost, or for modules that are not listed one that failed.
    fn lose_set_up(&self, order: &OrderId, call: Call, loss: Loss, listed: bool) {
        let action = match call {
            Call::AcceptOrder => "AcceptOrder",
            Call::ModuleCreate => "ModuleCreate",
        };
        let fault = match loss {
            Loss::Reply => Fault::new(FaultId::F08).with_effect(),
            Loss::Request => Fault::new(FaultId::F08),
            Loss::Page => Fault::new(FaultId::F04),
            Loss::Cut => Fault::new(FaultId::F07),
            Loss::Died => Fault::new(FaultId::F31).module(Module::new(ModuleScript::CreateThenDie)),
        };
        let mut faults = vec![fault.on(action)];
        if call == Call::ModuleCreate {
            let before = match listed {
                true => Fault::new(FaultId::F08),
                false => Fault::new(FaultId::F31).module(Module::failing("no room on the server")),
            };
            faults.push(before.on("AcceptOrder"));
        }
        for fault in faults {
            self.whmcs.fault(fault.marker(order.as_str()));
        }
    }

    fn fail_write(&self, order: &OrderId, write: Write, fault: &str) {
        let kind = match fault {
            "lost" => RestFaultKind::DropAfter,
            "conflict" => RestFaultKind::Error {
                status: 412,
                code: "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE".to_owned(),
                message: "Entity has been modified since the last read".to_owned(),
            },
            _ => RestFaultKind::Html {
                status: 503,
                after: false,
            },
        };
        let record = self.salesforce.order(order.as_str()).unwrap();
        let (route, about) = match write {
            Write::Items => (Route::ItemsPatch, &record["OrderItems"][0]["Id"]),
            Write::Order => (Route::OrderPatch, &record["Id"]),
        };
        let fault = RestFault::new(route, kind).containing(about.as_str().unwrap());
        self.salesforce.fault(fault);
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

    #[expect(
        clippy::print_stdout,
        reason = "the table is what the matrix is run for; see it with --no-capture"
    )]
    fn print_row(&self, order: &OrderId, kind: Kind, point: &str) {
        let fault = match kind {
            Kind::Spoilt(id) => format!("{id:?}"),
            other => format!("{other:?}"),
        };
        let live = self.whmcs.orders_for(order.as_str());
        let live = live.iter().filter(|order| order.status != "Cancelled");
        println!(
            "| {point} | {fault} | {:?} | {} | {} |",
            self.engine,
            live.count(),
            self.field(order, "Status"),
        );
    }

    /// An order may only fail for what was done to it, or because its worker died between
    /// the intent and the call, and then there is nothing in WHMCS; or because three workers died
    /// in the middle of setting it up.
    fn assert_failed_rightly(&self, order: &OrderId, kind: Kind, point: &str) {
        let code = self.field(order, "Activation_Error_Code__c");
        let n_orders = self.whmcs.orders_for(order.as_str()).len();
        let message = self.field(order, "Activation_Error_Message__c");
        let died_setting_up = message.contains("activation calls got no answer");
        let right = match code.as_str() {
            "WHMCS_OUTCOME_UNKNOWN" => match kind {
                Kind::SetUpLost { .. } => n_orders <= 1,
                _ => n_orders == 0 || n_orders == 1 && died_setting_up,
            },
            "WHMCS_MODULE_FAILED" => {
                let fails = matches!(
                    kind,
                    Kind::ModuleFails
                        | Kind::SetUpLost {
                            call: Call::ModuleCreate,
                            listed: false,
                            ..
                        }
                );
                n_orders == 1 && fails
            }
            "WHMCS_DUPLICATE_FOUND" => n_orders == 2 && kind == Kind::Spoilt(FaultId::F12),
            _ => false,
        };
        assert!(
            right,
            "{order}, {kind:?}, {point}: {code} with {n_orders} WHMCS orders: {message}"
        );
    }

    /// One order for each point, whose worker dies there; keeps the points that nobody came
    /// by. Every order ends provisioned once, after operator's retries where they are due.
    async fn lose_workers_at(&self, points: &mut Vec<Case>, fates: &Path, settings: &Settings) {
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
                    if self.field(order, "Activation_Error_Code__c") == "WHMCS_OUTCOME_UNKNOWN" {
                        let named = self.field(order, "WHMCS_Order_ID__c");
                        finish_set_up(&self.whmcs, order.as_str(), &named);
                    }
                    // What staff do about two orders for one.
                    if let [_, second] = self.whmcs.orders_for(order.as_str()).as_slice() {
                        self.whmcs.set_order_status(second.id, "Cancelled");
                    }
                    self.salesforce.retry(order.as_str()).unwrap();
                }
            }
        }
        let ended = async || self.all_stand(&orders, &["Activated"]).await;
        self.outlive(WORKER, settings, ended).await;
        for (order, (kind, point)) in orders.iter().zip(&*points) {
            self.assert_provisioned_once(order);
            self.print_row(order, *kind, point);
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
        let queue_stats = self.store.reader.queue_stats().await.unwrap();
        let left = queue_stats.count("queued") + queue_stats.count("leased");
        let stands = |order: &OrderId| {
            statuses.contains(&self.field(order, "Activation_Status__c").as_str())
        };
        left == 0 && orders.iter().all(stands)
    }
}
