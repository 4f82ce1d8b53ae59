//! An org that files `Provisioned` under StatusCode Activated: success takes two writes.

use std::fs;

use domain::id::OrderId;
use operations::JobStage;
use simulators::salesforce::{RestFault, RestFaultKind, Route, SalesforceOptions};
use simulators::whmcs::WhmcsOptions;
use simulators::{Phase, When};

use crate::test_env::{Engine, Settings, TestEnv};

impl TestEnv {
    /// An org with `Provisioned` in the Activated category.
    pub(crate) async fn with_activated_category(engine: Engine) -> Self {
        let org = SalesforceOptions {
            provisioned_category: "Activated".to_owned(),
            guard_rule: true,
            ..SalesforceOptions::default()
        };
        Self::between(org, WhmcsOptions::default(), engine).await
    }

    /// The setting of a configuration file that switches two-step writes on.
    pub(crate) fn two_step_setting(&self) -> Settings {
        let config = self.file("two-step.toml");
        fs::write(&config, "[salesforce]\ntwo_step_status = true\n").unwrap();
        vec![("ORDERBRIDGE_CONFIG", config.display().to_string())]
    }

    /// The names of the fields in each write of the bridge to the order.
    fn written_fields(&self, order: &OrderId) -> Vec<Vec<String>> {
        let writes = self.salesforce.api_writes(order.as_str());
        writes
            .iter()
            .map(|write| write.fields.keys().cloned().collect())
            .collect()
    }

    /// Asserts that the last write changed the status alone, and that all results came before.
    fn assert_activated_in_two_writes(&self, order: &OrderId) {
        let writes = self.written_fields(order);
        let [first, second] = writes.as_slice() else {
            panic!("not two writes: {writes:?}");
        };
        assert_eq!(second, &["Status"]);
        for field in [
            "Activation_Status__c",
            "WHMCS_Order_ID__c",
            "Activation_Completed_At__c",
            "Activation_Error_Code__c",
        ] {
            assert!(first.iter().any(|name| name == field), "{field}: {first:?}");
        }
        assert!(!first.iter().any(|name| name == "Status"), "{first:?}");
        assert_eq!(self.field(order, "StatusCode"), "Activated");
    }

    /// Waits until the order is provisioned and its job ended.
    async fn until_job_ended(&self, order: &OrderId) {
        self.until(async || {
            let jobs = self.store.ports.jobs_of(*order).await.unwrap();
            jobs.iter()
                .all(|job| matches!(job.stage, JobStage::Ended(_)))
                && !jobs.is_empty()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn success_is_written_in_two_steps_and_failure_in_one() {
    let env = TestEnv::with_activated_category(Engine::Sqlite).await;
    let config = env.two_step_setting();
    let worker = env.work_with(&[(config[0].0, &config[0].1)]);
    let subscriber = env.subscribe();
    let order = *env.approve(1).first().unwrap();
    env.until_job_ended(&order).await;
    env.assert_provisioned_once(&order);
    env.assert_activated_in_two_writes(&order);

    let unlinked = env.salesforce.create_account("No client", None).unwrap();
    let failing = env.place_for(&unlinked, serde_json::Map::new());
    env.salesforce.approve(failing.as_str()).unwrap();
    env.until_activation(&failing, "Failed").await;
    assert_eq!(env.written_fields(&failing).len(), 1);
    assert_eq!(env.field(&failing, "Status"), "Failed");
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_write_is_repeated_alone_until_it_is_accepted() {
    let env = TestEnv::with_activated_category(Engine::Sqlite).await;
    let config = env.two_step_setting();
    let order = env.place();
    // Only the second write has this text.
    let second = |kind, times| {
        RestFault::new(Route::OrderPatch, kind)
            .when(When::Next(times))
            .containing("{\"Status\":\"Provisioned\"}")
    };
    let refused = RestFaultKind::Error {
        status: 400,
        code: "FAILED_ACTIVATION".to_owned(),
        message: "You do not have permission to activate orders.".to_owned(),
    };
    let away = RestFaultKind::Html {
        status: 503,
        after: false,
    };
    for fault in [second(refused, 1), second(away, 2)] {
        env.salesforce.fault(fault);
    }
    env.salesforce.fault(second(RestFaultKind::DropAfter, 1));
    let worker = env.work_with(&[(config[0].0, &config[0].1)]);
    let subscriber = env.subscribe();
    env.salesforce.approve(order.as_str()).unwrap();
    env.until_job_ended(&order).await;
    env.assert_provisioned_once(&order);
    env.assert_activated_in_two_writes(&order);
    assert_eq!(env.facts_named("reported").await, 1);
    assert_eq!(env.facts_named("refused").await, 0);
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_cancelled_between_the_writes_stays_cancelled() {
    let env = TestEnv::with_activated_category(Engine::Sqlite).await;
    let config = env.two_step_setting();
    let order = env.place();
    let hold = env.salesforce.hold(Route::OrderPatch, Phase::After);
    let worker = env.work_with(&[(config[0].0, &config[0].1)]);
    let subscriber = env.subscribe();
    env.salesforce.approve(order.as_str()).unwrap();
    hold.arrived(1).await;
    env.salesforce.cancel(order.as_str()).unwrap();
    hold.release();
    env.until_job_ended(&order).await;
    assert_eq!(env.field(&order, "Status"), "Cancelled");
    assert_eq!(env.written_fields(&order).len(), 1);
    worker.stop().await;
    subscriber.stop().await;
}
