//! The operator console. Off unless there is a token for it.

mod acts;
mod calls;
mod changes;
mod chart;
mod process_registry;
mod json;
mod login;
mod numbers;
mod screens;
mod session;
mod timeline;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use domain::ports::StoreError;

use crate::page;
use crate::portal::Portal;
use crate::problem::Problem;

use session::{Closed, Operator};
pub(crate) use session::{Ops, is_local};

pub(crate) fn routes() -> Router<Arc<Portal>> {
    Router::new()
        .route("/ops", get(screens::overview))
        .route("/ops/", get(async || Redirect::permanent("/ops")))
        .route("/ops/orders", get(screens::orders))
        .route("/ops/orders/{order}", get(screens::order))
        .route("/ops/failures", get(screens::failures))
        .route("/ops/system", get(screens::system))
        .route("/ops/act", post(acts::act))
        .route("/ops/login", get(login::form).post(login::enter))
        .route("/ops/logout", post(login::leave))
        .route("/ops/changes", get(changes::follow))
        .route("/ops/api/overview", get(json::overview))
        .route("/ops/api/orders", get(json::orders))
        .route("/ops/api/orders/{order}", get(json::order))
        .route("/ops/api/alerts", get(process_registry::alerts))
        .route("/ops/api/processes", get(process_registry::processes))
        .route("/ops/api/act", post(acts::act_by_program))
        .route("/assets/ops.css", get(style))
        .route("/assets/ops.js", get(script))
}

async fn style() -> Response {
    page::asset(
        "text/css; charset=utf-8",
        include_str!("../../assets/ops.css"),
    )
}

async fn script() -> Response {
    page::asset(
        "text/javascript; charset=utf-8",
        include_str!("../../assets/ops.js"),
    )
}

impl Portal {
    fn operator(&self, headers: &HeaderMap) -> Result<Operator, Closed> {
        let clock = &self.ports.clock;
        self.ops.admit(headers, clock.now(), clock.monotonic())
    }

    /// For programs: a refusal is a problem document.
    fn operator_program(&self, headers: &HeaderMap) -> Result<Operator, Problem> {
        self.operator(headers).map_err(Problem::from)
    }

    /// For people: whoever is not logged in is shown the form.
    fn operator_person(&self, headers: &HeaderMap) -> Result<Operator, Turned> {
        self.operator(headers).map_err(|closed| match closed {
            Closed::Login => Turned::Login,
            closed => Turned::Away(closed.into()),
        })
    }
}

/// Why a person does not see a screen.
enum Turned {
    /// They have to log in first.
    Login,
    /// Something else.
    Away(Problem),
}

impl From<Problem> for Turned {
    fn from(problem: Problem) -> Self {
        Self::Away(problem)
    }
}

impl IntoResponse for Turned {
    fn into_response(self) -> Response {
        match self {
            Self::Login => Redirect::to("/ops/login").into_response(),
            // Whoever has no console is not shown a piece of it.
            Self::Away(problem) if problem == Closed::Off.into() => problem.into_response(),
            Self::Away(problem) => {
                let page = page::html(&acts::DonePage {
                    text: problem.detail().to_owned(),
                    back: "/ops".to_owned(),
                });
                (problem.status(), page).into_response()
            }
        }
    }
}

impl From<Closed> for Problem {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Off => Self::new(StatusCode::NOT_FOUND, "There is nothing here."),
            Closed::Login => Self::unauthorized(),
            Closed::Wait(wait) => Self::too_many(wait),
        }
    }
}

fn store(error: StoreError) -> Problem {
    tracing::warn!(%error, "the console could not read the store");
    Problem::unavailable(error.to_string())
}
