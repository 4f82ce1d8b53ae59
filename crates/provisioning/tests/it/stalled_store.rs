//! A store that stops answering: whoever knows that a call was never sent leaves no doubt.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use domain::job::{JobOutcome, Lease};
use domain::key::Owner;
use domain::order::{Contact, Fact, Outcome};
use domain::ports::{CallRecord, Claimed, JobQueue, Release, StoreError};
use testkit::{Action, Fault, MemoryStore, details, order_id};

use crate::DONE;
use crate::house::TestEnv;

/// What becomes of the commits that the store does not answer.
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
    /// How the commits are answered that are not answered with success.
    answers: Mutex<Vec<StoreError>>,
}

#[async_trait]
impl JobQueue for Stalling {
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.store.claim(owner, limit, ttl).await
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        self.store.renew(leases, ttl).await
    }

    async fn record(
        &self,
        lease: &Lease,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let answer = match facts.iter().any(|fact| fact.name() == self.fact) {
            true => self.answers.lock().unwrap().pop(),
            false => None,
        };
        let Some(answer) = answer else {
            return self.store.record(lease, facts, calls).await;
        };
        if self.commit == Commit::Stored && !matches!(answer, StoreError::LeaseLost) {
            self.store.record(lease, facts, calls).await.unwrap();
        }
        Err(answer)
    }

    async fn release(
        &self,
        lease: &Lease,
        release: Release,
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        self.store.release(lease, release, calls).await
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: JobOutcome,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        self.store.finish(lease, outcome, facts, calls).await
    }

    async fn wait(&self, limit: Duration) {
        self.store.wait(limit).await;
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("the database did not answer in time".into())
}

/// An order that comes by this intent, and the store that stalls at it.
async fn house_stalling_at(
    intent: &'static str,
    commit: Commit,
    answers: Vec<StoreError>,
) -> (TestEnv, Arc<Stalling>) {
    let mut house = TestEnv::new().await;
    house.settings.create_clients = true;
    let mut order = details(order_id(1));
    if intent == "creating_client" {
        order.account.whmcs_client = None;
        order.bill_to = Some(Contact {
            email: "ada@example.com".to_owned(),
            ..Contact::default()
        });
    }
    house.crm.put(order);
    house.request("e1").await;
    if intent == "creating" {
        house.whmcs.fail_next(Action::Accept, Fault::Refused);
        house.work().await;
        house.retry("e2").await;
    }
    let store = Arc::new(Stalling {
        store: house.store(),
        fact: intent,
        commit,
        answers: Mutex::new(answers),
    });
    (house, store)
}

async fn assert_no_doubt(house: &TestEnv, intent: &str, commit: Commit) {
    let outcomes = house.crm.outcomes(order_id(1));
    assert!(
        matches!(outcomes.last(), Some(Outcome::Provisioned { .. })),
        "{intent}, {commit:?}: {outcomes:?}"
    );
    let facts = house.facts().await;
    let doubted = facts.iter().any(|name| name.ends_with("unknown"));
    assert!(!doubted, "{intent}, {commit:?}: {facts:?}");
    assert_eq!(house.whmcs.all_orders().len(), 1);
    assert_eq!(house.whmcs.builds().len(), 2);
}

const INTENTS: [&str; 4] = ["creating_client", "placing", "accepting", "creating"];

#[tokio::test]
async fn a_stall_while_an_intent_is_committed_leaves_no_doubt() {
    for intent in INTENTS {
        for commit in [Commit::Stored, Commit::Lost] {
            let answers = (0..8).map(|_| unavailable()).collect();
            let (house, store) = house_stalling_at(intent, commit, answers).await;
            assert_eq!(house.work_through(store).await.last(), Some(&DONE));
            assert_no_doubt(&house, intent, commit).await;
        }
    }
}

#[tokio::test]
async fn an_intent_whose_lease_ran_out_before_the_call_is_withdrawn_at_the_next_claim() {
    for intent in INTENTS {
        for commit in [Commit::Stored, Commit::Lost] {
            let answers = vec![StoreError::LeaseLost, unavailable()];
            let (house, store) = house_stalling_at(intent, commit, answers).await;
            house.lose_lease_through(store).await;
            assert_eq!(house.work().await.last(), Some(&DONE));
            assert_no_doubt(&house, intent, commit).await;
        }
    }
}

#[tokio::test]
async fn an_intent_that_was_committed_too_late_for_its_call_is_withdrawn_at_once() {
    for intent in INTENTS {
        let (house, store) = house_stalling_at(intent, Commit::Stored, Vec::new()).await;
        house.work_with_expired_hold(store).await;
        assert_eq!(house.work().await.last(), Some(&DONE));
        assert_no_doubt(&house, intent, Commit::Stored).await;
    }
}
