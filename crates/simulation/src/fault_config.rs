//! Fault configuration of a schedule, derived from its seed.

use std::time::Duration;

use intake::OnLoss;

use crate::rng::Rng;

/// Size, options and fault rates of one schedule. Each fault is absent from half of all
/// schedules, so that every fault also occurs alone. Rates are in thousandths.
#[derive(Clone, Debug)]
pub(crate) struct FaultConfig {
    pub(crate) orders: u32,
    pub(crate) workers: u32,
    pub(crate) subscribers: u32,
    /// How long faults are injected.
    pub(crate) fault_phase: Duration,
    /// Maximum clock skew of a machine, in milliseconds.
    pub(crate) skew: u64,

    /// What WHMCS does with the notes of new orders.
    pub(crate) notes: Notes,
    /// A call that is never answered, not even after the fault phase.
    pub(crate) never_answered: Option<UnansweredCall>,
    /// Staff activate services by hand after a module failure.
    pub(crate) activated_by_hand: bool,
    /// Operators retry quickly.
    pub(crate) quick_operators: bool,
    /// Salesforce versions have a resolution of whole seconds.
    pub(crate) coarse_versions: bool,
    /// The module is idempotent.
    pub(crate) idempotent: bool,
    /// The org has the field `Activation_IdemKey__c`.
    pub(crate) org_has_key: bool,
    /// Events carry `IdemKey__c`.
    pub(crate) events_have_key: bool,
    /// Accounts have no WHMCS client yet.
    pub(crate) new_clients: bool,
    /// Products are mapped only after the first failure.
    pub(crate) unmapped: bool,
    /// Subscribers start with the newest event, the default, and not with the oldest.
    pub(crate) newest_first: bool,
    /// Subscribers sweep for activations without an event.
    pub(crate) sweep: bool,
    pub(crate) on_loss: OnLoss,

    pub(crate) crash: u32,
    pub(crate) pause: u32,
    pub(crate) outage: u32,
    pub(crate) slow: u32,
    pub(crate) early_retry: u32,
    pub(crate) duplicate_event: u32,

    pub(crate) store_before: u32,
    pub(crate) store_after: u32,

    pub(crate) crm_unavailable: u32,
    pub(crate) crm_lost: u32,
    pub(crate) crm_stale: u32,
    pub(crate) crm_conflict: u32,

    pub(crate) whmcs_not_sent: u32,
    pub(crate) whmcs_request_lost: u32,
    pub(crate) whmcs_reply_lost: u32,
    pub(crate) whmcs_late: u32,
    pub(crate) whmcs_duplicated: u32,
    pub(crate) whmcs_rejected: u32,
    pub(crate) whmcs_module_failure: u32,
    /// AddOrder is answered by an error page after its effect.
    pub(crate) whmcs_page_after: u32,
    /// WHMCS shows a service as active some time after it was built.
    pub(crate) whmcs_slow_status: u32,
    /// Staff accept orders by hand without running the modules.
    pub(crate) whmcs_accepted_by_hand: u32,
    /// The worker's code panics.
    pub(crate) panic: u32,

    pub(crate) bus_cut: u32,
    pub(crate) bus_redelivery: u32,
    pub(crate) bus_malformed: u32,
    pub(crate) bus_missing_replay_id: u32,
    pub(crate) bus_cursor_loss: u32,
    /// An event's schema is unavailable for a while.
    pub(crate) bus_undecodable: u32,
}

/// What WHMCS does with the notes of new orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notes {
    Kept,
    Dropped,
    /// Kept until this long after the start, as when an upgrade changes the behaviour.
    KeptFor(Duration),
}

/// A call whose request is lost every time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnansweredCall {
    AddOrder,
    AcceptOrder,
    ModuleCreate,
}

impl FaultConfig {
    pub(crate) fn of(rng: &Rng) -> Self {
        let some = |most: u64| match rng.chance(500) {
            true => u32::try_from(rng.between(1, most)).unwrap_or(u32::MAX),
            false => 0,
        };
        let few =
            |least: u64, most: u64| u32::try_from(rng.between(least, most)).unwrap_or(u32::MAX);
        Self {
            orders: few(1, 4),
            workers: few(1, 3),
            subscribers: few(1, 2),
            fault_phase: rng.millis(10_000, 60_000),
            skew: match rng.below(3) {
                0 => 0,
                1 => 2_000,
                _ => 600_000,
            },
            notes: match rng.below(20) {
                0..3 => Notes::Dropped,
                3..7 => Notes::KeptFor(rng.millis(2_000, 60_000)),
                _ => Notes::Kept,
            },
            never_answered: match rng.below(40) {
                0 => Some(UnansweredCall::AddOrder),
                1 | 2 => Some(UnansweredCall::AcceptOrder),
                3 | 4 => Some(UnansweredCall::ModuleCreate),
                _ => None,
            },
            activated_by_hand: rng.chance(500),
            quick_operators: rng.chance(500),
            coarse_versions: rng.chance(300),
            idempotent: rng.chance(300),
            org_has_key: rng.chance(800),
            events_have_key: rng.chance(800),
            new_clients: rng.chance(200),
            unmapped: rng.chance(100),
            newest_first: rng.chance(300),
            sweep: rng.chance(500),
            on_loss: match rng.chance(200) {
                true => OnLoss::Latest,
                false => OnLoss::All,
            },
            crash: some(600),
            pause: some(600),
            outage: some(500),
            slow: some(60),
            early_retry: some(40),
            duplicate_event: some(400),
            store_before: some(60),
            store_after: some(60),
            crm_unavailable: some(150),
            crm_lost: some(200),
            crm_stale: some(500),
            crm_conflict: some(300),
            whmcs_not_sent: some(150),
            whmcs_request_lost: some(200),
            whmcs_reply_lost: some(300),
            whmcs_late: some(500),
            whmcs_duplicated: some(150),
            whmcs_rejected: some(100),
            whmcs_module_failure: some(300),
            whmcs_page_after: some(150),
            whmcs_slow_status: some(300),
            whmcs_accepted_by_hand: some(200),
            panic: some(40),
            bus_cut: some(150),
            bus_redelivery: some(300),
            bus_malformed: some(300),
            bus_missing_replay_id: some(100),
            bus_cursor_loss: some(300),
            bus_undecodable: some(300),
        }
    }
}
