//! What the customer handlers share.

use std::num::NonZeroUsize;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use domain::id::OrderId;
use domain::ports::{Clock, CustomerOrders};
use tokio::sync::Semaphore;

use super::auth::{Customer, Denial, Keys, Tokens, cookie_name};
use super::crm_budget::CrmBudget;
use super::jwks::Jwks;
use super::rate_limit::AccountLimit;
use super::status::View;
use super::status_cache::{StatusCache, Unavailable};
use crate::account_permits::AccountPermits;
use crate::actor;
use crate::config::{Config, TokenKeys};
use crate::event_stream::EventStreams;
use crate::ports::Ports;
use crate::problem::Problem;
use crate::request::bearer;

/// Orders that are created in Salesforce at once.
const MAX_CREATING: usize = 16;
/// New orders of one account that are received at once.
const MAX_RECEIVING: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");

/// State of the customer handlers.
pub(crate) struct Customers {
    pub(super) orders: Arc<dyn CustomerOrders>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) statuses: Arc<StatusCache>,
    pub(super) creating: Semaphore,
    /// New orders that are being received.
    pub(super) receiving: AccountPermits,
    pub(super) order_limit: AccountLimit,
    read_limit: AccountLimit,
    /// The calls to Salesforce for new orders.
    pub(super) create_budget: CrmBudget,
    pub(super) accept_prices: bool,
    pub(super) streams: EventStreams,
    pub(super) secure_cookies: bool,
    tokens: Tokens,
}

impl Customers {
    pub(crate) fn new(ports: &Ports, config: &Config, streams: EventStreams) -> Self {
        let clock = || Arc::clone(&ports.clock);
        config.keys.add_to(&ports.reload);
        let keys = match &config.keys {
            TokenKeys::Nobody => Keys::Nobody,
            TokenKeys::Secret { current, previous } => {
                Keys::Secrets(std::iter::once(current).chain(previous).cloned().collect())
            }
            TokenKeys::Jwks(url) => {
                let jwks = Jwks::new(ports.http.clone(), url.clone(), clock());
                let keys = Arc::downgrade(&jwks);
                ports.reload.add(move || {
                    if let Some(jwks) = keys.upgrade() {
                        jwks.reload();
                    }
                    Ok(())
                });
                Keys::Jwks(jwks)
            }
        };
        let views = Arc::clone(&ports.orders);
        Self {
            orders: Arc::clone(&ports.customers),
            clock: clock(),
            statuses: StatusCache::new(
                Arc::clone(&ports.customers),
                Arc::clone(&ports.allowance),
                views,
                clock(),
            ),
            create_budget: CrmBudget::new(Arc::clone(&ports.allowance), clock()),
            creating: Semaphore::new(MAX_CREATING),
            receiving: AccountPermits::new(MAX_RECEIVING),
            order_limit: AccountLimit::new(config.limits.orders, clock()),
            read_limit: AccountLimit::new(config.limits.reads, clock()),
            accept_prices: config.accept_prices,
            streams,
            secure_cookies: config.secure_cookies,
            tokens: Tokens {
                keys,
                audience: config.audience.clone(),
                issuer: config.issuer.clone(),
            },
        }
    }

    /// The customer who creates orders, by the `Authorization` header. Never by cookie: another
    /// site could make the browser send it.
    pub(super) async fn creator(&self, headers: &HeaderMap) -> Result<Customer, Problem> {
        let customer = self.authenticate(bearer(headers)).await?;
        match customer.may_create() {
            true => Ok(customer),
            false => Err(Problem::forbidden(
                "This token cannot create orders: it lacks the scope orders:write, or is for one order.",
            )),
        }
    }

    /// The customer who reads, by the `Authorization` header or the page's cookie.
    pub(super) async fn reader(&self, headers: &HeaderMap) -> Result<Customer, Problem> {
        let jar = CookieJar::from_headers(headers);
        let cookie = || jar.get(cookie_name(self.secure_cookies)).map(Cookie::value);
        self.reader_by(bearer(headers).or_else(cookie)).await
    }

    /// The customer who reads with this token; counts as a read.
    pub(super) async fn reader_by(&self, token: Option<&str>) -> Result<Customer, Problem> {
        let customer = self.authenticate(token).await?;
        if !customer.scopes.read {
            return Err(Problem::forbidden(
                "This token cannot read orders: it lacks the scope orders:read.",
            ));
        }
        let limited = self.read_limit.check(customer.account);
        limited.map_err(Problem::rate_limited)?;
        Ok(customer)
    }

    async fn authenticate(&self, token: Option<&str>) -> Result<Customer, Problem> {
        let customer = self.tokens.customer(token, self.clock.now()).await;
        if let Ok(customer) = &customer
            && let Some(account) = customer.account
        {
            actor::note(|| format!("account {account}"));
        }
        customer.map_err(|denial| {
            if denial != Denial::NoToken {
                tracing::info!(reason = denial.reason(), "token refused");
            }
            match denial {
                Denial::NoKeys => Problem::unavailable("Tokens cannot be verified at the moment."),
                _ => Problem::unauthorized(),
            }
        })
    }

    /// The order, if it belongs to this customer and the token is for it.
    pub(super) async fn order_of(
        &self,
        customer: Customer,
        order: OrderId,
    ) -> Result<View, Problem> {
        if !customer.may_see(order) {
            return Err(Problem::no_such_order());
        }
        let owns = |account| customer.owns(account);
        let view = self.statuses.get(order, customer.account, owns).await?;
        view.ok_or_else(Problem::no_such_order)
    }
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        match unavailable {
            Unavailable::Down => {
                Self::unavailable("The order's status is not available at the moment.")
            }
            Unavailable::Limited(wait) => Self::rate_limited(wait),
        }
    }
}
