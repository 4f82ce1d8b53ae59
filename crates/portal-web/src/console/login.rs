//! Logging in and out.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use serde::Deserialize;

use super::caller::Caller;
use super::session::{Denied, cookie_name};
use super::state::Console;
use crate::html::render;
use crate::problem::Problem;
use crate::request::is_cross_site;

#[derive(Template)]
#[template(path = "console/login.html")]
struct LoginPage {
    error: Option<&'static str>,
}

#[derive(Deserialize)]
pub(super) struct LoginForm {
    token: String,
    #[serde(default)]
    name: String,
}

pub(super) async fn form(State(state): State<Arc<Console>>, caller: Caller) -> Response {
    match state.sessions.authenticate(&caller).await {
        Ok(_) => Redirect::to("/ops").into_response(),
        Err(Denied::Disabled) => Problem::from(Denied::Disabled).into_response(),
        Err(_) => render(&LoginPage { error: None }),
    }
}

pub(super) async fn log_in(
    State(state): State<Arc<Console>>,
    caller: Caller,
    Form(form): Form<LoginForm>,
) -> Response {
    // Another site's form could log its visitor in under a name of its choice.
    if is_cross_site(&caller.headers) {
        return Problem::forbidden("Log in from the console itself.").into_response();
    }
    let session = state
        .sessions
        .log_in(&caller, &form.token, &form.name)
        .await;
    let (status, error) = match session {
        Ok(session) => {
            let jar = CookieJar::new().add(cookie(session, state.secure_cookies));
            return (jar, Redirect::to("/ops")).into_response();
        }
        Err(Denied::Disabled) => return Problem::from(Denied::Disabled).into_response(),
        Err(Denied::LoginRequired) => (StatusCode::UNAUTHORIZED, "The token is not valid."),
        Err(Denied::RateLimited(_)) => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many failed logins. Wait a minute and try again.",
        ),
        Err(Denied::Unavailable) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The store does not answer. Try again in a moment.",
        ),
    };
    let page = LoginPage { error: Some(error) };
    (status, render(&page)).into_response()
}

pub(super) async fn log_out(State(state): State<Arc<Console>>, caller: Caller) -> Response {
    if is_cross_site(&caller.headers) {
        return Problem::forbidden("Log out from the console itself.").into_response();
    }
    if let Err(denied) = state.sessions.log_out(&caller).await {
        return Problem::from(denied).into_response();
    }
    let mut expired = cookie(String::new(), state.secure_cookies);
    expired.make_removal();
    (CookieJar::new().add(expired), Redirect::to("/ops/login")).into_response()
}

fn cookie(value: String, secure: bool) -> Cookie<'static> {
    Cookie::build((cookie_name(secure), value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(secure)
        .build()
}
