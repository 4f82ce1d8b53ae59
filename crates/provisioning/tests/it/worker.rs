//! The claim loop: leases of panicked attempts and slots of hanging ones.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::id::OrderId;
use domain::key::ClientId;
use domain::order::{ActivationStatus, WhmcsClient};
use domain::ports::{CallError, CrmOrders, EventIntake, ProvisionerReads};
use provisioning::{Ports, ProcessState, Settings, Worker};
use testkit::CallResult;
use testkit::intercept::{Around, ProvisionerReadsHooks, intercept};
use testkit::{
    FakeCrm, FakeEntropy, FakeProvisioner, MemoryStore, PausedClock, details, new_job, order_id,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What reads of client 8 do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Hang,
    PanicOnce,
}

/// A provisioner whose reads of client 8 misbehave.
struct Whmcs {
    inner: Arc<FakeProvisioner>,
    of_client_8: std::sync::Mutex<Option<Behaviour>>,
}

testkit::inner!(Whmcs: ProvisionerReads = inner);

impl Around<CallError> for Whmcs {}

#[async_trait]
impl ProvisionerReadsHooks for Whmcs {
    async fn client(&self, client: ClientId) -> CallResult<Option<WhmcsClient>> {
        if client == ClientId(8) {
            let behaviour = *self.of_client_8.lock().unwrap();
            match behaviour {
                Some(Behaviour::Hang) => std::future::pending().await,
                Some(Behaviour::PanicOnce) => {
                    *self.of_client_8.lock().unwrap() = None;
                    panic!("unexpected input");
                }
                None => {}
            }
        }
        self.inner.client(ClientId(7)).await
    }
}

struct Rig {
    crm: Arc<FakeCrm>,
    store: Arc<MemoryStore>,
    process: Arc<ProcessState>,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Rig {
    fn start(behaviour: Behaviour, settings: Settings) -> Self {
        let clock = Arc::new(PausedClock::default());
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock) as _));
        let crm = Arc::<FakeCrm>::default();
        let whmcs = Arc::<FakeProvisioner>::default();
        let ports = Ports {
            queue: Arc::clone(&store) as _,
            crm: Arc::clone(&crm) as Arc<dyn CrmOrders>,
            reads: intercept(Arc::new(Whmcs {
                inner: Arc::clone(&whmcs),
                of_client_8: std::sync::Mutex::new(Some(behaviour)),
            })),
            provisioner: whmcs,
            clock,
            entropy: Arc::new(FakeEntropy::default()),
        };
        let worker = Worker::new(ports, settings);
        let (process, shutdown) = (worker.process(), CancellationToken::new());
        let until = shutdown.clone();
        let running = tokio::spawn(async move { worker.run(until).await });
        Self {
            crm,
            store,
            process,
            shutdown,
            running,
        }
    }

    async fn order(&self, number: u32, client: u64) -> OrderId {
        let mut order = details(order_id(number));
        order.account.whmcs_client = Some(client.to_string());
        self.crm.put(order);
        let key = format!("e{number}");
        self.crm.retry(order_id(number), &key);
        let job = new_job(&key, order_id(number), Some(&key));
        self.store.enqueue(&[job]).await.unwrap();
        order_id(number)
    }

    /// Waits until the order is activated and returns how long that took.
    async fn until_activated(&self, order: OrderId) -> Duration {
        let started = tokio::time::Instant::now();
        loop {
            let details = self.crm.details(order).await.unwrap().unwrap();
            if details.activation == ActivationStatus::Activated {
                return started.elapsed();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn panicked_attempt_loses_lease_and_resumes() {
    let rig = Rig::start(Behaviour::PanicOnce, Settings::default());
    let order = rig.order(1, 8).await;
    let lease = Settings::default().lease;
    let took = tokio::time::timeout(4 * lease, rig.until_activated(order)).await;
    assert!(took.is_ok(), "its lease was kept alive after the panic");
    let detail = rig.process.last_panic().unwrap().detail;
    assert!(detail.contains(order.as_str()), "{detail}");
    assert!(detail.contains("unexpected input"), "{detail}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn hanging_orders_do_not_occupy_slots() {
    let settings = Settings {
        concurrency: 8,
        drain: Duration::from_secs(1),
        ..Settings::default()
    };
    let rig = Rig::start(Behaviour::Hang, settings);
    for number in 1..=8 {
        rig.order(number, 8).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let healthy = rig.order(9, 7).await;
    let took = tokio::time::timeout(Duration::from_secs(30), rig.until_activated(healthy)).await;
    assert!(took.is_ok(), "eight hanging orders stopped the worker");
    rig.stop().await;
}
