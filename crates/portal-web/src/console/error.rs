//! Errors of screens, as pages.

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};

use super::session::Denied;
use crate::html::render;
use crate::problem::Problem;

/// The result of a command or an error.
#[derive(Template)]
#[template(path = "console/result.html")]
pub(super) struct ResultPage {
    pub(super) text: String,
    pub(super) back: String,
}

/// Why a screen is not shown.
pub(super) enum PageError {
    Denied(Denied),
    Problem(Problem),
}

impl From<Problem> for PageError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Denied> for PageError {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Disabled => Self::nothing_here(),
            Denied::LoginRequired => Self::unauthorized(),
            Denied::RateLimited(wait) => Self::rate_limited(wait),
            Denied::Unavailable => Self::unavailable("The store does not answer."),
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let problem = match self {
            Self::Denied(Denied::LoginRequired) => {
                return Redirect::to("/ops/login").into_response();
            }
            // A disabled console must not show that it exists.
            Self::Denied(Denied::Disabled) => {
                return Problem::from(Denied::Disabled).into_response();
            }
            Self::Denied(denied) => denied.into(),
            Self::Problem(problem) => problem,
        };
        let page = ResultPage {
            text: problem.detail().to_owned(),
            back: "/ops".to_owned(),
        };
        (problem.status(), render(&page)).into_response()
    }
}
