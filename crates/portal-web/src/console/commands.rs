//! Operator commands. Each has a reason and is recorded in the audit log.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::Form;
use domain::failure::Code;
use domain::id::OrderId;
use domain::key::DeadLetterId;
use domain::order::RetryAnswer;
use error_chain::chain;
use operations::{AdminCommand, CommandResult, Pausable};
use serde::Deserialize;
use serde_json::json;

use super::caller::Caller;
use super::error::{PageError, ResultPage};
use super::session::{Operator, is_csrf_valid};
use super::state::Console;
use crate::html::render;
use crate::problem::Problem;
use crate::request::order_id;

/// Orders of a cause that are retried at once.
const MAX_ORDERS: usize = 500;

/// A command, sent as a form or as JSON.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct CommandRequest {
    act: String,
    reason: String,
    order: Vec<String>,
    code: String,
    /// How many orders the operator expects.
    count: Option<usize>,
    #[serde(rename = "letter")]
    dead_letter: Option<i64>,
}

/// A command with the fields of the console's forms, which may repeat `order`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct CommandForm {
    act: String,
    reason: String,
    order: Vec<String>,
    code: String,
    count: String,
    #[serde(rename = "letter")]
    dead_letter: Option<i64>,
    csrf: String,
    back: String,
}

impl From<CommandForm> for CommandRequest {
    fn from(form: CommandForm) -> Self {
        Self {
            act: form.act,
            reason: form.reason,
            order: form.order,
            code: form.code,
            count: form.count.trim().parse().ok(),
            dead_letter: form.dead_letter,
        }
    }
}

impl CommandRequest {
    fn reason(&self) -> Result<&str, Problem> {
        let reason = self.reason.trim();
        if reason.is_empty() || reason.chars().count() > 500 || reason.contains(is_invisible) {
            return Err(Problem::invalid(
                "Give a reason of at most 500 characters for the audit log, without control characters.",
            ));
        }
        Ok(reason)
    }

    fn orders(&self) -> Result<Vec<OrderId>, Problem> {
        if self.order.is_empty() {
            return Err(Problem::invalid("No order was given."));
        }
        self.order.iter().map(|text| order_id(text)).collect()
    }
}

/// Control characters, and those that change the direction of the text around them.
fn is_invisible(c: char) -> bool {
    let is_direction = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    is_direction || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
}

fn require_operator(operator: &Operator) -> Result<(), Problem> {
    match operator.may_command {
        true => Ok(()),
        false => Err(Problem::forbidden(
            "Viewers cannot run commands. Log in with the operator token.",
        )),
    }
}

pub(super) async fn from_form(
    State(state): State<Arc<Console>>,
    caller: Caller,
    request: Request,
) -> Result<Response, PageError> {
    // Bodies take up memory, so they are received from operators only.
    let operator = state.for_screen(&caller).await?;
    require_operator(&operator)?;
    let form = Form::<CommandForm>::from_request(request, &()).await;
    let Form(form) =
        form.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    if !is_csrf_valid(&operator, &form.csrf, &caller.headers) {
        return Err(Problem::forbidden(
            "The form does not belong to your session. Reload the page.",
        )
        .into());
    }
    // Never leads to another site.
    let back = match form.back.starts_with("/ops") {
        true => form.back.clone(),
        false => "/ops".to_owned(),
    };
    let text = state.execute(&form.into(), &operator).await?;
    Ok(render(&ResultPage { text, back }))
}

pub(super) async fn from_json(
    State(state): State<Arc<Console>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let operator = state.for_api(&caller).await?;
    require_operator(&operator)?;
    if operator.csrf.is_some() {
        return Err(Problem::forbidden(
            "JSON commands need the bearer token, not the console's cookie.",
        ));
    }
    let body = Bytes::from_request(request, &()).await;
    let body = body.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    let request: CommandRequest = serde_json::from_slice(&body).map_err(|error| {
        Problem::bad_request(format!("The body is not a valid command: {error}"))
    })?;
    let text = state.execute(&request, &operator).await?;
    Ok(axum::Json(json!({"done": text})).into_response())
}

impl Console {
    async fn execute(
        &self,
        request: &CommandRequest,
        operator: &Operator,
    ) -> Result<String, Problem> {
        let by = operator.name.as_str();
        let reason = request.reason()?;
        let intake = || Pausable::Intake(self.channel.clone());
        let worker = || Pausable::Worker;
        let dead_letter = || {
            let number = request.dead_letter;
            number.ok_or_else(|| Problem::invalid("No dead letter was given."))
        };
        let command = match request.act.as_str() {
            "retry" => return self.request_retry(&request.orders()?, by, reason).await,
            "retry_cause" => {
                let orders = self.orders_of_cause(request).await?;
                return self.request_retry(&orders, by, reason).await;
            }
            "handle" => return self.acknowledge(&request.orders()?, by, reason).await,
            "dismiss" => AdminCommand::Dismiss {
                dead_letter: DeadLetterId(dead_letter()?),
            },
            "redrive" => AdminCommand::Redrive {
                dead_letter: DeadLetterId(dead_letter()?),
            },
            "pause_worker" => AdminCommand::Pause { what: worker() },
            "resume_worker" => AdminCommand::Resume { what: worker() },
            "pause_intake" => AdminCommand::Pause { what: intake() },
            "resume_intake" => AdminCommand::Resume { what: intake() },
            _ => return Err(Problem::invalid("There is no such command.")),
        };
        let subject = command.subject();
        Ok(match self.record(&command, by, reason).await? {
            CommandResult::Done => format!("Done: {} {subject}.", command.name()),
            CommandResult::NotFound if matches!(command, AdminCommand::Resume { .. }) => {
                format!("Nothing to do: {subject} was not paused.")
            }
            CommandResult::NotFound => format!("Nothing to do: {subject} does not exist any more."),
            CommandResult::Running => {
                "A worker is running a job of it. Try again in a moment.".to_owned()
            }
        })
    }

    /// The unacknowledged failed orders of a cause, if they are as many as the operator expects.
    async fn orders_of_cause(&self, request: &CommandRequest) -> Result<Vec<OrderId>, Problem> {
        let code: Code = request
            .code
            .parse()
            .map_err(|_| Problem::invalid("There is no such cause."))?;
        let rows = self.failed_orders(Some(code), MAX_ORDERS).await?;
        if request.count != Some(rows.len()) {
            let text = format!(
                "There are {} such orders now. Give this number to retry all of them.",
                rows.len()
            );
            return Err(Problem::new(StatusCode::CONFLICT, text));
        }
        Ok(rows.iter().map(|row| row.order).collect())
    }

    async fn acknowledge(
        &self,
        orders: &[OrderId],
        by: &str,
        reason: &str,
    ) -> Result<String, Problem> {
        let mut done = 0;
        for &order in orders {
            let command = AdminCommand::Handle { order };
            let result = self.record(&command, by, reason).await?;
            done += usize::from(result == CommandResult::Done);
        }
        Ok(format!("{done} of {} orders acknowledged.", orders.len()))
    }

    async fn record(
        &self,
        command: &AdminCommand,
        by: &str,
        reason: &str,
    ) -> Result<CommandResult, Problem> {
        let result = self.commands.execute(command, by, reason).await;
        result.map_err(|error| {
            tracing::warn!(command = command.name(), error = %chain(&error), "command outcome unknown");
            Problem::unavailable(
                "The store did not respond. Check whether it was done before you repeat it.",
            )
        })
    }

    /// The intent goes into the audit log first and the answer after it: a crash in between
    /// leaves a line that says what may have been request.
    async fn request_retry(
        &self,
        orders: &[OrderId],
        by: &str,
        reason: &str,
    ) -> Result<String, Problem> {
        let (mut requested, mut not_failed, mut errors) = (0, 0, 0);
        for &order in orders {
            self.record(&AdminCommand::RequestRetry { order }, by, reason)
                .await?;
            let answer = match self.retries.request_retry(order).await {
                Ok(answer) => Some(answer),
                Err(error) => {
                    tracing::warn!(%order, error = %chain(&error), "retry request failed");
                    None
                }
            };
            match answer {
                Some(RetryAnswer::Asked) => requested += 1,
                Some(RetryAnswer::NotFailed) => not_failed += 1,
                None => errors += 1,
            }
            let command = AdminCommand::RetryRequested { order, answer };
            self.record(&command, by, reason).await?;
        }
        let mut text = format!(
            "Retry requested for {requested} of {} orders.",
            orders.len()
        );
        if not_failed > 0 {
            text.push_str(&format!(
                " {not_failed} skipped: not failed in Salesforce any more, changed meanwhile, or missing."
            ));
        }
        if errors > 0 {
            text.push_str(&format!(" {errors} not accepted by Salesforce; try again."));
        }
        Ok(text)
    }
}
