//! Previews of effects: what a call would send.

use domain::order::Action;

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

impl Whmcs {
    /// The call that performs this action; `None` for one that is not WHMCS's. The real password
    /// of a new client is random.
    #[must_use]
    pub fn preview(&self, action: &Action) -> Option<PlannedCall> {
        let (action, form) = match action {
            Action::CreateClient(client) => {
                ("AddClient", self.client_form(client, "(a random one)"))
            }
            Action::PlaceOrder(order) => ("AddOrder", self.order_form(order)),
            Action::AcceptOrder { order, run_modules } => {
                ("AcceptOrder", self.accept_form(*order, *run_modules))
            }
            Action::CreateService(service) => {
                ("ModuleCreate", Form::new().set("serviceid", service))
            }
            Action::LinkClient { .. } | Action::ReportItems(_) | Action::Report(_) => return None,
        };
        Some(PlannedCall {
            action,
            fields: form.fields(),
        })
    }
}
