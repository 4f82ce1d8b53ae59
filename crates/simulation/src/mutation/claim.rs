//! Mutations of claimed jobs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::failure::{Code, Refusal};
use domain::job::Lease;
use domain::key::{Owner, WhmcsOrderId};
use domain::order::{Fact, MarkerProof};
use domain::ports::{Claimed, JobChange, JobQueue, JobUpdate, StoreError};
use domain::time::Timestamp;
use testkit::StoreResult;
use testkit::intercept::{Around, JobQueueHooks};

use crate::trace::lock;

/// Changes a claimed job.
pub(super) type ClaimMutation = Box<dyn Fn(&mut Claimed) + Send + Sync>;

/// A queue whose claims are mutated.
pub(super) struct MutatedClaims {
    inner: Arc<dyn JobQueue>,
    mutate: ClaimMutation,
    /// Treats an unavailable store as a lost lease.
    gives_up: bool,
    /// Leases to renew until they are released or finished, even if their work has ended.
    kept: Option<Mutex<Vec<Lease>>>,
}

impl MutatedClaims {
    pub(super) fn new(inner: Arc<dyn JobQueue>, mutate: ClaimMutation) -> Self {
        Self {
            inner,
            mutate,
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

/// Treats a marker that was kept once as kept forever.
pub(super) fn permanent_marker_proof() -> ClaimMutation {
    let seen = AtomicBool::new(false);
    Box::new(move |claimed| {
        if claimed.marker_proof.is_some() {
            seen.store(true, Ordering::Relaxed);
        }
        if seen.load(Ordering::Relaxed) {
            claimed.marker_proof = Some(MarkerProof {
                from: WhmcsOrderId(0),
                to: WhmcsOrderId(u64::MAX),
            });
        }
    })
}

/// The facts of earlier attempts.
fn earlier_attempts(claimed: &mut Claimed) -> &mut [Fact] {
    let job = claimed.job.id.clone();
    let started = |fact: &Fact| matches!(fact, Fact::Checked { job: of, .. } if *of == job);
    let current = claimed.facts.iter().position(started);
    let end = current.unwrap_or(claimed.facts.len());
    &mut claimed.facts[..end]
}

/// Makes calls of unknown outcome in earlier attempts appear long over.
pub(super) fn end_effect_windows(claimed: &mut Claimed) {
    for fact in earlier_attempts(claimed) {
        if let Fact::Placing { at, .. } | Fact::PlaceUnknown { at } = fact {
            *at = Timestamp::default();
        }
    }
}

/// Keeps only the newest activation call of unknown outcome.
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

/// Removes reported module failures.
pub(super) fn forget_reported_failures(claimed: &mut Claimed) {
    for fact in earlier_attempts(claimed) {
        if let Fact::Refused(Refusal { code, .. }) = fact
            && *code == Code::WhmcsModuleFailed
        {
            *code = Code::WhmcsRejected;
        }
    }
}

/// Changes every intent, so that no process recognizes its own.
pub(super) fn alter_intents(claimed: &mut Claimed) {
    for fact in &mut claimed.facts {
        if let Fact::Placing { at, .. } | Fact::Accepting { at } | Fact::Creating { at, .. } = fact
        {
            *at = *at + Duration::from_millis(1);
        }
    }
}

testkit::inner!(MutatedClaims: JobQueue = inner);

impl Around<StoreError> for MutatedClaims {}

#[async_trait]
impl JobQueueHooks for MutatedClaims {
    async fn claim(&self, owner: &Owner, limit: usize, ttl: Duration) -> StoreResult<Vec<Claimed>> {
        let mut claimed = self.inner.claim(owner, limit, ttl).await?;
        claimed.iter_mut().for_each(&self.mutate);
        if let Some(kept) = &self.kept {
            lock(kept).extend(claimed.iter().map(|claimed| claimed.lease.clone()));
            let leases = lock(kept).clone();
            self.inner.renew(&leases, ttl).await?;
        }
        Ok(claimed)
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> StoreResult<Vec<Lease>> {
        if let Some(kept) = &self.kept {
            let leases = lock(kept).clone();
            self.inner.renew(&leases, ttl).await?;
        }
        self.inner.renew(leases, ttl).await
    }

    async fn update(&self, lease: &Lease, update: &JobUpdate) -> StoreResult<()> {
        if update.change != JobChange::Keep {
            self.over(lease);
        }
        match self.inner.update(lease, update).await {
            Err(StoreError::Unavailable(_))
                if self.gives_up && update.change == JobChange::Keep =>
            {
                Err(StoreError::LeaseLost)
            }
            updated => updated,
        }
    }
}
