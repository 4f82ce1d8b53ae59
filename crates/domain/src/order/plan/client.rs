//! Resolving the WHMCS client of an order.

use crate::failure::{Code, Refusal};
use crate::key::ClientId;
use crate::order::{Action, ClientStatus, Contact, OrderDetails, WhmcsClient};
use crate::ports::NewClient;

/// Settings that decide which client is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientRules {
    /// Whether an account without a WHMCS client gets one, found by e-mail or created.
    pub create_clients: bool,
    /// Whether the CRM's prices are sent; then client and order must have the same currency.
    pub override_prices: bool,
}

/// What to read before the client can be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientLookup {
    /// The client linked to the account.
    Linked(ClientId),
    /// The client with the bill-to contact's e-mail address.
    ByEmail(Box<Contact>),
}

/// What to do about the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientDecision {
    /// The account is already linked to this client.
    Use(ClientId),
    /// Link the account to this client, which exists.
    Adopt(ClientId),
    /// Create this client, then link the account to it.
    Create(Box<NewClient>),
}

impl ClientDecision {
    /// The call that it needs, if any.
    #[must_use]
    pub fn action(&self, details: &OrderDetails) -> Option<Action> {
        match self {
            Self::Use(_) => None,
            Self::Adopt(client) => Some(Action::LinkClient {
                account: details.account.id,
                client: *client,
            }),
            Self::Create(client) => Some(Action::CreateClient(NewClient::clone(client))),
        }
    }
}

/// Decides where to look for the client.
///
/// # Errors
/// `CLIENT_NOT_FOUND` when the account's client id is not a number above zero, `CLIENT_NOT_LINKED`
/// when the account has none and none may be created.
pub fn client_lookup(details: &OrderDetails, rules: ClientRules) -> Result<ClientLookup, Refusal> {
    let linked = details.account.whmcs_client.as_deref().map(str::trim);
    if let Some(text) = linked.filter(|text| !text.is_empty()) {
        let id = text.parse().ok().filter(|id| *id > 0).map(ClientId);
        return id.map(ClientLookup::Linked).ok_or_else(|| not_found(text));
    }
    let not_linked = |what: &str| Refusal::new(Code::ClientNotLinked, what);
    if !rules.create_clients {
        return Err(not_linked("the account has no WHMCS_Client_ID__c"));
    }
    let contact = details.bill_to.clone().ok_or_else(|| {
        not_linked("the account has no WHMCS_Client_ID__c and the order no bill-to contact")
    })?;
    match contact.email.trim().is_empty() {
        true => Err(not_linked("the bill-to contact has no e-mail address")),
        false => Ok(ClientLookup::ByEmail(Box::new(contact))),
    }
}

/// Decides what to do with the result of the lookup.
///
/// # Errors
/// `CLIENT_NOT_FOUND`, `CLIENT_CLOSED`, or `MAPPING_INVALID` for prices in another currency.
pub fn resolve_client(
    details: &OrderDetails,
    rules: ClientRules,
    lookup: ClientLookup,
    found: Option<&WhmcsClient>,
) -> Result<ClientDecision, Refusal> {
    match (lookup, found) {
        (ClientLookup::Linked(id), None) => Err(not_found(&id.to_string())),
        (ClientLookup::Linked(_), Some(client)) => {
            check_client(details, rules, client)?;
            Ok(ClientDecision::Use(client.id))
        }
        (ClientLookup::ByEmail(_), Some(client)) => {
            check_client(details, rules, client)?;
            Ok(ClientDecision::Adopt(client.id))
        }
        (ClientLookup::ByEmail(contact), None) => Ok(ClientDecision::Create(Box::new(NewClient {
            contact: *contact,
        }))),
    }
}

/// Checks that this order may be placed for the client.
///
/// # Errors
/// `CLIENT_CLOSED`, or `MAPPING_INVALID` for prices in another currency.
pub fn check_client(
    details: &OrderDetails,
    rules: ClientRules,
    client: &WhmcsClient,
) -> Result<(), Refusal> {
    if client.status == ClientStatus::Closed {
        let detail = format!("client {}", client.id);
        return Err(Refusal::new(Code::ClientClosed, detail));
    }
    match rules.override_prices {
        true => client.takes_prices_in(details.currency.as_deref()),
        false => Ok(()),
    }
}

fn not_found(client: &str) -> Refusal {
    Refusal::new(Code::ClientNotFound, format!("client `{client}`"))
}
