//! What the customer handlers share.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::Cookie;
use domain::id::OrderId;
use domain::ports::{Clock, CustomerOrders};
use tokio::sync::Semaphore;

use super::auth::{COOKIE_NAME, Customer, Denial, Keys, Tokens};
use super::jwks::Jwks;
use super::rate_limit::OrderRateLimit;
use super::status::View;
use super::status_cache::{StatusCache, Unavailable};
use crate::config::{Config, TokenKeys};
use crate::event_stream::EventStreams;
use crate::ports::Ports;
use crate::problem::Problem;
use crate::request::bearer;

/// Orders that are created in Salesforce at once.
const MAX_CREATING: usize = 16;

/// State of the customer handlers.
pub(crate) struct Customers {
    pub(super) orders: Arc<dyn CustomerOrders>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) statuses: Arc<StatusCache>,
    pub(super) creating: Semaphore,
    pub(super) rate_limit: OrderRateLimit,
    pub(super) streams: EventStreams,
    pub(super) secure_cookies: bool,
    tokens: Tokens,
}

impl Customers {
    pub(crate) fn new(ports: &Ports, config: &Config, streams: EventStreams) -> Self {
        let clock = || Arc::clone(&ports.clock);
        let keys = match &config.keys {
            TokenKeys::Nobody => Keys::Nobody,
            TokenKeys::Secret(secret) => Keys::Secret(secret.clone()),
            TokenKeys::Jwks(url) => Keys::Jwks(Jwks::new(ports.http.clone(), url.clone(), clock())),
        };
        let views = Arc::clone(&ports.orders);
        Self {
            orders: Arc::clone(&ports.customers),
            clock: clock(),
            statuses: StatusCache::new(Arc::clone(&ports.customers), views, clock()),
            creating: Semaphore::new(MAX_CREATING),
            rate_limit: OrderRateLimit::new(clock()),
            streams,
            secure_cookies: config.secure_cookies,
            tokens: Tokens {
                keys,
                audience: config.audience.clone(),
                issuer: config.issuer.clone(),
            },
        }
    }

    /// The customer by the `Authorization` header.
    pub(super) async fn by_bearer(&self, headers: &HeaderMap) -> Result<Customer, Problem> {
        self.authenticate(bearer(headers)).await
    }

    /// The customer by the `Authorization` header or the page's cookie; for reads only.
    pub(super) async fn by_any(&self, headers: &HeaderMap) -> Result<Customer, Problem> {
        let jar = CookieJar::from_headers(headers);
        let cookie = || jar.get(COOKIE_NAME).map(Cookie::value);
        self.authenticate(bearer(headers).or_else(cookie)).await
    }

    pub(super) async fn authenticate(&self, token: Option<&str>) -> Result<Customer, Problem> {
        let customer = self.tokens.customer(token, self.clock.now()).await;
        customer.map_err(|denial| match denial {
            Denial::Token => Problem::unauthorized(),
            Denial::NoKeys => Problem::unavailable("Tokens cannot be verified at the moment."),
        })
    }

    /// The order, if it belongs to this customer.
    pub(super) async fn order_of(
        &self,
        customer: Customer,
        order: OrderId,
    ) -> Result<View, Problem> {
        let view = self.statuses.get(order).await?;
        view.filter(|view| customer.owns(view.account))
            .ok_or_else(Problem::no_such_order)
    }
}

impl From<Unavailable> for Problem {
    fn from(Unavailable: Unavailable) -> Self {
        Self::unavailable("The order's status is not available at the moment.")
    }
}
