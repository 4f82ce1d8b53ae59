//! An order as read from the CRM.

use std::fmt;

use crate::decimal::Decimal;
use crate::id::{AccountId, OrderId, OrderItemId, OrgId, Product2Id};
use crate::key::{IdemKey, Marker};
use crate::time::Timestamp;

/// `Activation_Status__c`: the machine state that Flow, operator and worker share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActivationStatus {
    /// Empty: not requested yet.
    NotRequested,
    /// Approved and not finished: the only state in which we act.
    Activating,
    /// Succeeded.
    Activated,
    /// Failed; an operator may retry.
    Failed,
    /// A custom value of the org.
    Other(String),
}

impl fmt::Display for ActivationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRequested => "empty",
            Self::Activating => "Activating",
            Self::Activated => "Activated",
            Self::Failed => "Failed",
            Self::Other(text) => text,
        })
    }
}

/// An order with everything that provisioning needs, read in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderDetails {
    /// The organisation the order belongs to.
    pub org: OrgId,
    /// The order.
    pub id: OrderId,
    /// `OrderNumber`, for display.
    pub number: Option<String>,
    /// `Activation_Status__c`.
    pub activation: ActivationStatus,
    /// `Activation_IdemKey__c`, where the org has the field.
    pub idem_key: Option<IdemKey>,
    /// `Activation_Last_Attempt_At__c`: when the Flow requested the attempt, where the org has the
    /// field.
    pub requested_at: Option<Timestamp>,
    /// The ISO 4217 code its prices are in, where the org has several currencies.
    pub currency: Option<String>,
    /// The buying account.
    pub account: Account,
    /// The bill-to contact; only read when a client may have to be created.
    pub bill_to: Option<Contact>,
    /// The lines, in a stable order.
    pub items: Vec<Item>,
}

impl OrderDetails {
    /// The marker of its WHMCS order.
    #[must_use]
    pub fn marker(&self) -> Marker {
        Marker {
            org: self.org,
            order: self.id,
        }
    }
}

/// The buying account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The account.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// `WHMCS_Client_ID__c`, unparsed.
    pub whmcs_client: Option<String>,
}

/// The bill-to contact with the order's billing address. Personal data: never logged.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// E-mail address, by which an existing client is found.
    pub email: String,
    /// Phone number.
    pub phone: String,
    /// Company, from the account.
    pub company: String,
    /// Street.
    pub street: String,
    /// City.
    pub city: String,
    /// State or region.
    pub state: String,
    /// Postal code.
    pub postcode: String,
    /// ISO 3166 two-letter country code.
    pub country: String,
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contact(redacted)")
    }
}

/// One line of the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The line.
    pub id: OrderItemId,
    /// The product sold.
    pub product: Product,
    /// The line's own `Billing_Cycle__c`, which overrides the product's.
    pub cycle: Option<String>,
    /// `Quantity`.
    pub quantity: Decimal,
    /// `UnitPrice`.
    pub unit_price: Option<Decimal>,
}

/// The product of a line, with its mapping to WHMCS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// The product.
    pub id: Option<Product2Id>,
    /// Its name, for messages.
    pub name: String,
    /// `WHMCS_Product_Id__c`, unparsed.
    pub whmcs_product: Option<String>,
    /// `Billing_Cycle__c`, unparsed.
    pub cycle: Option<String>,
}

/// The guard's view of an order: may this attempt still write?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderGuard {
    /// `Activation_Status__c`.
    pub activation: ActivationStatus,
    /// `Activation_IdemKey__c`, where the org has the field.
    pub idem_key: Option<IdemKey>,
    /// The version that was read. A conditional write sends it back and fails when somebody else
    /// wrote in between. Opaque.
    pub version: Option<String>,
    /// When it was read, by the CRM's clock. A conditional write may send it instead of the version
    /// and then fails when somebody wrote after this read. Opaque.
    pub read_at: Option<String>,
    /// The CRM takes a success in two writes, and only the first is there: the outcome, without the
    /// business status.
    pub status_pending: bool,
}

impl OrderGuard {
    /// Whether an attempt that started with `idem_key` may still write its outcome.
    #[must_use]
    pub fn admits(&self, idem_key: Option<&IdemKey>) -> bool {
        self.activation == ActivationStatus::Activating && self.idem_key.as_ref() == idem_key
    }
}
