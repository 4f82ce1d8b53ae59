//! In and out.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::session::{COOKIE, Closed};
use crate::page::html;
use crate::portal::Portal;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "ops/login.html")]
struct LoginPage<'a> {
    wrong: Option<&'a str>,
}

#[derive(Deserialize)]
pub(super) struct Given {
    token: String,
    #[serde(default)]
    name: String,
}

pub(super) async fn form(State(portal): State<Arc<Portal>>, headers: HeaderMap) -> Response {
    match portal.operator(&headers) {
        Ok(_) => Redirect::to("/ops").into_response(),
        Err(Closed::Off) => Problem::from(Closed::Off).into_response(),
        Err(_) => html(&LoginPage { wrong: None }),
    }
}

pub(super) async fn enter(
    State(portal): State<Arc<Portal>>,
    headers: HeaderMap,
    Form(given): Form<Given>,
) -> Response {
    // A form of another site could log its visitor in under a name of its own.
    if is_foreign(&headers) {
        return Problem::new(StatusCode::FORBIDDEN, "Log in from the console itself.")
            .into_response();
    }
    let clock = &portal.ports.clock;
    let entered = portal
        .ops
        .log_in(&given.token, &given.name, clock.now(), clock.monotonic());
    let wrong = match entered {
        Ok(session) => {
            let cookie = cookie(&session, portal.secure_cookies);
            return ([(SET_COOKIE, cookie)], Redirect::to("/ops")).into_response();
        }
        Err(Closed::Off) => return Problem::from(Closed::Off).into_response(),
        Err(Closed::Login) => (StatusCode::UNAUTHORIZED, "This is not the token."),
        Err(Closed::Wait(_)) => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many wrong tokens. Wait a minute and try again.",
        ),
    };
    (
        wrong.0,
        html(&LoginPage {
            wrong: Some(wrong.1),
        }),
    )
        .into_response()
}

pub(super) async fn leave(State(portal): State<Arc<Portal>>, headers: HeaderMap) -> Response {
    if is_foreign(&headers) {
        return Problem::new(StatusCode::FORBIDDEN, "Log out from the console itself.")
            .into_response();
    }
    let gone = format!("{}; Max-Age=0", cookie("", portal.secure_cookies));
    ([(SET_COOKIE, gone)], Redirect::to("/ops/login")).into_response()
}

/// Whether the browser says that another site sent the form.
fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers
        .get("sec-fetch-site")
        .and_then(|value| value.to_str().ok());
    site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

fn cookie(value: &str, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/ops; HttpOnly; SameSite=Strict{secure}")
}
