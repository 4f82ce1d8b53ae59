//! The status page of one order in four steps, refreshed by a small script or, without
//! scripts, by the browser.
//!
//! Browsers authenticate by a cookie: `GET /orders/{id}?token=…` verifies the token, sets the
//! cookie and continues to the address without the token. It continues by a page instead of a
//! redirect because strict cookies are not sent after a redirect from another site.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use serde::Deserialize;

use super::auth::cookie_name;
use super::orders::FAILED;
use super::state::Customers;
use super::status::{Status, View};
use crate::html::render;
use crate::problem::Problem;
use crate::request::order_id;
use crate::time;

#[derive(Deserialize)]
pub(crate) struct PageQuery {
    token: Option<String>,
}

#[derive(Template)]
#[template(path = "customer/order.html")]
struct OrderPage<'a> {
    id: &'a str,
    number: &'a str,
    sentence: &'a str,
    steps: [Step; 4],
    status: &'a str,
    is_final: bool,
    as_of: String,
}

#[derive(Template)]
#[template(path = "customer/message.html")]
struct Message<'a> {
    title: &'a str,
    text: &'a str,
    next: Option<&'a str>,
}

struct Step {
    name: &'static str,
    /// CSS class: `done`, `now`, `open` or `stopped`.
    state: &'static str,
    /// The state for screen readers.
    label: &'static str,
}

fn steps(status: Status) -> [Step; 4] {
    let names = [
        "Order received",
        "Order approved",
        "Being set up",
        "Ready to use",
    ];
    let (done, current) = match status {
        Status::PendingReview => (1, "now"),
        Status::Approved | Status::Activating => (2, "now"),
        Status::Provisioned => (4, "now"),
        Status::Failed => (2, "stopped"),
        Status::Cancelled => (1, "stopped"),
    };
    let mut index = 0;
    names.map(|name| {
        let state = match index {
            index if index < done => "done",
            index if index == done => current,
            _ => "open",
        };
        index += 1;
        let label = match state {
            "done" => "done",
            "now" => "in progress",
            "stopped" => "stopped",
            _ => "not yet",
        };
        Step { name, state, label }
    })
}

const fn sentence(status: Status) -> &'static str {
    match status {
        Status::PendingReview => "We have your order and are looking at it.",
        Status::Approved => "Your order is approved. Setting it up begins in a moment.",
        Status::Activating => "We are setting up your services.",
        Status::Provisioned => "Everything is set up and ready to use.",
        Status::Failed => FAILED,
        Status::Cancelled => "This order was cancelled.",
    }
}

fn order_page(view: &View) -> Response {
    let page = OrderPage {
        id: view.id.as_str(),
        number: view.number.as_deref().unwrap_or(view.id.as_str()),
        sentence: sentence(view.status),
        steps: steps(view.status),
        status: view.status.name(),
        is_final: view.status.is_final(),
        as_of: time::seconds(view.as_of),
    };
    render(&page)
}

fn error_page(problem: &Problem) -> Response {
    let title = match problem.status() {
        StatusCode::UNAUTHORIZED => "Please sign in",
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => "Order not found",
        StatusCode::TOO_MANY_REQUESTS => "One moment, please",
        _ => "Not available right now",
    };
    let text = match problem.status() {
        StatusCode::UNAUTHORIZED => {
            "Open this order from your customer account; the link there signs you in."
        }
        _ => problem.detail(),
    };
    let page = Message {
        title,
        text,
        next: None,
    };
    (problem.status(), render(&page)).into_response()
}

pub(crate) async fn show(
    State(state): State<Arc<Customers>>,
    Path(order): Path<String>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Response {
    match respond(&state, &order, query.token.as_deref(), &headers).await {
        Ok(response) => response,
        Err(problem) => error_page(&problem),
    }
}

async fn respond(
    state: &Customers,
    order: &str,
    token: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    if let Some(token) = token {
        let customer = state.reader_by(Some(token)).await?;
        let order = order_id(order)?;
        if !customer.may_see(order) {
            return Err(Problem::no_such_order());
        }
        let name = cookie_name(state.secure_cookies);
        let cookie = Cookie::build((name, token.to_owned()))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Strict)
            .secure(state.secure_cookies);
        let next = format!("/orders/{order}");
        let page = Message {
            title: "One moment",
            text: "Your order opens by itself.",
            next: Some(&next),
        };
        return Ok((CookieJar::new().add(cookie), render(&page)).into_response());
    }
    let customer = state.reader(headers).await?;
    let view = state.order_of(customer, order_id(order)?).await?;
    Ok(order_page(&view))
}
