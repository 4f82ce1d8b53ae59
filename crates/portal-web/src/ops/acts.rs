//! What operators do. Every act carries a reason and is in the audit log.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::failure::Code;
use domain::id::OrderId;
use domain::order::RetryAnswer;
use domain::ports::{AdminCommand, CommandResult, Pausable};
use serde::Deserialize;
use serde_json::json;

use super::Turned;
use super::session::{Operator, is_own_form};
use crate::api::order_id;
use crate::page::html;
use crate::portal::Portal;
use crate::problem::Problem;

/// As many orders of a cause are asked for again at once.
const MOST: usize = 500;

/// An act as it is asked for, by a form or as JSON.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    act: String,
    reason: String,
    order: Vec<String>,
    code: String,
    /// What the operator believes how many there are.
    count: Option<usize>,
    letter: Option<i64>,
    #[serde(skip_deserializing)]
    csrf: String,
    #[serde(skip_deserializing)]
    back: String,
}

#[derive(Template)]
#[template(path = "ops/done.html")]
pub(super) struct DonePage {
    pub(super) text: String,
    pub(super) back: String,
}

fn wrong(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
}

impl Asked {
    /// A form may name several orders, which a plain map could not hold.
    fn of_form(body: &[u8]) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> = axum::extract::Query::try_from_uri(
            &format!("/?{}", String::from_utf8_lossy(body))
                .parse()
                .map_err(|_| wrong("The form cannot be read."))?,
        )
        .map_err(|_| wrong("The form cannot be read."))?
        .0;
        let mut asked = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "act" => asked.act = value,
                "reason" => asked.reason = value,
                "order" => asked.order.push(value),
                "code" => asked.code = value,
                "count" => asked.count = value.trim().parse().ok(),
                "letter" => asked.letter = value.parse().ok(),
                "csrf" => asked.csrf = value,
                // Only a place of this console.
                "back" if value.starts_with("/ops") => asked.back = value,
                _ => {}
            }
        }
        Ok(asked)
    }

    fn reason(&self) -> Result<&str, Problem> {
        let reason = self.reason.trim();
        if reason.is_empty() || reason.chars().count() > 500 {
            return Err(wrong(
                "Say why, in at most 500 characters: it stands in the audit log.",
            ));
        }
        Ok(reason)
    }

    fn orders(&self) -> Result<Vec<OrderId>, Problem> {
        if self.order.is_empty() {
            return Err(wrong("No order was named."));
        }
        self.order.iter().map(|text| order_id(text)).collect()
    }
}

fn may_act(operator: &Operator) -> Result<(), Problem> {
    match operator.may_act {
        true => Ok(()),
        false => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "A viewer may look, and do nothing. Log in with the operators' token.",
        )),
    }
}

pub(super) async fn act(
    State(portal): State<Arc<Portal>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let operator = portal.operator_person(&headers)?;
    Ok(match by_form(&portal, &operator, &headers, &body).await {
        Ok(page) => html(&page),
        Err(problem) => {
            let page = DonePage {
                text: problem.detail().to_owned(),
                back: "/ops".to_owned(),
            };
            (problem.status(), html(&page)).into_response()
        }
    })
}

async fn by_form(
    portal: &Portal,
    operator: &Operator,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<DonePage, Problem> {
    may_act(operator)?;
    let asked = Asked::of_form(body)?;
    if !is_own_form(operator, &asked.csrf, headers) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "This form does not come from your session. Load the page again.",
        ));
    }
    Ok(DonePage {
        text: portal.act(&asked, operator).await?,
        back: match asked.back.as_str() {
            "" => "/ops".to_owned(),
            back => back.to_owned(),
        },
    })
}

pub(super) async fn act_by_program(
    State(portal): State<Arc<Portal>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let operator = portal.operator_program(&headers)?;
    may_act(&operator)?;
    if operator.csrf.is_some() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "Acts by JSON need the bearer token, not the console's cookie.",
        ));
    }
    let asked: Asked = serde_json::from_slice(&body).map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            format!("The body is no act: {error}"),
        )
    })?;
    let text = portal.act(&asked, &operator).await?;
    Ok(axum::Json(json!({"done": text})).into_response())
}

impl Portal {
    async fn act(&self, asked: &Asked, operator: &Operator) -> Result<String, Problem> {
        let by = operator.name.as_str();
        let reason = asked.reason()?;
        let intake = || Pausable::Intake(self.ports.channel.clone());
        match asked.act.as_str() {
            "retry" => self.request_retry(&asked.orders()?, by, reason).await,
            "retry_cause" => {
                let code: Code = asked
                    .code
                    .parse()
                    .map_err(|_| wrong("There is no such cause."))?;
                let rows = self.failed_orders(Some(code), MOST).await?;
                if asked.count != Some(rows.len()) {
                    return Err(Problem::new(
                        StatusCode::CONFLICT,
                        format!(
                            "There are {} such orders now. Give this number to ask for all of them.",
                            rows.len()
                        ),
                    ));
                }
                let orders: Vec<_> = rows.iter().map(|row| row.order).collect();
                self.request_retry(&orders, by, reason).await
            }
            "handle" => {
                let orders = asked.orders()?;
                let mut done = 0;
                for order in &orders {
                    let act = AdminCommand::Handle { order: *order };
                    let acted = self.store_act(&act, by, reason).await?;
                    done += usize::from(acted == CommandResult::Done);
                }
                Ok(format!(
                    "{done} of {} orders are marked as handled.",
                    orders.len()
                ))
            }
            "dismiss" => {
                let letter = asked
                    .letter
                    .ok_or_else(|| wrong("No dead letter was named."))?;
                self.one(AdminCommand::Dismiss { letter }, by, reason).await
            }
            "redrive" => {
                let letter = asked
                    .letter
                    .ok_or_else(|| wrong("No dead letter was named."))?;
                self.one(AdminCommand::Redrive { letter }, by, reason).await
            }
            "pause_worker" => {
                self.one(
                    AdminCommand::Pause {
                        what: Pausable::Worker,
                    },
                    by,
                    reason,
                )
                .await
            }
            "resume_worker" => {
                self.one(
                    AdminCommand::Resume {
                        what: Pausable::Worker,
                    },
                    by,
                    reason,
                )
                .await
            }
            "pause_intake" => {
                self.one(AdminCommand::Pause { what: intake() }, by, reason)
                    .await
            }
            "resume_intake" => {
                self.one(AdminCommand::Resume { what: intake() }, by, reason)
                    .await
            }
            _ => Err(wrong("There is no such act.")),
        }
    }

    async fn one(&self, act: AdminCommand, by: &str, reason: &str) -> Result<String, Problem> {
        Ok(match self.store_act(&act, by, reason).await? {
            CommandResult::Done => format!("Done: {} {}.", act.name(), act.subject()),
            CommandResult::NotFound if matches!(act, AdminCommand::Resume { .. }) => {
                format!("Nothing to do: {} was not held back.", act.subject())
            }
            CommandResult::NotFound => {
                format!("Nothing to do: there is no {} any more.", act.subject())
            }
            CommandResult::Running => "A worker has it in hand. Try again in a moment.".to_owned(),
        })
    }

    async fn store_act(
        &self,
        act: &AdminCommand,
        by: &str,
        reason: &str,
    ) -> Result<CommandResult, Problem> {
        let acted = self.ports.commands.execute(act, by, reason).await;
        acted.map_err(|error| {
            tracing::warn!(act = act.name(), %error, "an operator's act may not have been done");
            Problem::unavailable(
                "The store did not answer. Look whether it was done before you repeat it.",
            )
        })
    }

    /// The intent goes into the audit log first and the answer after it: a crash in between
    /// leaves a line that says what may have been asked.
    async fn request_retry(
        &self,
        orders: &[OrderId],
        by: &str,
        reason: &str,
    ) -> Result<String, Problem> {
        let (mut asked, mut not_failed, mut unanswered) = (0, 0, 0);
        for &order in orders {
            self.store_act(&AdminCommand::RequestRetry { order }, by, reason)
                .await?;
            let answer = match self.ports.retries.request_retry(order).await {
                Ok(answer) => Some(answer),
                Err(error) => {
                    tracing::warn!(%order, %error, "Salesforce was not asked for another attempt");
                    None
                }
            };
            match answer {
                Some(RetryAnswer::Asked) => asked += 1,
                Some(RetryAnswer::NotFailed) => not_failed += 1,
                None => unanswered += 1,
            }
            let act = AdminCommand::RetryRequested { order, answer };
            self.store_act(&act, by, reason).await?;
        }
        let mut text = format!(
            "Salesforce was asked for another attempt at {asked} of {} orders.",
            orders.len()
        );
        if not_failed > 0 {
            text.push_str(&format!(
                " For {not_failed} it was not: not failed in Salesforce any more, changed meanwhile, or not there."
            ));
        }
        if unanswered > 0 {
            text.push_str(&format!(
                " For {unanswered} Salesforce did not do it; try again."
            ));
        }
        Ok(text)
    }
}
