//! The login to Salesforce and the REST client.

use std::path::Path;
use std::sync::Arc;

use error_chain::chain;
use monitoring::ObservedCondition;
use operations::ConditionKind;
use outbound::Roots;
use runtime::Failure;
use salesforce_auth::{LoginStatus, TokenManager};
use salesforce_rest::RestOrders;
use settings::Reload;

use crate::CrmConfig;

/// Clients of Salesforce over one login.
pub struct Salesforce {
    /// The certificate authorities.
    pub roots: Roots,
    /// The login.
    pub tokens: Arc<TokenManager>,
    /// Orders.
    pub crm: Arc<RestOrders>,
}

impl Salesforce {
    /// Builds the clients without connecting. `reload` reads the key again and ends the backoff
    /// after a rejected login.
    ///
    /// # Errors
    /// The certificates or a setting cannot be used.
    pub fn new(config: CrmConfig, reload: &Reload) -> Result<Self, Failure> {
        let CrmConfig { auth, rest } = config;
        reload.add_secret(&auth.key);
        let roots = roots(auth.ca_file.as_deref())?;
        let tokens = Arc::new(TokenManager::new(auth, &roots).map_err(Failure::run)?);
        let crm = RestOrders::new(rest, Arc::clone(&tokens), &roots).map_err(Failure::run)?;
        let reset = Arc::clone(&tokens);
        reload.add(move || {
            reset.reset();
            Ok(())
        });
        Ok(Self {
            crm: Arc::new(crm),
            tokens,
            roots,
        })
    }

    /// Why Salesforce does not serve this process, as far as the last login and the last call tell.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.tokens.problem().or_else(|| self.crm.unreachable())
    }

    /// What this process observes of Salesforce: a rejected login, few API calls left.
    #[must_use]
    pub fn conditions(&self) -> Vec<ObservedCondition> {
        let login = match self.tokens.status() {
            LoginStatus::Failed(error) if error.needs_operator() => Some(ObservedCondition::words(
                ConditionKind::SalesforceRefuses,
                chain(&error).to_string(),
            )),
            _ => None,
        };
        let allowance = self.crm.low_allowance();
        let allowance =
            allowance.map(|detail| ObservedCondition::words(ConditionKind::ApiScarce, detail));
        login.into_iter().chain(allowance).collect()
    }
}

fn roots(ca_file: Option<&Path>) -> Result<Roots, Failure> {
    Roots::load(ca_file).map_err(Failure::run)
}
