//! Mutations that disable a safeguard, to show that the simulation detects its absence.
//!
//! Each wraps a port. Production code has no switch that disables a safeguard.

mod claim;
mod crm;
mod intake;
mod provisioner;
mod queue;

use std::sync::Arc;
use std::time::Duration;

use domain::ports::{
    CallError, CrmOrders, EventIntake, JobQueue, LeaderElection, ProvisionerReads,
};
use testkit::CallResult;
use testkit::intercept::intercept;
use whmcs::CallKind;

use self::claim::MutatedClaims;
use self::intake::{IntakeMutation, MutatedIntake};
use crate::state::audited_store::AuditedStore;
use crate::world::World;

/// The safeguard that is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// None.
    None,
    /// Search before AddOrder and after a lost reply: an order whose AddOrder was not answered is
    /// not found.
    BlindSearch,
    /// Lease token: every writer counts as the lease holder.
    NoLeaseToken,
    /// Common commit of cursor and jobs: the cursor is committed first.
    CursorFirst,
    /// Leadership epochs: any subscriber may move the cursor.
    NoEpoch,
    /// Common commit of a redrive and its job: the dead letter is closed first.
    DeadLetterFirst,
    /// Intent before AddOrder: acknowledged but not written.
    NoIntent,
    /// Quiet period after a lost reply.
    NoQuietPeriod,
    /// Order guard before the report: the order always seems ours.
    NoGuard,
    /// Read-back before activation: services always seem pending, and every module idempotent.
    NoReadBack,
    /// Distinction of module errors from API errors: module errors such as `authentication
    /// failed` count as a denial of the bridge.
    ModuleErrorsDeny,
    /// Observation that WHMCS keeps markers: one kept marker is proof forever.
    PermanentMarkerProof,
    /// Wait for the rest of the effect window before a retry places an order.
    NoEffectWindow,
    /// Count of activation calls of unknown outcome.
    UncountedCalls,
    /// Operator decision after a reported failure.
    NoOperatorDecision,
    /// Repeated recording while the store is unavailable, and withdrawal of unsent intents.
    NoIntentWithdrawal,
    /// End of a lease with its work: a lease is still renewed after its work panicked.
    PanicKeepsLease,
    /// Distinction of skipped jobs: the sweep ignores an order whose job was skipped.
    SkippedCounts,
}

impl Mutation {
    /// Every mutation.
    pub const ALL: [Self; 17] = [
        Self::BlindSearch,
        Self::NoLeaseToken,
        Self::CursorFirst,
        Self::NoEpoch,
        Self::DeadLetterFirst,
        Self::NoIntent,
        Self::NoQuietPeriod,
        Self::NoGuard,
        Self::NoReadBack,
        Self::ModuleErrorsDeny,
        Self::PermanentMarkerProof,
        Self::NoEffectWindow,
        Self::UncountedCalls,
        Self::NoOperatorDecision,
        Self::NoIntentWithdrawal,
        Self::PanicKeepsLease,
        Self::SkippedCounts,
    ];

    pub(crate) fn intake(
        self,
        store: &Arc<AuditedStore>,
    ) -> (Arc<dyn LeaderElection>, Arc<dyn EventIntake>) {
        let mutation = match self {
            Self::CursorFirst => IntakeMutation::CursorFirst,
            Self::NoEpoch => IntakeMutation::NoEpoch,
            Self::DeadLetterFirst => IntakeMutation::DeadLetterFirst,
            Self::SkippedCounts => IntakeMutation::SkippedCounts,
            _ => {
                let store = intercept(Arc::clone(store));
                return (Arc::clone(&store) as _, store);
            }
        };
        let mutated = intercept(Arc::new(MutatedIntake::new(store, mutation)));
        (Arc::clone(&mutated) as _, mutated)
    }

    pub(crate) fn queue(self, store: &Arc<AuditedStore>) -> Arc<dyn JobQueue> {
        let store = intercept(Arc::clone(store));
        match self {
            Self::NoLeaseToken => intercept(Arc::new(queue::NoLeaseToken(store))),
            Self::NoIntent => intercept(Arc::new(queue::NoIntent(store))),
            _ => store,
        }
    }

    /// The store as a worker sees it.
    pub(crate) fn worker_queue(self, inner: Arc<dyn JobQueue>) -> Arc<dyn JobQueue> {
        let mutate: claim::ClaimMutation = match self {
            Self::PermanentMarkerProof => claim::permanent_marker_proof(),
            Self::NoEffectWindow => Box::new(claim::end_effect_windows),
            Self::UncountedCalls => Box::new(claim::forget_unknown_calls),
            Self::NoOperatorDecision => Box::new(claim::forget_reported_failures),
            Self::NoIntentWithdrawal => Box::new(claim::alter_intents),
            Self::PanicKeepsLease => {
                return intercept(Arc::new(MutatedClaims::keeping_leases(inner)));
            }
            _ => return inner,
        };
        let mutated = MutatedClaims::new(inner, mutate);
        intercept(Arc::new(match self {
            Self::NoIntentWithdrawal => mutated.giving_up(),
            _ => mutated,
        }))
    }

    /// How a WHMCS response is classified.
    pub(crate) fn classify(self, kind: CallKind, status: u16, body: &str) -> CallResult<()> {
        let lower = body.to_ascii_lowercase();
        let says = ["authentication failed", "command not found", "invalid ip"]
            .into_iter()
            .any(|words| lower.contains(words));
        let denies = match self {
            Self::ModuleErrorsDeny => kind == CallKind::Module && says,
            _ => false,
        };
        match denies {
            true => Err(CallError::Denied {
                detail: body.to_owned(),
                source: "its words".into(),
            }),
            false => whmcs::classify(kind, status, body.as_bytes()).map(|_| ()),
        }
    }

    pub(crate) fn crm(self, inner: Arc<dyn CrmOrders>, _world: &World) -> Arc<dyn CrmOrders> {
        match self {
            Self::NoGuard => intercept(Arc::new(crm::NoGuard::new(inner))),
            _ => inner,
        }
    }

    pub(crate) fn reads(
        self,
        inner: Arc<dyn ProvisionerReads>,
        world: &Arc<World>,
    ) -> Arc<dyn ProvisionerReads> {
        intercept(Arc::new(match self {
            Self::BlindSearch => provisioner::MutatedReads::blind(inner, world),
            Self::NoReadBack => provisioner::MutatedReads::unread(inner, world),
            _ => return inner,
        }))
    }

    pub(crate) fn quiet_period(self) -> Option<Duration> {
        (self == Self::NoQuietPeriod).then_some(Duration::from_millis(100))
    }
}
