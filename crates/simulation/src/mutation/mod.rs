//! Holes cut into the safety net, to show that the simulation falls through them.
//!
//! Each is a wrapper around a port. Production code has no switch that turns a promise off.

mod claim;
mod crm;
mod intake;
mod provisioner;
mod queue;

use std::sync::Arc;
use std::time::Duration;

use domain::ports::{CallError, CrmOrders, JobIntake, JobQueue, Provisioner};
use whmcs::CallKind;

use self::claim::BentClaims;
use self::intake::{Hole, Holed};
use crate::books::ledger::Ledger;
use crate::world::World;

/// What is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing.
    None,
    /// Searching before placing and after a lost reply: an order whose AddOrder was never
    /// answered is not found.
    BlindSearch,
    /// Fencing: whoever writes is taken for the lease's owner.
    NoFence,
    /// One commit for cursor and jobs: the cursor first, the jobs in a second commit.
    CursorFirst,
    /// Terms of leadership: any subscriber may move the cursor.
    NoTerm,
    /// One commit for a letter that is read again and its job: the letter is closed first, the
    /// job comes in a second commit.
    LetterFirst,
    /// The intent before AddOrder: it is answered and not written.
    NoIntent,
    /// The wait for an effect whose reply was lost.
    NoQuiet,
    /// The guard before the report: the order always seems ours.
    NoGuard,
    /// The read-back before setting up: services seem pending whatever was built, and every
    /// module seems to bear being called again.
    NoReadBack,
    /// Telling a module's words from WHMCS's own: an error that says `authentication failed` and
    /// the like denies us.
    ModuleWordsDeny,
    /// Watching whether WHMCS goes on keeping markers: one that was seen once is proof for ever.
    ProofForEver,
    /// The wait for the rest of the window before a retry places an order.
    NoWindow,
    /// Counting set-up calls of unknown outcome.
    UncountedCalls,
    /// The operator's decision after a reported failure.
    NoSecondCreate,
    /// Recording a fact again when the store does not answer, and withdrawing what was not sent.
    StallLeavesDoubt,
    /// The end of a lease with its work: one whose work panicked is renewed on and on.
    PanicKeepsLease,
    /// Telling a job that did something from one that did not: the sweep leaves an order alone
    /// whose job was skipped.
    SkippedCounts,
}

impl Sabotage {
    /// Everything that can be taken away.
    pub const ALL: [Self; 17] = [
        Self::BlindSearch,
        Self::NoFence,
        Self::CursorFirst,
        Self::NoTerm,
        Self::LetterFirst,
        Self::NoIntent,
        Self::NoQuiet,
        Self::NoGuard,
        Self::NoReadBack,
        Self::ModuleWordsDeny,
        Self::ProofForEver,
        Self::NoWindow,
        Self::UncountedCalls,
        Self::NoSecondCreate,
        Self::StallLeavesDoubt,
        Self::PanicKeepsLease,
        Self::SkippedCounts,
    ];

    pub(crate) fn intake(self, ledger: &Arc<Ledger>) -> Arc<dyn JobIntake> {
        let hole = match self {
            Self::CursorFirst => Hole::CursorFirst,
            Self::NoTerm => Hole::NoTerm,
            Self::LetterFirst => Hole::LetterFirst,
            Self::SkippedCounts => Hole::SkippedCounts,
            _ => return Arc::clone(ledger) as _,
        };
        Arc::new(Holed::new(ledger, hole))
    }

    pub(crate) fn queue(self, ledger: &Arc<Ledger>) -> Arc<dyn JobQueue> {
        match self {
            Self::NoFence => Arc::new(queue::NoFence(Arc::clone(ledger))),
            Self::NoIntent => Arc::new(queue::NoIntent(Arc::clone(ledger))),
            _ => Arc::clone(ledger) as _,
        }
    }

    /// The store as a worker sees it.
    pub(crate) fn worker_queue(self, inner: Arc<dyn JobQueue>) -> Arc<dyn JobQueue> {
        let bend: claim::Bend = match self {
            Self::ProofForEver => claim::proof_for_ever(),
            Self::NoWindow => Box::new(claim::window_is_over),
            Self::UncountedCalls => Box::new(claim::forget_unknown_calls),
            Self::NoSecondCreate => Box::new(claim::forget_reported_failures),
            Self::StallLeavesDoubt => Box::new(claim::other_intents),
            Self::PanicKeepsLease => return Arc::new(BentClaims::keeping_leases(inner)),
            _ => return inner,
        };
        let bent = BentClaims::new(inner, bend);
        match self {
            Self::StallLeavesDoubt => Arc::new(bent.giving_up()),
            _ => Arc::new(bent),
        }
    }

    /// How an answer of WHMCS is read.
    pub(crate) fn classify(self, kind: CallKind, status: u16, body: &str) -> Result<(), CallError> {
        let lower = body.to_ascii_lowercase();
        let says = ["authentication failed", "command not found", "invalid ip"]
            .into_iter()
            .any(|words| lower.contains(words));
        let denies = match self {
            Self::ModuleWordsDeny => kind == CallKind::Module && says,
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
            Self::NoGuard => Arc::new(crm::NoGuard::new(inner)),
            _ => inner,
        }
    }

    pub(crate) fn provisioner(
        self,
        inner: Arc<dyn Provisioner>,
        world: &Arc<World>,
    ) -> Arc<dyn Provisioner> {
        match self {
            Self::BlindSearch => Arc::new(provisioner::Bent::blind(inner, world)),
            Self::NoReadBack => Arc::new(provisioner::Bent::unread(inner, world)),
            _ => inner,
        }
    }

    pub(crate) fn quiet_period(self) -> Option<Duration> {
        (self == Self::NoQuiet).then_some(Duration::from_millis(100))
    }
}
