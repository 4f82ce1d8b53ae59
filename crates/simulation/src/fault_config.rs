//! What kind of world a seed makes, and how much trouble there is in it.

use std::time::Duration;

use intake::OnLoss;

use crate::dice::Dice;

/// One seed's world. Each kind of trouble is absent from half of all worlds, so that every
/// kind is also met alone. Troubles are counted in a thousand.
#[derive(Clone, Debug)]
pub(crate) struct Climate {
    pub(crate) orders: u32,
    pub(crate) workers: u32,
    pub(crate) subscribers: u32,
    /// How long the trouble lasts.
    pub(crate) storm: Duration,
    /// How far the machines' clocks are off at most, in milliseconds.
    pub(crate) skew: u64,

    /// What WHMCS does with the notes of new orders.
    pub(crate) notes: Notes,
    /// A call that is never answered, not even after the storm.
    pub(crate) never_answered: Option<Silent>,
    /// Staff set up by hand what a module failed to.
    pub(crate) set_up_by_hand: bool,
    /// Operators ask again at once.
    pub(crate) quick_operators: bool,
    /// Salesforce tells versions apart by whole seconds.
    pub(crate) coarse_versions: bool,
    /// The module bears being called again.
    pub(crate) idempotent: bool,
    /// The org has the field `Activation_IdemKey__c`.
    pub(crate) org_has_key: bool,
    /// Events carry `IdemKey__c`.
    pub(crate) events_have_key: bool,
    /// Accounts have no WHMCS client yet.
    pub(crate) new_clients: bool,
    /// Products are mapped only after the first failure.
    pub(crate) unmapped: bool,
    /// Subscribers begin with the newest event, as is the default, and not with the oldest.
    pub(crate) newest_first: bool,
    /// Subscribers sweep for activations whose event never arrived.
    pub(crate) sweep: bool,
    pub(crate) on_loss: OnLoss,

    pub(crate) crash: u32,
    pub(crate) pause: u32,
    pub(crate) outage: u32,
    pub(crate) slow: u32,
    pub(crate) impatience: u32,
    pub(crate) doubled_event: u32,

    pub(crate) store_before: u32,
    pub(crate) store_after: u32,

    pub(crate) crm_away: u32,
    pub(crate) crm_lost: u32,
    pub(crate) crm_stale: u32,
    pub(crate) crm_conflict: u32,

    pub(crate) whmcs_not_sent: u32,
    pub(crate) whmcs_request_lost: u32,
    pub(crate) whmcs_reply_lost: u32,
    pub(crate) whmcs_late: u32,
    pub(crate) whmcs_doubled: u32,
    pub(crate) whmcs_refused: u32,
    pub(crate) whmcs_broken_module: u32,
    /// AddOrder is answered by an error page after its effect.
    pub(crate) whmcs_page_after: u32,
    /// A service is built some time before WHMCS shows it as active.
    pub(crate) whmcs_slow_status: u32,
    /// Staff accept orders by hand, and set nothing up.
    pub(crate) whmcs_accepted_by_hand: u32,
    /// The worker's code panics.
    pub(crate) panic: u32,

    pub(crate) bus_cut: u32,
    pub(crate) bus_again: u32,
    pub(crate) bus_junk: u32,
    pub(crate) bus_nameless: u32,
    pub(crate) bus_forgets: u32,
    /// An event cannot be read for a while: its schema is not to be had.
    pub(crate) bus_sealed: u32,
}

/// What WHMCS does with the notes of new orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notes {
    Kept,
    Dropped,
    /// Kept until so long after the start, as when an upgrade ends it.
    KeptFor(Duration),
}

/// A call that is never answered; its request is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silent {
    AddOrder,
    AcceptOrder,
    ModuleCreate,
}

impl Climate {
    pub(crate) fn of(dice: &Dice) -> Self {
        let some = |most: u64| match dice.chance(500) {
            true => u32::try_from(dice.between(1, most)).unwrap_or(u32::MAX),
            false => 0,
        };
        let few =
            |least: u64, most: u64| u32::try_from(dice.between(least, most)).unwrap_or(u32::MAX);
        Self {
            orders: few(1, 4),
            workers: few(1, 3),
            subscribers: few(1, 2),
            storm: dice.millis(10_000, 60_000),
            skew: match dice.below(3) {
                0 => 0,
                1 => 2_000,
                _ => 600_000,
            },
            notes: match dice.below(20) {
                0..3 => Notes::Dropped,
                3..7 => Notes::KeptFor(dice.millis(2_000, 60_000)),
                _ => Notes::Kept,
            },
            never_answered: match dice.below(40) {
                0 => Some(Silent::AddOrder),
                1 | 2 => Some(Silent::AcceptOrder),
                3 | 4 => Some(Silent::ModuleCreate),
                _ => None,
            },
            set_up_by_hand: dice.chance(500),
            quick_operators: dice.chance(500),
            coarse_versions: dice.chance(300),
            idempotent: dice.chance(300),
            org_has_key: dice.chance(800),
            events_have_key: dice.chance(800),
            new_clients: dice.chance(200),
            unmapped: dice.chance(100),
            newest_first: dice.chance(300),
            sweep: dice.chance(500),
            on_loss: match dice.chance(200) {
                true => OnLoss::Latest,
                false => OnLoss::All,
            },
            crash: some(600),
            pause: some(600),
            outage: some(500),
            slow: some(60),
            impatience: some(40),
            doubled_event: some(400),
            store_before: some(60),
            store_after: some(60),
            crm_away: some(150),
            crm_lost: some(200),
            crm_stale: some(500),
            crm_conflict: some(300),
            whmcs_not_sent: some(150),
            whmcs_request_lost: some(200),
            whmcs_reply_lost: some(300),
            whmcs_late: some(500),
            whmcs_doubled: some(150),
            whmcs_refused: some(100),
            whmcs_broken_module: some(300),
            whmcs_page_after: some(150),
            whmcs_slow_status: some(300),
            whmcs_accepted_by_hand: some(200),
            panic: some(40),
            bus_cut: some(150),
            bus_again: some(300),
            bus_junk: some(300),
            bus_nameless: some(100),
            bus_forgets: some(300),
            bus_sealed: some(300),
        }
    }
}
