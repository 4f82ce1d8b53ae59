//! Activation of services that stay pending.

use std::time::Duration;

use domain::key::{ClientId, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{
    ActivationAction, ActivationProgress, ActivationState, OrderStatus, ServiceStatus, WhmcsOrder,
    WhmcsService, next_activation_action,
};
use domain::ports::ModuleKind;
use domain::time::Timestamp;

/// Its module is listed as idempotent.
const HOSTING: ProductId = ProductId(1);
/// It has no module.
const SUPPORT: ProductId = ProductId(2);

fn order(status: OrderStatus, lines: &[(ProductId, ServiceStatus)]) -> WhmcsOrder {
    let lines = lines
        .iter()
        .zip(1..)
        .map(|((product, status), id)| WhmcsService {
            service: ServiceId(id),
            product: Some(*product),
            cycle: None,
            status: status.clone(),
            marker: None,
        });
    WhmcsOrder {
        id: WhmcsOrderId(3),
        client: ClientId(7),
        status,
        notes: String::new(),
        lines: lines.collect(),
    }
}

fn next(state: &ActivationState, seen: &WhmcsOrder) -> ActivationAction {
    let module = |line: &WhmcsService| match line.product {
        Some(SUPPORT) => ModuleKind::None,
        _ => ModuleKind::Idempotent,
    };
    let progress = ActivationProgress {
        state: state.clone(),
        unknown_calls: 0,
    };
    next_activation_action(
        &progress,
        seen,
        module,
        Timestamp::default(),
        Duration::ZERO,
    )
}

#[test]
fn pending_service_without_module_is_accepted_again() {
    use ServiceStatus::{Active, Pending};
    let creating = ActivationState::Creating { tried: Vec::new() };
    let both = order(
        OrderStatus::Pending,
        &[(SUPPORT, Pending), (HOSTING, Pending)],
    );
    assert_eq!(
        next(&creating, &both),
        ActivationAction::Create(ServiceId(2))
    );
    let tried = ActivationState::Creating {
        tried: vec![(ServiceId(2), None)],
    };
    let left = order(
        OrderStatus::Pending,
        &[(SUPPORT, Pending), (HOSTING, Active)],
    );
    assert_eq!(
        next(&tried, &left),
        ActivationAction::Accept { run_modules: true }
    );
}

#[test]
fn ineffective_accept_is_reported_not_repeated() {
    let left = |status| order(status, &[(SUPPORT, ServiceStatus::Pending)]);
    let failed = ActivationState::Failed {
        texts: vec!["no".to_owned()],
    };
    for (state, status) in [
        (ActivationState::Answered, OrderStatus::Pending),
        (failed, OrderStatus::Pending),
        (
            ActivationState::Creating { tried: Vec::new() },
            OrderStatus::Active,
        ),
    ] {
        let next = next(&state, &left(status));
        assert!(
            matches!(next, ActivationAction::Refuse(_)),
            "{state:?}: {next:?}"
        );
    }
}
