//! The next activation call, decided from a read-back.

use std::time::Duration;

use super::decide::{Moment, effect};
use super::verify::gone;
use crate::failure::{Code, Refusal};
use crate::key::{ClientId, ServiceId, WhmcsOrderId};
use crate::order::{
    ActivationProgress, ActivationState, Decision, Effect, Fact, MAX_UNKNOWN_CALLS, OrderStatus,
    Read, Reads, ServiceStatus, WaitReason, WhmcsOrder, WhmcsService,
};
use crate::ports::{CatalogueEntry, Freshness, ModuleKind};
use crate::time::Timestamp;

/// The action that follows a read-back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActivationAction {
    /// Everything is active.
    Done,
    /// Call AcceptOrder.
    Accept {
        /// Whether to run the modules; `false` when every service is already active.
        run_modules: bool,
    },
    /// Call ModuleCreate for this service.
    Create(ServiceId),
    /// Read back again at this time.
    Wait(Timestamp),
    /// Fail: only an operator can continue.
    Refuse(Refusal),
}

impl Moment<'_> {
    pub(super) fn activate(
        &self,
        client: ClientId,
        order: WhmcsOrderId,
        progress: &ActivationProgress,
    ) -> Result<Decision, Refusal> {
        // What was verified in the step before need not be read again.
        let verified = || {
            let mut orders = self.observed.orders.iter().flatten();
            orders.find(|seen| seen.id == order)
        };
        let Some(seen) = self.observed.order.as_ref().map_or_else(
            || Ok(verified()),
            |seen| seen.as_ref().map(Some).ok_or_else(|| gone(order)),
        )?
        else {
            return Ok(Decision::Read(Reads {
                // After AcceptOrder succeeded, the report is what follows.
                guard: progress.state == ActivationState::Answered,
                ..Read::Order { client, order }.into()
            }));
        };
        let entries = match &self.observed.catalogue {
            Some(catalogue) => catalogue.entries.as_deref().unwrap_or_default(),
            None if !depends_on_modules(progress, seen) => &[],
            // What an operator may be asked to fix is not decided from an old answer.
            None => {
                let catalogue = Read::Catalogue {
                    products: seen.products(),
                    freshness: Freshness::Now,
                };
                return Ok(Decision::Read(catalogue.into()));
            }
        };
        let modules = modules_in(entries);
        let quiet = self.planner.rules.quiet_period;
        Ok(
            match next_activation_action(progress, seen, modules, self.now, quiet) {
                ActivationAction::Done => Decision::Record(Fact::Accepted),
                ActivationAction::Accept { run_modules } => {
                    effect(Effect::AcceptOrder { order, run_modules })
                }
                ActivationAction::Create(service) => effect(Effect::CreateService(service)),
                ActivationAction::Wait(until) => Decision::Wait {
                    until,
                    reason: WaitReason::Activation,
                },
                ActivationAction::Refuse(refusal) => return Err(refusal),
            },
        )
    }
}

/// Whether the next action may depend on the modules: something is pending, and it is not the first
/// AcceptOrder that is due.
fn depends_on_modules(progress: &ActivationProgress, seen: &WhmcsOrder) -> bool {
    let mut lines = seen.lines.iter();
    let first_accept =
        progress.state == ActivationState::NotStarted && seen.status == OrderStatus::Pending;
    !first_accept && lines.any(|line| line.status == ServiceStatus::Pending)
}

/// Looks up the module of a service's product in the catalogue.
fn modules_in(catalogue: &[CatalogueEntry]) -> impl Fn(&WhmcsService) -> ModuleKind + '_ {
    |service| {
        service
            .product
            .and_then(|product| catalogue.iter().find(|entry| entry.product == product))
            .map_or(ModuleKind::Unlisted, |entry| entry.module.kind)
    }
}

/// Decides the next action from a read-back.
///
/// `module` returns whether a line's module is listed as idempotent, absent or neither
/// (the planner reads it from the catalogue). `quiet` is how long an unknown call may still take effect.
#[must_use]
pub fn next_activation_action(
    progress: &ActivationProgress,
    seen: &WhmcsOrder,
    module: impl Fn(&WhmcsService) -> ModuleKind,
    now: Timestamp,
    quiet: Duration,
) -> ActivationAction {
    if let Some(refusal) = ended_by_staff(seen) {
        return ActivationAction::Refuse(refusal);
    }
    let state = &progress.state;
    let pending: Vec<_> = seen
        .lines
        .iter()
        .filter(|line| line.status == ServiceStatus::Pending)
        .collect();
    if pending.is_empty() && seen.status == OrderStatus::Active {
        return ActivationAction::Done;
    }
    if let ActivationState::Unknown { at, .. } | ActivationState::InFlight { at, .. } = state {
        if now < *at + quiet {
            return ActivationAction::Wait(*at + quiet);
        }
        if progress.unknown_calls >= MAX_UNKNOWN_CALLS {
            return unanswered(seen, progress.unknown_calls);
        }
    }
    if pending.is_empty() {
        return all_services_active(state, seen);
    }
    let all = |kind: ModuleKind| pending.iter().all(|line| module(line) == kind);
    let repeatable = pending
        .iter()
        .all(|line| module(line) != ModuleKind::Unlisted);
    let tried = match state {
        ActivationState::Creating { tried } | ActivationState::Unknown { tried, .. } => {
            tried.as_slice()
        }
        _ => &[],
    };
    // ModuleCreate does nothing for a service without a module; AcceptOrder activates it. A call
    // that was answered in this attempt is tried again only in a new attempt.
    let first = pending
        .iter()
        .filter(|line| module(line) != ModuleKind::None)
        .find(|line| !tried.iter().any(|(id, _)| *id == line.service))
        .map(|line| line.service);
    let accept_again = all(ModuleKind::None) && seen.status == OrderStatus::Pending;
    match state {
        ActivationState::NotStarted if seen.status == OrderStatus::Pending => {
            ActivationAction::Accept { run_modules: true }
        }
        ActivationState::Unknown { .. }
        | ActivationState::InFlight { .. }
        | ActivationState::Creating { .. }
            if accept_again =>
        {
            ActivationAction::Accept { run_modules: true }
        }
        ActivationState::NotStarted
        | ActivationState::Answered
        | ActivationState::Unknown { .. }
        | ActivationState::InFlight { .. }
            if repeatable =>
        {
            match first {
                Some(service) => ActivationAction::Create(service),
                None if tried.is_empty() => still_pending(seen, &pending),
                None => failed(seen, creation_report(&pending, tried)),
            }
        }
        ActivationState::Unknown { .. } | ActivationState::InFlight { .. } => {
            ActivationAction::Refuse(Refusal::new(
                Code::WhmcsOutcomeUnknown,
                format!(
                    "WHMCS order {}: the answer to creating {} was lost and it is still Pending; it may have been created",
                    seen.id,
                    services(&pending)
                ),
            ))
        }
        ActivationState::NotStarted | ActivationState::Answered => still_pending(seen, &pending),
        ActivationState::Failed { texts } => failed(
            seen,
            format!("{} not created: {}", services(&pending), texts.join("; ")),
        ),
        ActivationState::Creating { .. } => match first {
            Some(service) => ActivationAction::Create(service),
            None => failed(seen, creation_report(&pending, tried)),
        },
    }
}

fn all_services_active(state: &ActivationState, seen: &WhmcsOrder) -> ActivationAction {
    match state {
        ActivationState::Answered => failed(
            seen,
            "AcceptOrder answered success but the order is still Pending".to_owned(),
        ),
        ActivationState::Failed { texts } if texts.len() > 1 => failed(seen, texts.join("; ")),
        _ => ActivationAction::Accept { run_modules: false },
    }
}

fn ended_by_staff(seen: &WhmcsOrder) -> Option<Refusal> {
    let mismatch = |detail: String| {
        Some(Refusal::new(
            Code::WhmcsOrderMismatch,
            format!("WHMCS order {}: {detail}", seen.id),
        ))
    };
    match &seen.status {
        OrderStatus::Pending | OrderStatus::Active => {}
        OrderStatus::Cancelled => return mismatch("it was cancelled".to_owned()),
        OrderStatus::Fraud => return mismatch("it was marked as fraud".to_owned()),
        OrderStatus::Other(status) => {
            return mismatch(format!("its status is `{status}`, which is unknown"));
        }
    }
    seen.lines.iter().find_map(|line| match &line.status {
        ServiceStatus::Other(status) => {
            mismatch(format!("its service {} is {status}", line.service))
        }
        ServiceStatus::Pending | ServiceStatus::Active => None,
    })
}

fn unanswered(seen: &WhmcsOrder, calls: u32) -> ActivationAction {
    ActivationAction::Refuse(Refusal::new(
        Code::WhmcsOutcomeUnknown,
        format!(
            "WHMCS order {}: {calls} activation calls got no answer, and it is not complete",
            seen.id
        ),
    ))
}

fn still_pending(seen: &WhmcsOrder, pending: &[&WhmcsService]) -> ActivationAction {
    failed(
        seen,
        format!(
            "the order is accepted but {} is still Pending",
            services(pending)
        ),
    )
}

fn failed(seen: &WhmcsOrder, detail: String) -> ActivationAction {
    ActivationAction::Refuse(Refusal::new(
        Code::WhmcsModuleFailed,
        format!("WHMCS order {}: {detail}", seen.id),
    ))
}

fn creation_report(pending: &[&WhmcsService], tried: &[(ServiceId, Option<String>)]) -> String {
    pending
        .iter()
        .map(|line| {
            let failure = tried.iter().find(|(id, _)| *id == line.service);
            match failure.and_then(|(_, text)| text.as_deref()) {
                Some(text) => format!("service {}: {text}", line.service),
                None => format!("service {} is still Pending", line.service),
            }
        })
        .collect::<Vec<_>>()
        .join("; ")
}

fn services(lines: &[&WhmcsService]) -> String {
    let ids: Vec<_> = lines.iter().map(|line| line.service.to_string()).collect();
    let word = if ids.len() == 1 {
        "service"
    } else {
        "services"
    };
    format!("{word} {}", ids.join(", "))
}
