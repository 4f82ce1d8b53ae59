//! Resolves the WHMCS client.

use domain::failure::{Code, Refusal};
use domain::key::ClientId;
use domain::order::{ClientStatus, Contact, Fact, OrderDetails, WhmcsClient};
use domain::ports::{CallError, NewClient, StoreError};
use domain::time::Timestamp;

use super::{Attempt, Flow};

impl Attempt<'_> {
    pub(super) async fn resolve_client(
        &mut self,
        details: &OrderDetails,
    ) -> Result<Flow, StoreError> {
        let linked = details.account.whmcs_client.as_deref().map(str::trim);
        if let Some(text) = linked.filter(|text| !text.is_empty()) {
            return self.linked_client(details, text).await;
        }
        let contact = match self.bill_to(details) {
            Ok(contact) => contact,
            Err(refusal) => return self.fail(refusal).await,
        };
        match self.ports.reads.client_by_email(&contact.email).await {
            Ok(Some(client)) => self.adopt_client(details, client).await,
            Ok(None) => self.create_client(details, contact).await,
            Err(error) => self.after_no_effect(error).await,
        }
    }

    async fn linked_client(
        &mut self,
        details: &OrderDetails,
        text: &str,
    ) -> Result<Flow, StoreError> {
        let not_found = |text: &str| Refusal::new(Code::ClientNotFound, format!("client `{text}`"));
        let Some(id) = text.parse().ok().filter(|id| *id > 0).map(ClientId) else {
            return self.fail(not_found(text)).await;
        };
        match self.ports.reads.client(id).await {
            Ok(Some(client)) => match self.usable(details, &client) {
                Ok(()) => self.record(Fact::Client { client: client.id }).await,
                Err(refusal) => self.fail(refusal).await,
            },
            Ok(None) => self.fail(not_found(text)).await,
            Err(error) => self.after_no_effect(error).await,
        }
    }

    /// Checks that this order may be placed for the client.
    fn usable(&self, details: &OrderDetails, client: &WhmcsClient) -> Result<(), Refusal> {
        if client.status == ClientStatus::Closed {
            return Err(closed(client.id));
        }
        if self.settings.override_prices {
            client.takes_prices_in(details.currency.as_deref())?;
        }
        Ok(())
    }

    fn bill_to(&self, details: &OrderDetails) -> Result<Contact, Refusal> {
        let refused = |what: &str| Refusal::new(Code::ClientNotLinked, what);
        if !self.settings.create_clients {
            return Err(refused("the account has no WHMCS_Client_ID__c"));
        }
        let contact = details.bill_to.clone().ok_or_else(|| {
            refused("the account has no WHMCS_Client_ID__c and the order no bill-to contact")
        })?;
        match contact.email.trim().is_empty() {
            true => Err(refused("the bill-to contact has no e-mail address")),
            false => Ok(contact),
        }
    }

    async fn create_client(
        &mut self,
        details: &OrderDetails,
        contact: Contact,
    ) -> Result<Flow, StoreError> {
        let intent = Fact::CreatingClient { at: self.now() };
        if let Some(flow) = self.record_intent(intent).await? {
            return Ok(flow);
        }
        let email = contact.email.clone();
        match self
            .ports
            .provisioner
            .create_client(&NewClient { contact })
            .await
        {
            Ok(id) => self.adopt_new_client(details, id).await,
            Err(CallError::Unknown { .. }) => {
                self.record(Fact::ClientUnknown { at: self.now() }).await
            }
            Err(CallError::Refused(refusal)) => {
                self.record(Fact::ClientNotCreated).await?;
                self.created_by_another(details, &email, refusal).await
            }
            Err(error) => {
                self.record(Fact::ClientNotCreated).await?;
                self.after_no_effect(error).await
            }
        }
    }

    /// WHMCS chooses the currency of a new client; where it matters the client is read back.
    async fn adopt_new_client(
        &mut self,
        details: &OrderDetails,
        id: ClientId,
    ) -> Result<Flow, StoreError> {
        let created = WhmcsClient {
            id,
            status: ClientStatus::Open,
            currency: None,
        };
        if !self.settings.override_prices || details.currency.is_none() {
            return self.adopt_client(details, created).await;
        }
        match self.ports.reads.client(id).await {
            Ok(seen) => self.adopt_client(details, seen.unwrap_or(created)).await,
            Err(error) => self.after_no_effect(error).await,
        }
    }

    /// WHMCS accepts an e-mail address only once: another order of the same account may have
    /// created the client, and then it is ours too.
    async fn created_by_another(
        &mut self,
        details: &OrderDetails,
        email: &str,
        refusal: Refusal,
    ) -> Result<Flow, StoreError> {
        match self.ports.reads.client_by_email(email).await {
            Ok(Some(client)) => self.adopt_client(details, client).await,
            Ok(None) => self.fail(refusal).await,
            Err(error) => self.after_no_effect(error).await,
        }
    }

    pub(super) async fn reconcile_client(
        &mut self,
        details: &OrderDetails,
        since: Timestamp,
        empty_searches: u8,
    ) -> Result<Flow, StoreError> {
        let due = since + self.settings.quiet_period;
        if self.now() < due {
            return Ok(self.until(due));
        }
        let contact = match self.bill_to(details) {
            Ok(contact) => contact,
            Err(refusal) => return self.fail(refusal).await,
        };
        match self.ports.reads.client_by_email(&contact.email).await {
            Ok(Some(client)) => self.adopt_client(details, client).await,
            Ok(None) if empty_searches == 0 => {
                self.record(Fact::SearchedEmpty { at: self.now() }).await
            }
            Ok(None) => {
                let detail =
                    "the answer to creating the client was lost and two searches found none";
                self.fail(Refusal::new(Code::WhmcsOutcomeUnknown, detail))
                    .await
            }
            Err(error) => self.after_no_effect(error).await,
        }
    }

    /// Links the account first: once the fact is recorded, the client is not searched for again.
    async fn adopt_client(
        &mut self,
        details: &OrderDetails,
        client: WhmcsClient,
    ) -> Result<Flow, StoreError> {
        if let Err(refusal) = self.usable(details, &client) {
            return self.fail(refusal).await;
        }
        match self
            .ports
            .crm
            .link_client(details.account.id, client.id)
            .await
        {
            Ok(()) => {}
            Err(CallError::Refused(refusal)) => {
                let (account, detail) = (details.account.id, refusal.detail);
                tracing::warn!(%account, detail, "Salesforce refused to store the client id on the account");
            }
            Err(error) => return Ok(self.wait_for_crm(&error)),
        }
        self.record(Fact::Client { client: client.id }).await
    }
}

fn closed(client: ClientId) -> Refusal {
    Refusal::new(Code::ClientClosed, format!("client {client}"))
}
