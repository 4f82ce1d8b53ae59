//! Previews of effects: what a call would send.

use domain::order::Effect;

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
    /// The call that performs this effect. The real password of a new client is random.
    #[must_use]
    pub fn preview(&self, effect: &Effect) -> PlannedCall {
        let (action, form) = match effect {
            Effect::CreateClient(client) => {
                ("AddClient", self.client_form(client, "(a random one)"))
            }
            Effect::PlaceOrder { order, .. } => ("AddOrder", self.order_form(order)),
            Effect::AcceptOrder { order, run_modules } => {
                ("AcceptOrder", self.accept_form(*order, *run_modules))
            }
            Effect::CreateService(service) => {
                ("ModuleCreate", Form::new().set("serviceid", service))
            }
        };
        PlannedCall {
            action,
            fields: form.fields(),
        }
    }
}
