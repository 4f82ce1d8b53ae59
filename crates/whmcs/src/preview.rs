//! Previews of effects: what a call would send.

use domain::key::WhmcsOrderId;
use domain::ports::{NewClient, NewOrder};

use crate::Whmcs;
use crate::form::Form;

/// One call to WHMCS, without the credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCall {
    /// The action.
    pub action: &'static str,
    /// The fields, in order.
    pub fields: Vec<(String, String)>,
}

fn planned(action: &'static str, form: Form) -> PlannedCall {
    PlannedCall {
        action,
        fields: form.fields(),
    }
}

impl Whmcs {
    /// The call that creates this client. The real password is random.
    #[must_use]
    pub fn preview_client(&self, client: &NewClient) -> PlannedCall {
        planned("AddClient", self.client_form(client, "(a random one)"))
    }

    /// The call that places this order.
    #[must_use]
    pub fn preview_order(&self, order: &NewOrder) -> PlannedCall {
        planned("AddOrder", self.order_form(order))
    }

    /// The call that accepts an order; `None` for one that is still to be placed.
    #[must_use]
    pub fn preview_accept(&self, order: Option<WhmcsOrderId>, run_modules: bool) -> PlannedCall {
        let order = order.map_or_else(|| "(the new order)".to_owned(), |order| order.to_string());
        planned("AcceptOrder", self.accept_form(&order, run_modules))
    }
}
