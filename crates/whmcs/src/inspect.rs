//! What `orderctl doctor` asks: rights, gateways, currencies, version. Nothing here changes
//! anything.

use domain::ports::CallError;
use serde_json::Value;

use crate::answer::{Denial, Kind};
use crate::form::Form;
use crate::{Whmcs, wire};

/// Why WHMCS denies a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeniedBy {
    /// The address is not on the allow-list.
    Address,
    /// The credential's role lacks the action.
    Role,
    /// The credential or its user.
    Credential,
    /// There is no such API or action at this URL.
    Url,
    /// Something in front of WHMCS, as far as one can tell.
    Barrier,
}

impl DeniedBy {
    /// Why a call was denied; `None` for any other error.
    #[must_use]
    pub fn of(error: &CallError) -> Option<Self> {
        let CallError::Denied { source, .. } = error else {
            return None;
        };
        Some(match source.downcast_ref::<Denial>()? {
            Denial::Address => Self::Address,
            Denial::Role => Self::Role,
            Denial::Credential => Self::Credential,
            Denial::NoSuchAction | Denial::NoApi => Self::Url,
            Denial::Barred => Self::Barrier,
        })
    }
}

/// Actions that the bridge calls, each with a parameter that names nothing: WHMCS checks the right
/// first and then finds nothing to act on.
pub const PROBES: [(&str, &str); 8] = [
    ("GetOrderStatuses", ""),
    ("GetClientsDetails", "clientid"),
    ("GetOrders", "id"),
    ("GetProducts", "pid"),
    ("GetClientsProducts", "serviceid"),
    ("AddOrder", "clientid"),
    ("AcceptOrder", "orderid"),
    ("ModuleCreate", "serviceid"),
];

/// An id that no record has: the largest of an unsigned column.
const NOTHING: u32 = u32::MAX;

impl Whmcs {
    /// Calls an action of [`PROBES`] with an id that no record has.
    ///
    /// # Errors
    /// [`CallError`]; `Refused` proves that the action may be called.
    pub async fn probe_action(
        &self,
        action: &'static str,
        parameter: &'static str,
    ) -> Result<(), CallError> {
        let form = match parameter {
            "" => Form::new(),
            name => Form::new().set(name, NOTHING),
        };
        self.api.call(Kind::Read, action, form).await.map(|_| ())
    }

    /// The system names of the gateways.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn payment_methods(&self) -> Result<Vec<String>, CallError> {
        self.column(
            "GetPaymentMethods",
            "paymentmethods",
            "paymentmethod",
            "module",
        )
        .await
    }

    /// The codes of the currencies.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn currencies(&self) -> Result<Vec<String>, CallError> {
        self.column("GetCurrencies", "currencies", "currency", "code")
            .await
    }

    async fn column(
        &self,
        action: &'static str,
        list: &str,
        entry: &str,
        field: &str,
    ) -> Result<Vec<String>, CallError> {
        let answer = self.api.call(Kind::Read, action, Form::new()).await?;
        let rows = wire::list(&answer, list, entry).unwrap_or_default();
        let texts = rows
            .into_iter()
            .map(|row| wire::text(row.get(field)).to_owned());
        Ok(texts.collect())
    }

    /// The version; many roles may not read it.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn version(&self) -> Result<String, CallError> {
        let answer = self
            .api
            .call(Kind::Read, "WhmcsDetails", Form::new())
            .await?;
        let whmcs = answer.get("whmcs").and_then(Value::as_object);
        Ok(whmcs
            .map_or("", |whmcs| wire::text(whmcs.get("version")))
            .to_owned())
    }

    /// The gateway of new orders.
    #[must_use]
    pub fn payment_method(&self) -> &str {
        &self.api.config.payment_method
    }
}
