//! Resolving the WHMCS client of an order.

use super::decide::{Moment, effect};
use crate::failure::{Code, Refusal};
use crate::key::ClientId;
use crate::order::{
    Action, ClientStatus, Contact, Decision, Effect, Fact, OrderDetails, PlanRules, Planner, Read,
    Reads, WhmcsClient,
};
use crate::ports::NewClient;
use crate::time::Timestamp;

/// What to read before the client can be resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ClientLookup {
    /// The client linked to the account.
    Linked(ClientId),
    /// The client with the bill-to contact's e-mail address.
    ByEmail(Box<Contact>),
}

/// What to do about the client.
#[derive(Clone, Debug, PartialEq, Eq)]
enum ClientDecision {
    /// The account is already linked to this client.
    Use(ClientId),
    /// Link the account to this client, which exists.
    Adopt(ClientId),
    /// Create this client, then link the account to it.
    Create(Box<NewClient>),
}

impl Moment<'_> {
    /// A mapping that is missing or invalid fails the attempt before any call.
    pub(super) fn resolve_client(&self) -> Result<Decision, Refusal> {
        let Planner { details, rules, .. } = self.planner;
        let plan = self.planner.plan()?;
        let lookup = client_lookup(details, rules)?;
        let Some(found) = &self.observed.client else {
            return Ok(Decision::Read(match lookup {
                ClientLookup::Linked(client) => Reads {
                    ahead: self.reads_before_placing(client, &plan),
                    ..Read::Client(client).into()
                },
                ClientLookup::ByEmail(contact) => Read::ClientByEmail(contact.email).into(),
            }));
        };
        Ok(
            match resolve_client(details, rules, lookup, found.as_ref())? {
                ClientDecision::Use(client) => Decision::Record(Fact::Client { client }),
                ClientDecision::Adopt(client) => Decision::Act(self.link(client)),
                // WHMCS accepts an e-mail address only once: another order of the same account may
                // have created the client, and then it was found now.
                ClientDecision::Create(client) => match &self.answers.client_refused {
                    Some(refusal) => return Err(refusal.clone()),
                    None => effect(Effect::CreateClient(*client)),
                },
            },
        )
    }

    /// WHMCS chooses the currency of a new client; where it matters the client is read back.
    pub(super) fn link_created(&self, id: ClientId) -> Result<Decision, Refusal> {
        let Planner { details, rules, .. } = self.planner;
        let created = WhmcsClient {
            id,
            status: ClientStatus::Open,
            currency: None,
        };
        let client = match &self.observed.client {
            Some(seen) => seen.as_ref().unwrap_or(&created),
            None if rules.override_prices && details.currency.is_some() => {
                return Ok(Decision::Read(Read::Client(id).into()));
            }
            None => &created,
        };
        check_client(details, rules, client)?;
        Ok(Decision::Act(self.link(client.id)))
    }

    pub(super) fn reconcile_client(
        &self,
        since: Timestamp,
        empty_searches: u8,
    ) -> Result<Decision, Refusal> {
        let Planner { details, rules, .. } = self.planner;
        if let Some(wait) = self.wait_for_search(since) {
            return Ok(wait);
        }
        let contact = match client_lookup(details, rules)? {
            ClientLookup::ByEmail(contact) => contact,
            // Staff linked the account meanwhile.
            ClientLookup::Linked(_) => return self.resolve_client(),
        };
        match &self.observed.client {
            None => Ok(Decision::Read(Read::ClientByEmail(contact.email).into())),
            Some(Some(client)) => {
                check_client(details, rules, client)?;
                Ok(Decision::Act(self.link(client.id)))
            }
            Some(None) if empty_searches == 0 => {
                Ok(Decision::Record(Fact::SearchedEmpty { at: self.now }))
            }
            Some(None) => Err(Refusal::new(
                Code::WhmcsOutcomeUnknown,
                "the answer to creating the client was lost and two searches found none",
            )),
        }
    }

    fn link(&self, client: ClientId) -> Action {
        Action::LinkClient {
            account: self.planner.details.account.id,
            client,
        }
    }
}

/// Decides where to look for the client.
///
/// # Errors
/// `CLIENT_NOT_FOUND` when the account's client id is not a number above zero, `CLIENT_NOT_LINKED`
/// when the account has none and none may be created.
fn client_lookup(details: &OrderDetails, rules: &PlanRules) -> Result<ClientLookup, Refusal> {
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
fn resolve_client(
    details: &OrderDetails,
    rules: &PlanRules,
    lookup: ClientLookup,
    found: Option<&WhmcsClient>,
) -> Result<ClientDecision, Refusal> {
    match (lookup, found) {
        (ClientLookup::Linked(id), None) => Err(not_found(&id.to_string())),
        // The orders of this id were read beside the client.
        (ClientLookup::Linked(id), Some(client)) => {
            check_client(details, rules, client)?;
            Ok(ClientDecision::Use(id))
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
fn check_client(
    details: &OrderDetails,
    rules: &PlanRules,
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
