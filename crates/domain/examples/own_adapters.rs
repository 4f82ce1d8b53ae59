//! Another service that uses the domain crate with adapters of its own: it places one order in its
//! own panel, effectively once, although the panel's first reply is lost.
//!
//! Run it with `cargo run -p domain --example own_adapters`.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use domain::id::{AccountId, OrderId, OrderItemId, OrgId};
use domain::key::{ClientId, CorrelationId, EventId, JobId, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{
    Account, Action, ActivationStatus, Answers, ClientStatus, Decision, Effect, Fact, Item,
    Observed, OrderDetails, OrderState, OrderStatus, PlanRules, Planner, Product, ServiceStatus,
    WhmcsClient, WhmcsOrder, WhmcsService,
};
use domain::ports::{
    CallError, CatalogueEntry, Freshness, NewClient, NewOrder, OrderDetail, PlaceAnswer,
    Provisioner, ProvisionerReads, observe,
};
use domain::time::Timestamp;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The service's own panel, in memory. It creates the first order but loses the reply.
#[derive(Default)]
struct Panel {
    orders: Mutex<Vec<WhmcsOrder>>,
}

impl Panel {
    fn orders(&self) -> Vec<WhmcsOrder> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.clone()
    }
}

#[async_trait]
impl ProvisionerReads for Panel {
    async fn client(&self, id: ClientId) -> Result<Option<WhmcsClient>, CallError> {
        Ok(Some(WhmcsClient {
            id,
            status: ClientStatus::Open,
            currency: None,
        }))
    }

    async fn client_by_email(&self, _email: &str) -> Result<Option<WhmcsClient>, CallError> {
        Ok(None)
    }

    async fn catalogue(
        &self,
        _products: &[ProductId],
        _freshness: Freshness,
    ) -> Result<Option<Vec<CatalogueEntry>>, CallError> {
        Ok(None)
    }

    async fn orders(
        &self,
        client: ClientId,
        above: Option<WhmcsOrderId>,
        _detail: OrderDetail,
    ) -> Result<Vec<WhmcsOrder>, CallError> {
        let mut orders = self.orders();
        orders.retain(|order| order.client == client && Some(order.id) > above);
        Ok(orders)
    }

    async fn order(
        &self,
        client: ClientId,
        order: WhmcsOrderId,
    ) -> Result<Option<WhmcsOrder>, CallError> {
        let orders = ProvisionerReads::orders(self, client, None, OrderDetail::Services).await?;
        Ok(orders.into_iter().find(|seen| seen.id == order))
    }

    async fn probe(&self) -> Result<(), CallError> {
        Ok(())
    }
}

#[async_trait]
impl Provisioner for Panel {
    async fn create_client(&self, _client: &NewClient) -> Result<ClientId, CallError> {
        Ok(ClientId(7))
    }

    async fn place_order(&self, order: &NewOrder) -> Result<PlaceAnswer, CallError> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let id = orders.len() as u64 + 1;
        let lines = order
            .plan
            .lines
            .iter()
            .zip(1..)
            .map(|(line, n)| WhmcsService {
                service: ServiceId(10 * id + n),
                product: Some(line.product),
                cycle: Some(line.cycle),
                status: ServiceStatus::Pending,
                marker: None,
            });
        orders.push(WhmcsOrder {
            id: WhmcsOrderId(id),
            client: order.client,
            status: OrderStatus::Pending,
            notes: order.marker.to_string(),
            lines: lines.collect(),
        });
        match id {
            1 => Err(CallError::Unknown {
                source: "no answer in time".into(),
            }),
            _ => Ok(PlaceAnswer {
                order: WhmcsOrderId(id),
            }),
        }
    }

    async fn accept_order(&self, _: WhmcsOrderId, _: bool) -> Result<(), CallError> {
        Ok(())
    }

    async fn create_service(&self, _: ServiceId) -> Result<(), CallError> {
        Ok(())
    }
}

/// Makes a call to WHMCS and returns the fact that follows from its answer.
async fn perform(panel: &Panel, effect: &Effect, now: Timestamp) -> Fact {
    let answer = match effect {
        Effect::PlaceOrder { order, .. } => panel.place_order(order).await.map(|answer| {
            let order = answer.order;
            Fact::Placed { order }
        }),
        _ => return effect.without_effect(),
    };
    answer.unwrap_or_else(|error| match error {
        CallError::Unknown { .. } => effect.unknown(now),
        _ => effect.without_effect(),
    })
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example prints its output")]
async fn main() -> Result<(), Error> {
    let details = OrderDetails {
        org: OrgId::parse("00D000000000001")?,
        id: OrderId::parse("801000000000001")?,
        number: None,
        activation: ActivationStatus::Activating,
        idem_key: None,
        requested_at: None,
        currency: None,
        account: Account {
            id: AccountId::parse("001000000000001")?,
            name: "Example".to_owned(),
            whmcs_client: Some("7".to_owned()),
        },
        bill_to: None,
        items: vec![Item {
            id: OrderItemId::parse("802000000000001")?,
            product: Product {
                id: None,
                name: "Hosting".to_owned(),
                whmcs_product: Some("5".to_owned()),
                cycle: Some("monthly".to_owned()),
            },
            cycle: None,
            quantity: 1.into(),
            unit_price: None,
        }],
    };
    let job = JobId::of_event(&EventId::new("5f0c9a4e").ok_or("an event has an id")?);
    let panel = Panel::default();
    let correlation = CorrelationId::new("5f0c9a4e").ok_or("a correlation id has a text")?;
    let planner = Planner {
        job: &job,
        correlation: &correlation,
        details: &details,
        rules: &PlanRules::default(),
        marker_proof: None,
    };
    let (mut state, mut seen) = (OrderState::default(), Observed::default());
    let mut now = Timestamp::default();
    // Until the order is read back and verified; a service would go on to activate and report it.
    while state.placed_lines().is_empty() {
        let decision = planner.decide(&state, &seen, &Answers::default(), now);
        let facts = match decision {
            // They may run side by side; one after the other is as correct.
            Decision::Read(reads) => {
                for read in std::iter::once(&reads.needed).chain(&reads.ahead) {
                    seen.add(observe(&panel, read).await?);
                }
                continue;
            }
            Decision::Wait { until, reason } => {
                println!("wait: {reason}");
                now = until;
                continue;
            }
            Decision::Record(fact) => vec![fact],
            // The intent of a call must be on disk before the call: this example keeps facts in
            // memory only.
            Decision::Act(Action::Effect(effect)) => {
                vec![effect.intent(now), perform(&panel, &effect, now).await]
            }
            Decision::Act(_) | Decision::ReadGuard | Decision::Finish(..) => break,
        };
        for fact in &facts {
            println!("{}", fact.name());
            state = state.apply(fact)?;
        }
        seen = Observed::default();
    }
    println!("orders in the panel: {}", panel.orders().len());
    Ok(())
}
