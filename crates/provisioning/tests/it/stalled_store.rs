//! A store that stops answering: a call that was provably not sent does not become unknown.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::job::Lease;
use domain::order::{Contact, Outcome};
use domain::ports::{JobQueue, JobUpdate, StoreError};
use testkit::StoreResult;
use testkit::intercept::{Around, JobQueueHooks, intercept};
use testkit::{Action, Fault, MemoryStore, details, order_id};

use crate::DONE;
use crate::env::TestEnv;

/// Whether an unanswered commit was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commit {
    Stored,
    Lost,
}

/// A store that does not answer the first commits of one kind of fact.
struct Stalling {
    store: Arc<MemoryStore>,
    fact: &'static str,
    commit: Commit,
    /// The errors to return, last first.
    answers: Mutex<Vec<StoreError>>,
}

testkit::inner!(Stalling: JobQueue = store);

impl Around<StoreError> for Stalling {}

#[async_trait]
impl JobQueueHooks for Stalling {
    async fn update(&self, lease: &Lease, update: &JobUpdate) -> StoreResult<()> {
        let answer = match update.facts.iter().any(|fact| fact.name() == self.fact) {
            true => self.answers.lock().unwrap().pop(),
            false => None,
        };
        let Some(answer) = answer else {
            return self.store.update(lease, update).await;
        };
        if self.commit == Commit::Stored && !matches!(answer, StoreError::LeaseLost) {
            self.store.update(lease, update).await.unwrap();
        }
        Err(answer)
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("the database did not answer in time".into())
}

/// An order that reaches this intent, and a store that stalls there.
async fn env_stalling_at(
    intent: &'static str,
    commit: Commit,
    answers: Vec<StoreError>,
) -> (TestEnv, Arc<dyn JobQueue>) {
    let mut env = TestEnv::new().await;
    env.settings.rules.create_clients = true;
    let mut order = details(order_id(1));
    if intent == "creating_client" {
        order.account.whmcs_client = None;
        order.bill_to = Some(Contact {
            email: "ada@example.com".to_owned(),
            ..Contact::default()
        });
    }
    env.crm.put(order);
    env.request("e1").await;
    if intent == "creating" {
        env.whmcs.fail_next(Action::Accept, Fault::Refused);
        env.work().await;
        env.retry("e2").await;
    }
    let store = intercept(Arc::new(Stalling {
        store: env.store(),
        fact: intent,
        commit,
        answers: Mutex::new(answers),
    }));
    (env, store)
}

async fn assert_no_unknown_outcome(env: &TestEnv, intent: &str, commit: Commit) {
    let outcomes = env.crm.outcomes(order_id(1));
    assert!(
        matches!(outcomes.last(), Some(Outcome::Provisioned { .. })),
        "{intent}, {commit:?}: {outcomes:?}"
    );
    let facts = env.facts().await;
    let unknown = facts.iter().any(|name| name.ends_with("unknown"));
    assert!(!unknown, "{intent}, {commit:?}: {facts:?}");
    assert_eq!(env.whmcs.all_orders().len(), 1);
    assert_eq!(env.whmcs.builds().len(), 2);
}

const INTENTS: [&str; 4] = ["creating_client", "placing", "accepting", "creating"];

#[tokio::test]
async fn stalled_intent_commit_is_not_unknown() {
    for intent in INTENTS {
        for commit in [Commit::Stored, Commit::Lost] {
            let answers = (0..8).map(|_| unavailable()).collect();
            let (env, store) = env_stalling_at(intent, commit, answers).await;
            assert_eq!(env.work_through(store).await.last(), Some(&DONE));
            assert_no_unknown_outcome(&env, intent, commit).await;
        }
    }
}

#[tokio::test]
async fn intent_with_lost_lease_is_withdrawn_at_next_claim() {
    for intent in INTENTS {
        for commit in [Commit::Stored, Commit::Lost] {
            let answers = vec![StoreError::LeaseLost, unavailable()];
            let (env, store) = env_stalling_at(intent, commit, answers).await;
            env.lose_lease_through(store).await;
            assert_eq!(env.work().await.last(), Some(&DONE));
            assert_no_unknown_outcome(&env, intent, commit).await;
        }
    }
}

#[tokio::test]
async fn intent_committed_after_lease_expiry_is_withdrawn() {
    for intent in INTENTS {
        let (env, store) = env_stalling_at(intent, Commit::Stored, Vec::new()).await;
        env.work_with_expired_lease(store).await;
        assert_eq!(env.work().await.last(), Some(&DONE));
        assert_no_unknown_outcome(&env, intent, Commit::Stored).await;
    }
}
