//! The login to Salesforce and the REST client.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use error_chain::chain;
use monitoring::ObservedCondition;
use operations::ConditionKind;
use outbound::Roots;
use runtime::Failure;
use salesforce_auth::{LoginStatus, TokenManager};
use salesforce_rest::{Finding, RestOrders};
use settings::Reload;
use tokio_util::sync::CancellationToken;

use crate::CrmConfig;

/// Clients of Salesforce over one login.
pub struct Salesforce {
    /// The certificate authorities.
    pub roots: Roots,
    /// The login.
    pub tokens: Arc<TokenManager>,
    /// Orders.
    pub crm: Arc<RestOrders>,
    /// What is wrong with the configured names.
    names: Arc<Mutex<Option<String>>>,
}

/// Wait before the names are compared again with an org that does not fit them.
const RECHECK_NAMES: Duration = Duration::from_secs(300);
/// The same while the org does not answer.
const RECHECK_UNREACHABLE: Duration = Duration::from_secs(60);

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
            names: Arc::default(),
            tokens,
            roots,
        })
    }

    /// Why Salesforce does not serve this process, as far as the last login and the last call tell.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.tokens.problem().or_else(|| self.crm.unreachable())
    }

    /// Compares the names of `ORDERBRIDGE_CONFIG` with what the org has, until they fit or
    /// `shutdown`. The program works meanwhile, as far as the org lets it.
    pub fn watch_names(&self, shutdown: CancellationToken) {
        let (crm, names) = (Arc::clone(&self.crm), Arc::clone(&self.names));
        tokio::spawn(shutdown.run_until_cancelled_owned(async move {
            loop {
                let (problem, wait) = match crm.inspect_schema().await {
                    Ok(mut findings) => {
                        findings.retain(Finding::is_broken);
                        (words(&findings), RECHECK_NAMES)
                    }
                    // Shown as a problem of Salesforce itself.
                    Err(_) => (None, RECHECK_UNREACHABLE),
                };
                let fits = problem.is_none() && wait == RECHECK_NAMES;
                if let Some(problem) = &problem {
                    tracing::warn!(problem, "the org does not fit the configured names");
                }
                *names.lock().unwrap_or_else(PoisonError::into_inner) = problem;
                if fits {
                    return;
                }
                tokio::time::sleep(wait).await;
            }
        }));
    }

    /// What is wrong with the configured names, as far as they were compared.
    #[must_use]
    pub fn names_problem(&self) -> Option<String> {
        let names = self.names.lock();
        names.unwrap_or_else(PoisonError::into_inner).clone()
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

fn words(findings: &[Finding]) -> Option<String> {
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    (!lines.is_empty()).then(|| lines.join(" "))
}

fn roots(ca_file: Option<&Path>) -> Result<Roots, Failure> {
    Roots::load(ca_file).map_err(Failure::run)
}
