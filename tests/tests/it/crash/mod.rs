//! Crash tests: the programs are killed at every crash point and at random moments, and recover.

mod alert;
mod dead_letters;
mod effects;
mod matrix;
mod points;
mod portal;
mod random;
mod subscriber;
mod two_step;
mod worker;

use std::fs;
use std::path::Path;

use domain::id::OrderId;
use e2e::crash_points::{CRASH_POINTS_FILE, reached_file};
use e2e::staff::finish_activation;
use operations::JobStage;
use simulators::When;
use simulators::salesforce::{RestFault, RestFaultKind, Route};
use simulators::whmcs::{Fault, FaultId, Module, ModuleScript};

use crate::process::{Process, was_killed};
use crate::test_env::{Settings, TestEnv};
use points::{Call, Case, Kind, Loss, Write};

const WORKER: &str = env!("CARGO_BIN_EXE_crashable-worker");
const SUBSCRIBER: &str = env!("CARGO_BIN_EXE_crashable-subscriber");

impl TestEnv {
    /// Settings of a worker with the crash points in that file.
    fn crashable_worker_settings(&self, crash_points: &Path) -> Settings {
        let config = self.file("bridge.toml");
        fs::write(&config, "[whmcs]\nidempotent_modules = [\"simulated\"]\n").unwrap();
        let mut settings = self.short_lease_worker_settings();
        settings.extend([
            (CRASH_POINTS_FILE, crash_points.display().to_string()),
            ("ORDERBRIDGE_CONFIG", config.display().to_string()),
            ("WHMCS_CREATE_CLIENTS", "true".to_owned()),
            ("WORKER_CONCURRENCY", "4".to_owned()),
        ]);
        settings
    }

    /// Crashes a worker at each of these points and checks the outcome of every order.
    ///
    /// A crash also interrupts the other jobs of that worker, some beyond their own crash point;
    /// those cases are repeated with another order.
    async fn crash_workers_at_all(&self, mut cases: Vec<Case>) {
        let crash_points = self.file("crash_points");
        let settings = self.crashable_worker_settings(&crash_points);
        let subscriber = self.subscribe();
        for _ in 0..8 {
            self.crash_workers_at(&mut cases, &crash_points, &settings)
                .await;
            if cases.is_empty() {
                break;
            }
        }
        assert!(cases.is_empty(), "no crash at {cases:#?}");
        assert!(self.whmcs.duplicate_accounts().is_empty());
        subscriber.stop().await;
    }

    fn order_of(&self, kind: Kind) -> OrderId {
        match kind {
            Kind::NewClient => {
                let account = self.salesforce.create_account("New Ltd", None).unwrap();
                self.place_billed(&account)
            }
            Kind::ActivationFails { listed: false, .. } => self.place_last_sold(),
            _ => self.place(),
        }
    }

    fn inject(&self, kind: Kind, order: &OrderId) {
        let fault = match kind {
            Kind::Plain | Kind::NewClient => return,
            Kind::ActivationFails { call, loss, listed } => {
                return self.fail_activation_call(order, call, loss, listed);
            }
            Kind::WriteFails { write, fault } => return self.fail_write(order, write, fault),
            Kind::AddOrderFault(id) => Fault::new(id)
                .with_effect()
                .on("AddOrder")
                .delay_ms(if id == FaultId::F10 { 150 } else { 600_000 }),
            Kind::RequestLost => Fault::new(FaultId::F08).on("AddOrder"),
            // Scoped to the order; modules of other orders work.
            Kind::ModuleFails => Fault::new(FaultId::F31)
                .on("AcceptOrder")
                .module(Module::failing("no room on the server")),
        };
        self.whmcs
            .fault(fault.marker(order.as_str()).when(When::Next(1)));
    }

    /// Injects a fault into AcceptOrder, or into a ModuleCreate that follows an AcceptOrder
    /// without effect: a lost request for idempotent modules, a module failure for others.
    fn fail_activation_call(&self, order: &OrderId, call: Call, loss: Loss, listed: bool) {
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

    /// Restarts a crashable program after each crash until `done` holds.
    async fn restart_until(
        &self,
        program: &str,
        settings: &Settings,
        done: impl AsyncFn() -> bool,
    ) {
        let log = self.file("crashable.log");
        loop {
            let mut process = Process::start(program, settings, &log);
            tokio::select! {
                status = process.ended() => {
                    let log = || fs::read_to_string(&log).unwrap_or_default();
                    assert!(was_killed(status), "{status}\n{}", log());
                }
                () = self.until(&done) => return process.kill().await,
            }
        }
    }

    #[expect(
        clippy::print_stdout,
        reason = "result table of the matrix, shown with --no-capture"
    )]
    fn print_row(&self, order: &OrderId, kind: Kind, point: &str) {
        let fault = match kind {
            Kind::AddOrderFault(id) => format!("{id:?}"),
            other => format!("{other:?}"),
        };
        println!(
            "| {point} | {fault} | {:?} | {} | {} |",
            self.engine,
            self.live_orders(order),
            self.field(order, "Status"),
        );
    }

    /// The number of its WHMCS orders that staff did not cancel.
    fn live_orders(&self, order: &OrderId) -> usize {
        let orders = self.whmcs.orders_for(order.as_str());
        let live = orders.iter().filter(|order| order.status != "Cancelled");
        live.count()
    }

    /// Asserts that the failure is explained by the injected fault, by a crash between intent and
    /// call (then WHMCS has no order), or by three crashes during activation.
    fn assert_failure_explained(&self, order: &OrderId, kind: Kind, point: &str) {
        let code = self.field(order, "Activation_Error_Code__c");
        // After a duplicate was cancelled, the next attempt can fail like any other.
        let n_orders = self.live_orders(order);
        let message = self.field(order, "Activation_Error_Message__c");
        let crashed_while_activating = message.contains("activation calls got no answer");
        let explained = match code.as_str() {
            "WHMCS_OUTCOME_UNKNOWN" => match kind {
                Kind::ActivationFails { .. } => n_orders <= 1,
                _ => n_orders == 0 || n_orders == 1 && crashed_while_activating,
            },
            "WHMCS_MODULE_FAILED" => {
                let fails = matches!(
                    kind,
                    Kind::ModuleFails
                        | Kind::ActivationFails {
                            call: Call::ModuleCreate,
                            listed: false,
                            ..
                        }
                );
                n_orders == 1 && fails
            }
            "WHMCS_DUPLICATE_FOUND" => n_orders == 2 && kind == Kind::AddOrderFault(FaultId::F12),
            _ => false,
        };
        assert!(
            explained,
            "{order}, {kind:?}, {point}: {code} with {n_orders} WHMCS orders: {message}"
        );
    }

    /// Places one order for each crash point and keeps the points that were not reached. Every
    /// order must end provisioned once, after operator retries where needed.
    async fn crash_workers_at(
        &self,
        points: &mut Vec<Case>,
        crash_points: &Path,
        settings: &Settings,
    ) {
        let mut orders = Vec::new();
        let mut lines = Vec::new();
        for (kind, point) in &*points {
            let order = self.order_of(*kind);
            self.inject(*kind, &order);
            lines.push(format!("{order} {point}"));
            orders.push(order);
        }
        fs::write(crash_points, lines.join("\n")).unwrap();
        for order in &orders {
            self.salesforce.approve(order.as_str()).unwrap();
        }
        for _ in 0..4 {
            let ended = async || self.all_ended(&orders, &["Activated", "Failed"]).await;
            self.restart_until(WORKER, settings, ended).await;
            for (order, (kind, point)) in orders.iter().zip(&*points) {
                if self.field(order, "Activation_Status__c") == "Failed" {
                    self.assert_failure_explained(order, *kind, point);
                    if self.field(order, "Activation_Error_Code__c") == "WHMCS_OUTCOME_UNKNOWN" {
                        let named = self.field(order, "WHMCS_Order_ID__c");
                        finish_activation(&self.whmcs, order.as_str(), &named);
                    }
                    // Staff cancel one of two duplicate orders.
                    if let [_, second] = self.whmcs.orders_for(order.as_str()).as_slice() {
                        self.whmcs.set_order_status(second.id, "Cancelled");
                    }
                    self.salesforce.retry(order.as_str()).unwrap();
                }
            }
        }
        let ended = async || self.all_ended(&orders, &["Activated"]).await;
        self.restart_until(WORKER, settings, ended).await;
        for (order, (kind, point)) in orders.iter().zip(&*points) {
            self.assert_provisioned_once(order);
            self.print_row(order, *kind, point);
        }
        let reached = fs::read_to_string(reached_file(crash_points)).unwrap_or_default();
        let mut lines = lines.iter();
        points.retain(|_| {
            let line = lines.next().expect("there is a line for each point");
            !reached.lines().any(|reached| reached == line)
        });
    }

    /// Whether every order has one of these activation statuses and no job is left.
    async fn all_ended(&self, orders: &[OrderId], statuses: &[&str]) -> bool {
        let queue_stats = self.store.ports.queue_stats().await.unwrap();
        let left = queue_stats.count(JobStage::Queued) + queue_stats.count(JobStage::Leased);
        let has_ended = |order: &OrderId| {
            statuses.contains(&self.field(order, "Activation_Status__c").as_str())
        };
        left == 0 && orders.iter().all(has_ended)
    }
}
