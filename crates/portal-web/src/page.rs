//! The customer's page: one order in four steps, rendered here, kept fresh by a small script
//! or, without one, by the browser.
//!
//! The browser is let in by a cookie. `GET /orders/{id}?token=…` checks the token, puts it
//! into the cookie and goes on without it. It goes on by a page and not by a redirect: a
//! strict cookie does not travel with a redirect that another site began.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use crate::api::{FAILED, order_id};
use crate::auth::COOKIE_NAME;
use crate::portal::Portal;
use crate::problem::Problem;
use crate::status::{Status, View};
use crate::time;

#[derive(Deserialize)]
pub(crate) struct Asked {
    token: Option<String>,
}

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage<'a> {
    id: &'a str,
    number: &'a str,
    sentence: &'a str,
    steps: [Step; 4],
    status: &'a str,
    over: bool,
    as_of: String,
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    title: &'a str,
    text: &'a str,
    next: Option<&'a str>,
}

struct Step {
    name: &'static str,
    /// `done`, `now`, `open` or `stopped`: a class and, in words, for screen readers.
    state: &'static str,
    words: &'static str,
}

fn steps(status: Status) -> [Step; 4] {
    let names = [
        "Order received",
        "Order approved",
        "Being set up",
        "Ready to use",
    ];
    let (done, here) = match status {
        Status::PendingReview => (1, "now"),
        Status::Approved | Status::Activating => (2, "now"),
        Status::Provisioned => (4, "now"),
        Status::Failed => (2, "stopped"),
        Status::Cancelled => (1, "stopped"),
    };
    let mut place = 0;
    names.map(|name| {
        let state = match place {
            at if at < done => "done",
            at if at == done => here,
            _ => "open",
        };
        place += 1;
        let words = match state {
            "done" => "done",
            "now" => "in progress",
            "stopped" => "stopped",
            _ => "not yet",
        };
        Step { name, state, words }
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

fn render(view: &View) -> Response {
    let page = OrderPage {
        id: view.id.as_str(),
        number: view.number.as_deref().unwrap_or(view.id.as_str()),
        sentence: sentence(view.status),
        steps: steps(view.status),
        status: view.status.name(),
        over: view.status.is_end(),
        as_of: time::plain(view.as_of),
    };
    html(&page)
}

/// A rendered page. Rendering fails only when a value cannot be written.
pub(crate) fn html(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn message(problem: &Problem) -> Response {
    let title = match problem.status() {
        StatusCode::UNAUTHORIZED => "Please sign in",
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => "Order not found",
        _ => "Not available right now",
    };
    let text = match problem.status() {
        StatusCode::UNAUTHORIZED => {
            "Open this order from your customer account; the link from there lets you in."
        }
        _ => problem.detail(),
    };
    let page = Message {
        title,
        text,
        next: None,
    };
    (problem.status(), html(&page)).into_response()
}

pub(crate) async fn show(
    State(portal): State<Arc<Portal>>,
    Path(order): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    match shown(&portal, &order, asked.token.as_deref(), &headers).await {
        Ok(response) => response,
        Err(problem) => message(&problem),
    }
}

async fn shown(
    portal: &Portal,
    order: &str,
    token: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    if let Some(token) = token {
        portal.admit(Some(token)).await?;
        // Where nothing is checked, anything could come this way into the header.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !token.bytes().all(plain) {
            return Err(Problem::unauthorized());
        }
        let order = order_id(order)?;
        let secure = if portal.secure_cookies {
            "; Secure"
        } else {
            ""
        };
        let cookie = format!("{COOKIE_NAME}={token}; Path=/; HttpOnly; SameSite=Strict{secure}");
        let next = format!("/orders/{order}");
        let page = Message {
            title: "One moment",
            text: "Your order opens by itself.",
            next: Some(&next),
        };
        return Ok(([(SET_COOKIE, cookie)], html(&page)).into_response());
    }
    let customer = portal.by_any(headers).await?;
    let view = portal.order_of(customer, order_id(order)?).await?;
    Ok(render(&view))
}

/// A file that is part of this program.
pub(crate) fn asset(kind: &'static str, text: &'static str) -> Response {
    (
        [(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=300")],
        text,
    )
        .into_response()
}

pub(crate) async fn style() -> Response {
    asset(
        "text/css; charset=utf-8",
        include_str!("../assets/portal.css"),
    )
}

pub(crate) async fn script() -> Response {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("../assets/portal.js"),
    )
}

pub(crate) async fn icon() -> Response {
    asset("image/svg+xml", include_str!("../assets/icon.svg"))
}
