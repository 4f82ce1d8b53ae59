//! An in-memory provisioning system.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::failure::{Code, Refusal};
use domain::key::{ClientId, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{
    ClientStatus, OrderStatus, ServiceStatus, WhmcsClient, WhmcsOrder, WhmcsService,
};
use domain::ports::{
    CallError, CatalogueEntry, Freshness, Module, ModuleKind, NewClient, NewOrder, OrderDetail,
    PlaceAnswer, Provisioner, ProvisionerReads,
};

use crate::CallResult;

/// The kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Any read.
    Read,
    /// Placing an order.
    Place,
    /// Accepting an order.
    Accept,
    /// Creating a service.
    Create,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has its effect, and the reply is lost.
    ReplyLost,
    /// It has no effect, and the outcome is unknown.
    RequestLost,
    /// It certainly has no effect.
    NotSent,
    /// It is rejected by a business rule.
    Refused,
    /// Our credential is denied.
    Denied,
    /// It has its effect, and the response denies our credential.
    DeniedLate,
    /// It has its effect twice.
    Doubled,
    /// The reply is lost, and the effect happens at [`FakeProvisioner::apply_late_effects`].
    Late,
}

/// An in-memory provisioning system with client 7 and the products 1 to 99.
#[derive(Debug, Default)]
pub struct FakeProvisioner(Mutex<ProvisionerState>);

#[derive(Debug, Default)]
struct ProvisionerState {
    orders: Vec<WhmcsOrder>,
    services: u64,
    faults: Vec<(Action, Fault)>,
    builds: Vec<ServiceId>,
    calls: u64,
    drop_notes: bool,
    idempotent: bool,
    /// Permanent faults.
    always: Vec<(Action, Fault)>,
    calls_of: Vec<Action>,
    late: Vec<NewOrder>,
    /// Status of new orders and services; pending by default.
    placed_as: Option<(OrderStatus, ServiceStatus)>,
    currency: Option<String>,
}

impl FakeProvisioner {
    /// Makes every later call of this action fail; `None` ends that.
    pub fn fail_always(&self, action: Action, fault: Option<Fault>) {
        let mut state = self.state();
        state.always.retain(|(faulty, _)| *faulty != action);
        state.always.extend(fault.map(|fault| (action, fault)));
    }

    /// The number of calls of this action.
    #[must_use]
    pub fn calls_of(&self, action: Action) -> usize {
        let state = self.state();
        let called = state.calls_of.iter().filter(|called| **called == action);
        called.count()
    }

    /// Applies the effects of [`Fault::Late`] calls.
    pub fn apply_late_effects(&self) {
        let mut state = self.state();
        for order in std::mem::take(&mut state.late) {
            state.place(&order);
        }
    }

    /// Sets the status of new orders and their services.
    pub fn set_placed_as(&self, order: OrderStatus, services: ServiceStatus) {
        self.state().placed_as = Some((order, services));
    }

    /// The number of calls.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Makes the next call of this action fail; several faults are applied in order.
    pub fn fail_next(&self, action: Action, fault: Fault) {
        self.state().faults.push((action, fault));
    }

    /// Sets the client's currency.
    pub fn set_currency(&self, currency: &str) {
        self.state().currency = Some(currency.to_owned());
    }

    /// Sets whether the notes of new orders are dropped.
    pub fn set_drop_notes(&self, drop_notes: bool) {
        self.state().drop_notes = drop_notes;
    }

    /// Sets whether the module is listed as idempotent.
    pub fn set_idempotent(&self, idempotent: bool) {
        self.state().idempotent = idempotent;
    }

    /// All orders.
    #[must_use]
    pub fn all_orders(&self) -> Vec<WhmcsOrder> {
        self.state().orders.clone()
    }

    /// Each build of a service by a module, in order.
    #[must_use]
    pub fn builds(&self) -> Vec<ServiceId> {
        self.state().builds.clone()
    }

    /// Edits the orders, as staff may.
    pub fn edit(&self, edit: impl FnOnce(&mut Vec<WhmcsOrder>)) {
        edit(&mut self.state().orders);
    }

    fn state(&self) -> MutexGuard<'_, ProvisionerState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<T>(
        &self,
        action: Action,
        mut effect: impl FnMut(&mut ProvisionerState) -> T,
    ) -> CallResult<T> {
        let mut state = self.state();
        state.calls += 1;
        state.calls_of.push(action);
        let at = state
            .faults
            .iter()
            .position(|(faulty, _)| *faulty == action);
        let mut always = state.always.iter().filter(|(faulty, _)| *faulty == action);
        let always = always.next().map(|(_, fault)| *fault);
        match at.map(|at| state.faults.remove(at).1).or(always) {
            None => Ok(effect(&mut state)),
            Some(Fault::ReplyLost) => {
                effect(&mut state);
                Err(CallError::Unknown {
                    source: "reply lost".into(),
                })
            }
            Some(Fault::RequestLost | Fault::Late) => Err(CallError::Unknown {
                source: "timeout".into(),
            }),
            Some(Fault::NotSent) => Err(CallError::NotSent {
                retry_after: None,
                source: "refused".into(),
            }),
            Some(Fault::Refused) => Err(CallError::Refused(Refusal::new(
                Code::WhmcsRejected,
                "no room on the server",
            ))),
            Some(fault @ (Fault::Denied | Fault::DeniedLate)) => {
                if fault == Fault::DeniedLate {
                    effect(&mut state);
                }
                Err(CallError::Denied {
                    detail: "Invalid IP 192.0.2.1".to_owned(),
                    source: "403".into(),
                })
            }
            Some(Fault::Doubled) => {
                effect(&mut state);
                Ok(effect(&mut state))
            }
        }
    }
}

impl ProvisionerState {
    fn place(&mut self, order: &NewOrder) -> PlaceAnswer {
        let id = WhmcsOrderId(self.orders.len() as u64 + 1);
        let mut lines = Vec::new();
        let as_usual = (OrderStatus::Pending, ServiceStatus::Pending);
        let (status, service_status) = self.placed_as.clone().unwrap_or(as_usual);
        for line in &order.plan.lines {
            self.services += 1;
            lines.push(WhmcsService {
                service: ServiceId(100 + self.services),
                product: Some(line.product),
                cycle: Some(line.cycle),
                status: service_status.clone(),
                marker: None,
            });
        }
        let notes = if self.drop_notes {
            String::new()
        } else {
            order.marker.to_string()
        };
        self.orders.push(WhmcsOrder {
            id,
            client: order.client,
            status,
            notes,
            lines,
        });
        PlaceAnswer { order: id }
    }

    fn accept(&mut self, order: WhmcsOrderId, run_modules: bool) {
        let Some(order) = self.orders.iter_mut().find(|found| found.id == order) else {
            return;
        };
        order.status = OrderStatus::Active;
        for line in order
            .lines
            .iter_mut()
            .filter(|line| line.status == ServiceStatus::Pending)
        {
            if run_modules {
                line.status = ServiceStatus::Active;
                self.builds.push(line.service);
            }
        }
    }

    fn create(&mut self, service: ServiceId) {
        let lines = self
            .orders
            .iter_mut()
            .flat_map(|order| order.lines.iter_mut());
        for line in lines.filter(|line| line.service == service) {
            line.status = ServiceStatus::Active;
            self.builds.push(service);
        }
    }
}

#[async_trait]
impl ProvisionerReads for FakeProvisioner {
    async fn client(&self, client: ClientId) -> CallResult<Option<WhmcsClient>> {
        self.call(Action::Read, |state| {
            (client == ClientId(7)).then(|| WhmcsClient {
                id: client,
                status: ClientStatus::Open,
                currency: state.currency.clone(),
            })
        })
    }

    async fn client_by_email(&self, _email: &str) -> CallResult<Option<WhmcsClient>> {
        self.call(Action::Read, |_| None)
    }

    async fn catalogue(
        &self,
        products: &[ProductId],
        _freshness: Freshness,
    ) -> CallResult<Option<Vec<CatalogueEntry>>> {
        self.call(Action::Read, |state| {
            let kind = if state.idempotent {
                ModuleKind::Idempotent
            } else {
                ModuleKind::Unlisted
            };
            let known = products.iter().filter(|product| product.0 < 100);
            let entry = |product: &ProductId| CatalogueEntry {
                product: *product,
                module: Module {
                    name: "panel".to_owned(),
                    kind,
                },
                closed_cycles: Vec::new(),
            };
            Some(known.map(entry).collect())
        })
    }

    async fn orders(
        &self,
        client: ClientId,
        above: Option<WhmcsOrderId>,
        _detail: OrderDetail,
    ) -> CallResult<Vec<WhmcsOrder>> {
        self.call(Action::Read, |state| {
            let of_client = state.orders.iter().filter(|order| order.client == client);
            of_client
                .filter(|order| above.is_none_or(|above| order.id > above))
                .cloned()
                .collect()
        })
    }

    async fn order(
        &self,
        _client: ClientId,
        order: WhmcsOrderId,
    ) -> CallResult<Option<WhmcsOrder>> {
        self.call(Action::Read, |state| {
            state.orders.iter().find(|found| found.id == order).cloned()
        })
    }

    async fn probe(&self) -> CallResult<()> {
        self.call(Action::Read, |_| ())
    }
}

#[async_trait]
impl Provisioner for FakeProvisioner {
    async fn create_client(&self, _client: &NewClient) -> CallResult<ClientId> {
        Ok(ClientId(7))
    }

    async fn place_order(&self, order: &NewOrder) -> CallResult<PlaceAnswer> {
        let late = |state: &ProvisionerState| {
            let next = state
                .faults
                .iter()
                .find(|(action, _)| *action == Action::Place);
            next.is_some_and(|(_, fault)| *fault == Fault::Late)
        };
        let mut state = self.state();
        if late(&state) {
            state.late.push(order.clone());
        }
        drop(state);
        self.call(Action::Place, |state| state.place(order))
    }

    async fn accept_order(&self, order: WhmcsOrderId, run_modules: bool) -> CallResult<()> {
        self.call(Action::Accept, |state| state.accept(order, run_modules))
    }

    async fn create_service(&self, service: ServiceId) -> CallResult<()> {
        self.call(Action::Create, |state| state.create(service))
    }
}
