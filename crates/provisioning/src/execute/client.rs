//! Resolves the WHMCS client.

use domain::failure::{Code, Refusal};
use domain::key::ClientId;
use domain::order::{
    ClientDecision, ClientLookup, ClientRules, ClientStatus, Fact, OrderDetails, WhmcsClient,
    check_client, client_lookup, resolve_client,
};
use domain::ports::{CallError, NewClient, StoreError};
use domain::time::Timestamp;

use super::{Attempt, Flow};

impl Attempt<'_> {
    fn client_rules(&self) -> ClientRules {
        ClientRules {
            create_clients: self.settings.create_clients,
            override_prices: self.settings.override_prices,
        }
    }

    pub(super) async fn resolve_client(
        &mut self,
        details: &OrderDetails,
    ) -> Result<Flow, StoreError> {
        let rules = self.client_rules();
        let lookup = match client_lookup(details, rules) {
            Ok(lookup) => lookup,
            Err(refusal) => return self.fail(refusal).await,
        };
        let found = match &lookup {
            ClientLookup::Linked(id) => self.ports.reads.client(*id).await,
            ClientLookup::ByEmail(contact) => {
                self.ports.reads.client_by_email(&contact.email).await
            }
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.after_no_effect(error).await,
        };
        match resolve_client(details, rules, lookup, found.as_ref()) {
            Ok(ClientDecision::Use(client)) => self.record(Fact::Client { client }).await,
            Ok(ClientDecision::Adopt(client)) => self.link_client(details, client).await,
            Ok(ClientDecision::Create(client)) => self.create_client(details, *client).await,
            Err(refusal) => self.fail(refusal).await,
        }
    }

    async fn create_client(
        &mut self,
        details: &OrderDetails,
        client: NewClient,
    ) -> Result<Flow, StoreError> {
        let intent = Fact::CreatingClient { at: self.now() };
        if let Some(flow) = self.record_intent(intent).await? {
            return Ok(flow);
        }
        match self.ports.provisioner.create_client(&client).await {
            Ok(id) => self.adopt_new_client(details, id).await,
            Err(CallError::Unknown { .. }) => {
                self.record(Fact::ClientUnknown { at: self.now() }).await
            }
            Err(CallError::Refused(refusal)) => {
                self.record(Fact::ClientNotCreated).await?;
                let email = &client.contact.email;
                self.created_by_another(details, email, refusal).await
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
        let contact = match client_lookup(details, self.client_rules()) {
            Ok(ClientLookup::ByEmail(contact)) => contact,
            // Staff linked the account meanwhile.
            Ok(ClientLookup::Linked(_)) => return self.resolve_client(details).await,
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

    async fn adopt_client(
        &mut self,
        details: &OrderDetails,
        client: WhmcsClient,
    ) -> Result<Flow, StoreError> {
        match check_client(details, self.client_rules(), &client) {
            Ok(()) => self.link_client(details, client.id).await,
            Err(refusal) => self.fail(refusal).await,
        }
    }

    /// Links the account first: once the fact is recorded, the client is not searched for again.
    async fn link_client(
        &mut self,
        details: &OrderDetails,
        client: ClientId,
    ) -> Result<Flow, StoreError> {
        let account = details.account.id;
        match self.ports.crm.link_client(account, client).await {
            Ok(()) => {}
            Err(CallError::Refused(refusal)) => {
                let detail = refusal.detail;
                tracing::warn!(%account, detail, "Salesforce refused to store the client id on the account");
            }
            Err(error) => return Ok(self.wait_for_crm(&error)),
        }
        self.record(Fact::Client { client }).await
    }
}
