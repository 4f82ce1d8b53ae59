//! A provisioning system in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::failure::{Code, Refusal};
use domain::key::{ClientId, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{
    WhmcsClient, ClientStatus, WhmcsService, WhmcsOrder, OrderStatus, ServiceStatus,
};
use domain::ports::{
    CallError, CatalogueEntry, Module, ModuleKind, NewClient, NewOrder, PlaceAnswer, Provisioner,
};

/// What can be asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Any read.
    Read,
    /// Placing an order.
    Place,
    /// Accepting one.
    Accept,
    /// Creating one service.
    Create,
}

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has its effect, and the reply is lost.
    ReplyLost,
    /// It has no effect, and nobody can tell.
    RequestLost,
    /// It certainly has no effect.
    NotSent,
    /// It is refused with a business answer.
    Refused,
    /// We are refused as such.
    Denied,
    /// It has its effect, and the answer says that we are refused as such.
    DeniedLate,
    /// It has its effect twice.
    Doubled,
    /// The reply is lost, and the effect comes when [`FakeProvisioner::land_late`] says so.
    Late,
}

/// A provisioning system in memory. Client 7 exists; every product from 1 to 99 does.
#[derive(Debug, Default)]
pub struct FakeProvisioner(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    orders: Vec<WhmcsOrder>,
    services: u64,
    faults: Vec<(Action, Fault)>,
    builds: Vec<ServiceId>,
    calls: u64,
    drop_notes: bool,
    idempotent: bool,
    /// Goes wrong for good.
    always: Vec<(Action, Fault)>,
    calls_of: Vec<Action>,
    late: Vec<NewOrder>,
    /// How new orders stand; `Pending` with pending services unless it is set.
    placed_as: Option<(OrderStatus, ServiceStatus)>,
    currency: Option<String>,
}

impl FakeProvisioner {
    /// Every call of this action goes wrong from now on; `None` ends it.
    pub fn fail_always(&self, action: Action, fault: Option<Fault>) {
        let mut books = self.books();
        books.always.retain(|(faulty, _)| *faulty != action);
        books.always.extend(fault.map(|fault| (action, fault)));
    }

    /// How often this action was called.
    #[must_use]
    pub fn calls_of(&self, action: Action) -> usize {
        let books = self.books();
        let called = books.calls_of.iter().filter(|called| **called == action);
        called.count()
    }

    /// The orders of [`Fault::Late`] calls are there now.
    pub fn land_late(&self) {
        let mut books = self.books();
        for order in std::mem::take(&mut books.late) {
            books.place(&order);
        }
    }

    /// New orders and their services have these statuses.
    pub fn set_placed_as(&self, order: OrderStatus, services: ServiceStatus) {
        self.books().placed_as = Some((order, services));
    }

    /// How often it was called.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.books().calls
    }

    /// The next call of this action goes wrong; several are taken in sequence.
    pub fn fail_next(&self, action: Action, fault: Fault) {
        self.books().faults.push((action, fault));
    }

    /// What the client is billed in from now on.
    pub fn set_currency(&self, currency: &str) {
        self.books().currency = Some(currency.to_owned());
    }

    /// Whether the notes of new orders are thrown away.
    pub fn set_drop_notes(&self, drop_notes: bool) {
        self.books().drop_notes = drop_notes;
    }

    /// Whether the module is listed as idempotent.
    pub fn set_idempotent(&self, idempotent: bool) {
        self.books().idempotent = idempotent;
    }

    /// Every order.
    #[must_use]
    pub fn all_orders(&self) -> Vec<WhmcsOrder> {
        self.books().orders.clone()
    }

    /// Every time a module built something, by service.
    #[must_use]
    pub fn builds(&self) -> Vec<ServiceId> {
        self.books().builds.clone()
    }

    /// Staff change an order.
    pub fn edit(&self, edit: impl FnOnce(&mut Vec<WhmcsOrder>)) {
        edit(&mut self.books().orders);
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call<T>(
        &self,
        action: Action,
        mut effect: impl FnMut(&mut Books) -> T,
    ) -> Result<T, CallError> {
        let mut books = self.books();
        books.calls += 1;
        books.calls_of.push(action);
        let at = books
            .faults
            .iter()
            .position(|(faulty, _)| *faulty == action);
        let mut always = books.always.iter().filter(|(faulty, _)| *faulty == action);
        let always = always.next().map(|(_, fault)| *fault);
        match at.map(|at| books.faults.remove(at).1).or(always) {
            None => Ok(effect(&mut books)),
            Some(Fault::ReplyLost) => {
                effect(&mut books);
                Err(CallError::Unknown {
                    source: "the reply was lost".into(),
                })
            }
            Some(Fault::RequestLost | Fault::Late) => Err(CallError::Unknown {
                source: "time is up".into(),
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
                    effect(&mut books);
                }
                Err(CallError::Denied {
                    detail: "Invalid IP 192.0.2.1".to_owned(),
                    source: "403".into(),
                })
            }
            Some(Fault::Doubled) => {
                effect(&mut books);
                Ok(effect(&mut books))
            }
        }
    }
}

impl Books {
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
impl Provisioner for FakeProvisioner {
    async fn client(&self, client: ClientId) -> Result<Option<WhmcsClient>, CallError> {
        self.call(Action::Read, |books| {
            (client == ClientId(7)).then(|| WhmcsClient {
                id: client,
                status: ClientStatus::Open,
                currency: books.currency.clone(),
            })
        })
    }

    async fn client_by_email(&self, _email: &str) -> Result<Option<WhmcsClient>, CallError> {
        self.call(Action::Read, |_| None)
    }

    async fn catalogue(
        &self,
        products: &[ProductId],
    ) -> Result<Option<Vec<CatalogueEntry>>, CallError> {
        self.call(Action::Read, |books| {
            let kind = if books.idempotent {
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
    ) -> Result<Vec<WhmcsOrder>, CallError> {
        self.call(Action::Read, |books| {
            let of_client = books.orders.iter().filter(|order| order.client == client);
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
    ) -> Result<Option<WhmcsOrder>, CallError> {
        self.call(Action::Read, |books| {
            books.orders.iter().find(|found| found.id == order).cloned()
        })
    }

    async fn create_client(&self, _client: &NewClient) -> Result<ClientId, CallError> {
        Ok(ClientId(7))
    }

    async fn place_order(&self, order: &NewOrder) -> Result<PlaceAnswer, CallError> {
        let late = |books: &Books| {
            let next = books
                .faults
                .iter()
                .find(|(action, _)| *action == Action::Place);
            next.is_some_and(|(_, fault)| *fault == Fault::Late)
        };
        let mut books = self.books();
        if late(&books) {
            books.late.push(order.clone());
        }
        drop(books);
        self.call(Action::Place, |books| books.place(order))
    }

    async fn accept_order(&self, order: WhmcsOrderId, run_modules: bool) -> Result<(), CallError> {
        self.call(Action::Accept, |books| books.accept(order, run_modules))
    }

    async fn create_service(&self, service: ServiceId) -> Result<(), CallError> {
        self.call(Action::Create, |books| books.create(service))
    }

    async fn probe(&self) -> Result<(), CallError> {
        self.call(Action::Read, |_| ())
    }
}
