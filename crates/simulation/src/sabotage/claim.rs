//! Claims that do not tell the whole truth.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::failure::{Code, Refusal};
use domain::job::{JobOutcome, Lease};
use domain::key::{Owner, WhmcsOrderId};
use domain::order::{Fact, MarkersKept};
use domain::ports::{CallRecord, Claimed, JobQueue, Release, StoreError};
use domain::time::Timestamp;

use crate::trace::lock;

/// What is done to a claimed job.
pub(super) type Bend = Box<dyn Fn(&mut Claimed) + Send + Sync>;

/// A queue whose claims are bent.
pub(super) struct BentClaims {
    inner: Arc<dyn JobQueue>,
    bend: Bend,
    /// A store that does not answer ends the work.
    gives_up: bool,
    /// Every lease that was neither given back nor ended is renewed, whoever lost it.
    kept: Option<Mutex<Vec<Lease>>>,
}

impl BentClaims {
    pub(super) fn new(inner: Arc<dyn JobQueue>, bend: Bend) -> Self {
        Self {
            inner,
            bend,
            gives_up: false,
            kept: None,
        }
    }

    pub(super) fn giving_up(self) -> Self {
        Self {
            gives_up: true,
            ..self
        }
    }

    pub(super) fn keeping_leases(inner: Arc<dyn JobQueue>) -> Self {
        Self {
            kept: Some(Mutex::default()),
            ..Self::new(inner, Box::new(|_| {}))
        }
    }

    fn over(&self, lease: &Lease) {
        if let Some(kept) = &self.kept {
            lock(kept).retain(|kept| kept != lease);
        }
    }
}

/// A marker that was kept once counts as kept for ever.
pub(super) fn proof_for_ever() -> Bend {
    let seen = AtomicBool::new(false);
    Box::new(move |claimed| {
        if claimed.markers_kept.is_some() {
            seen.store(true, Ordering::Relaxed);
        }
        if seen.load(Ordering::Relaxed) {
            claimed.markers_kept = Some(MarkersKept {
                from: WhmcsOrderId(0),
                to: WhmcsOrderId(u64::MAX),
            });
        }
    })
}

/// The facts of earlier attempts.
fn earlier_attempts(claimed: &mut Claimed) -> &mut [Fact] {
    let job = claimed.job.id.clone();
    let begun = |fact: &Fact| matches!(fact, Fact::Checked { job: of, .. } if *of == job);
    let current = claimed.facts.iter().position(begun);
    let end = current.unwrap_or(claimed.facts.len());
    &mut claimed.facts[..end]
}

/// What earlier attempts did not hear of happened long ago.
pub(super) fn window_is_over(claimed: &mut Claimed) {
    for fact in earlier_attempts(claimed) {
        if let Fact::Placing { at, .. } | Fact::PlaceUnknown { at } = fact {
            *at = Timestamp::default();
        }
    }
}

/// Only the newest set-up call of unknown outcome is known.
pub(super) fn forget_unknown_calls(claimed: &mut Claimed) {
    let is_unknown = |fact: &Fact| {
        matches!(
            fact,
            Fact::AcceptUnknown { .. } | Fact::CreateUnknown { .. }
        )
    };
    let last = claimed.facts.iter().rposition(is_unknown);
    for (at, fact) in claimed.facts.iter_mut().enumerate() {
        if Some(at) == last {
            continue;
        }
        match fact {
            Fact::AcceptUnknown { .. } => *fact = Fact::NotAccepted,
            Fact::CreateUnknown { .. } => *fact = Fact::NotCreated,
            _ => {}
        }
    }
}

/// Nobody knows that a module's failure was reported.
pub(super) fn forget_reported_failures(claimed: &mut Claimed) {
    for fact in earlier_attempts(claimed) {
        if let Fact::Refused(Refusal { code, .. }) = fact
            && *code == Code::WhmcsModuleFailed
        {
            *code = Code::WhmcsRejected;
        }
    }
}

/// No intent is the one that a process remembers.
pub(super) fn other_intents(claimed: &mut Claimed) {
    for fact in &mut claimed.facts {
        if let Fact::Placing { at, .. } | Fact::Accepting { at } | Fact::Creating { at, .. } = fact
        {
            *at = *at + Duration::from_millis(1);
        }
    }
}

#[async_trait]
impl JobQueue for BentClaims {
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        let mut claimed = self.inner.claim(owner, limit, ttl).await?;
        claimed.iter_mut().for_each(&self.bend);
        if let Some(kept) = &self.kept {
            lock(kept).extend(claimed.iter().map(|claimed| claimed.lease.clone()));
            let leases = lock(kept).clone();
            self.inner.renew(&leases, ttl).await?;
        }
        Ok(claimed)
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        if let Some(kept) = &self.kept {
            let leases = lock(kept).clone();
            self.inner.renew(&leases, ttl).await?;
        }
        self.inner.renew(leases, ttl).await
    }

    async fn record(
        &self,
        lease: &Lease,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        match self.inner.record(lease, facts, calls).await {
            Err(StoreError::Unavailable(_)) if self.gives_up => Err(StoreError::LeaseLost),
            recorded => recorded,
        }
    }

    async fn release(
        &self,
        lease: &Lease,
        release: Release,
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        self.over(lease);
        self.inner.release(lease, release, calls).await
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: JobOutcome,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        self.over(lease);
        self.inner.finish(lease, outcome, facts, calls).await
    }

    async fn wait(&self, limit: Duration) {
        self.inner.wait(limit).await;
    }
}
