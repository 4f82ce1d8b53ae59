//! Whom to order for.

use domain::failure::{Code, Refusal};
use domain::key::ClientId;
use domain::order::{ClientStatus, Contact, Fact, OrderDetails, WhmcsClient};
use domain::ports::{CallError, NewClient, StoreError};
use domain::time::Timestamp;

use super::{Attempt, Flow};

impl Attempt<'_> {
    pub(super) async fn know_client(&mut self, details: &OrderDetails) -> Result<Flow, StoreError> {
        let linked = details.account.whmcs_client.as_deref().map(str::trim);
        if let Some(text) = linked.filter(|text| !text.is_empty()) {
            return self.linked_client(details, text).await;
        }
        let contact = match self.billable(details) {
            Ok(contact) => contact,
            Err(refusal) => return self.refuse(refusal).await,
        };
        match self.ports.provisioner.client_by_email(&contact.email).await {
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
            return self.refuse(not_found(text)).await;
        };
        match self.ports.provisioner.client(id).await {
            Ok(Some(client)) => match self.usable(details, &client) {
                Ok(()) => self.learn(Fact::Client { client: client.id }).await,
                Err(refusal) => self.refuse(refusal).await,
            },
            Ok(None) => self.refuse(not_found(text)).await,
            Err(error) => self.after_no_effect(error).await,
        }
    }

    /// Whether this order may be placed for the client.
    fn usable(&self, details: &OrderDetails, client: &WhmcsClient) -> Result<(), Refusal> {
        if client.status == ClientStatus::Closed {
            return Err(closed(client.id));
        }
        if self.settings.override_prices {
            client.takes_prices_in(details.currency.as_deref())?;
        }
        Ok(())
    }

    fn billable(&self, details: &OrderDetails) -> Result<Contact, Refusal> {
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
        if let Some(flow) = self.intend(intent).await? {
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
                self.learn(Fact::ClientUnknown { at: self.now() }).await
            }
            Err(CallError::Refused(refusal)) => {
                self.learn(Fact::ClientNotCreated).await?;
                self.created_by_another(details, &email, refusal).await
            }
            Err(error) => {
                self.learn(Fact::ClientNotCreated).await?;
                self.after_no_effect(error).await
            }
        }
    }

    /// What a new client is billed in is WHMCS's choice: where that matters it is read back.
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
        match self.ports.provisioner.client(id).await {
            Ok(seen) => self.adopt_client(details, seen.unwrap_or(created)).await,
            Err(error) => self.after_no_effect(error).await,
        }
    }

    /// WHMCS takes an e-mail address once: another order of the same account may have been
    /// quicker, and then its client is ours too.
    async fn created_by_another(
        &mut self,
        details: &OrderDetails,
        email: &str,
        refusal: Refusal,
    ) -> Result<Flow, StoreError> {
        match self.ports.provisioner.client_by_email(email).await {
            Ok(Some(client)) => self.adopt_client(details, client).await,
            Ok(None) => self.refuse(refusal).await,
            Err(error) => self.after_no_effect(error).await,
        }
    }

    pub(super) async fn settle_client(
        &mut self,
        details: &OrderDetails,
        since: Timestamp,
        empty_searches: u8,
    ) -> Result<Flow, StoreError> {
        let due = since + self.settings.quiet_period;
        if self.now() < due {
            return Ok(self.until(due));
        }
        let contact = match self.billable(details) {
            Ok(contact) => contact,
            Err(refusal) => return self.refuse(refusal).await,
        };
        match self.ports.provisioner.client_by_email(&contact.email).await {
            Ok(Some(client)) => self.adopt_client(details, client).await,
            Ok(None) if empty_searches == 0 => {
                self.learn(Fact::SearchedEmpty { at: self.now() }).await
            }
            Ok(None) => {
                let detail =
                    "the answer to creating the client was lost and two searches found none";
                self.refuse(Refusal::new(Code::WhmcsOutcomeUnknown, detail))
                    .await
            }
            Err(error) => self.after_no_effect(error).await,
        }
    }

    /// Links the account first: once the fact stands, nobody looks for the client again.
    async fn adopt_client(
        &mut self,
        details: &OrderDetails,
        client: WhmcsClient,
    ) -> Result<Flow, StoreError> {
        if let Err(refusal) = self.usable(details, &client) {
            return self.refuse(refusal).await;
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
                tracing::warn!(%account, detail, "Salesforce refused the client's id on the account");
            }
            Err(error) => return Ok(self.wait_for_crm(&error)),
        }
        self.learn(Fact::Client { client: client.id }).await
    }
}

fn closed(client: ClientId) -> Refusal {
    Refusal::new(Code::ClientClosed, format!("client {client}"))
}
