//! Writes reports.

use domain::failure::Code;
use domain::id::OrderId;
use domain::order::{ItemReport, Outcome, Report};
use domain::ports::{CallError, ReportAnswer};
use domain::text::escape_hidden;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::RestOrders;
use crate::client::{Call, Client};
use crate::error::{ApiError, ApiFailure, Failure, no_order, refusal};
use crate::orders::with_available_fields;
use crate::shape::{ITEM, ORDER, Shape};
use crate::wire;

/// Records per collection call.
const CHUNK: usize = 200;

#[derive(Deserialize)]
struct Saved {
    success: bool,
    #[serde(default)]
    errors: Vec<ApiError>,
}

impl RestOrders {
    pub(crate) async fn write_report(
        &self,
        order: OrderId,
        report: &Report,
    ) -> Result<ReportAnswer, CallError> {
        let shape = self.shape().await?;
        let succeeded = matches!(report.outcome, Outcome::Provisioned { .. });
        let first_of_two = self.names.two_step_status && succeeded && !report.status_only;
        let written = with_available_fields!(shape, async {
            let mut body = self.report_body(shape, report);
            let status = &self.names.order.status;
            if report.status_only {
                body.retain(|field, _| field == status);
            } else if first_of_two {
                body.remove(status);
            }
            self.patch_order(order, body, report.version.clone()).await
        });
        match written {
            Ok(()) if first_of_two => Ok(ReportAnswer::StatusPending),
            Ok(()) => Ok(ReportAnswer::Written),
            Err(Failure::Api(failure)) if failure.status == 412 => Ok(ReportAnswer::Conflict),
            Err(Failure::Api(failure)) if failure.is_gone() => Err(no_order(order)),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Whether a success may still be shown in the business status: not once somebody cancelled
    /// the order, or set the status by hand.
    pub(crate) fn may_still_become_provisioned(&self, status: Option<String>) -> bool {
        let names = &self.names.status;
        status.is_none_or(|status| status != names.provisioned && status != names.cancelled)
    }

    async fn patch_order(
        &self,
        order: OrderId,
        body: Map<String, Value>,
        version: Option<String>,
    ) -> Result<(), Failure> {
        let mut call = Call::patch(
            "order_report",
            format!("sobjects/Order/{order}"),
            body.into(),
        );
        call.unmodified_since = version;
        self.client.send(&call).await.map(|_| ())
    }

    /// Absolute values only, so that the write can be repeated.
    pub(crate) fn report_body(&self, shape: &Shape, report: &Report) -> Map<String, Value> {
        let (order, status) = (&self.names.order, &self.names.status);
        let cut = |text: &str, field: &str, default: usize| -> Value {
            let length = shape.length(ORDER, field, default);
            text.chars().take(length).collect::<String>().into()
        };
        let mut body = Map::new();
        let mut set = |field: &str, value: Value| {
            body.insert(field.to_owned(), value);
        };
        match &report.outcome {
            Outcome::Provisioned { order: whmcs } => {
                set(&order.status, json!(status.provisioned));
                set(&order.activation_status, json!(status.activated));
                set(
                    &order.whmcs_order,
                    cut(&whmcs.to_string(), &order.whmcs_order, 40),
                );
                set(&order.error_code, Value::Null);
                set(&order.error_message, Value::Null);
                if shape.can_write(ORDER, &order.completed_at) {
                    set(&order.completed_at, json!(wire::write_time(report.at)));
                }
            }
            Outcome::Failed {
                refusal,
                order: whmcs,
            } => {
                set(&order.status, json!(status.failed));
                set(&order.activation_status, json!(status.activation_failed));
                set(
                    &order.error_code,
                    cut(refusal.code.as_str(), &order.error_code, 80),
                );
                set(
                    &order.error_message,
                    cut(&escape_hidden(&report.message), &order.error_message, 4096),
                );
                if let Some(whmcs) = whmcs {
                    set(
                        &order.whmcs_order,
                        cut(&whmcs.to_string(), &order.whmcs_order, 40),
                    );
                }
            }
        }
        body
    }

    pub(crate) async fn write_items(&self, items: &[ItemReport]) -> Result<(), CallError> {
        let shape = self.shape().await?;
        for chunk in items.chunks(CHUNK) {
            let mut open: Vec<&ItemReport> = chunk.iter().collect();
            let mut tries = 1;
            // The org may lack the field, which may only show now.
            while !open.is_empty() && shape.can_write(ITEM, &self.names.order_item.whmcs_service) {
                let failed = match self.patch_items(shape, &open).await {
                    Err(failure) if shape.drop_fields_of(&failure) => continue,
                    other => other?,
                };
                let Some((_, first)) = failed.first() else {
                    break;
                };
                let locked = failed.iter().all(|(_, failure)| failure.is_lock());
                if locked && Client::may_try_again(tries) {
                    open = failed.iter().map(|(item, _)| *item).collect();
                    self.client.wait_for_lock("order_items", tries).await;
                    tries += 1;
                } else if !shape.drop_named_fields(first) {
                    return Err(combined_error(&failed));
                }
            }
        }
        Ok(())
    }

    /// Writes the items and returns those that failed.
    async fn patch_items<'a>(
        &self,
        shape: &Shape,
        items: &[&'a ItemReport],
    ) -> Result<Vec<(&'a ItemReport, ApiFailure)>, Failure> {
        let field = &self.names.order_item.whmcs_service;
        let length = shape.length(ITEM, field, 255);
        let records: Vec<Value> = items
            .iter()
            .map(|item| {
                let mut record = Map::new();
                record.insert("attributes".to_owned(), json!({"type": ITEM}));
                record.insert("id".to_owned(), json!(item.item.as_str()));
                record.insert(field.clone(), json!(joined(item, length)));
                record.into()
            })
            .collect();
        let body = json!({"allOrNone": false, "records": records});
        let call = Call::patch("order_items_report", "composite/sobjects", body);
        let saved: Vec<Saved> = self.client.send(&call).await?.read()?;
        if saved.len() != items.len() {
            return Err(Failure::unexpected(
                "the number of results does not match the order lines",
            ));
        }
        Ok(items
            .iter()
            .zip(saved)
            .filter(|(_, saved)| !saved.success)
            .map(|(item, saved)| {
                let failure = ApiFailure {
                    status: 400,
                    errors: saved.errors,
                };
                (*item, failure)
            })
            .collect())
    }
}

/// Combines the failures of several items: a refusal takes precedence.
fn combined_error(failed: &[(&ItemReport, ApiFailure)]) -> CallError {
    let mut last = None;
    for (item, failure) in failed {
        match CallError::from(Failure::Api(failure.clone())) {
            CallError::Refused(_) => {
                let mut refusal = refusal(Code::SalesforceRejected, failure);
                refusal.detail = format!("order line {}: {}", item.item, refusal.detail);
                return CallError::Refused(refusal);
            }
            other => last = Some(other),
        }
    }
    last.unwrap_or_else(|| Failure::unexpected("order lines failed without a reason").into())
}

/// The service ids, ascending, cut at a whole id.
fn joined(item: &ItemReport, length: usize) -> String {
    let mut services = item.services.clone();
    services.sort_unstable();
    let mut text = String::new();
    for service in services {
        let comma = if text.is_empty() { "" } else { "," };
        let next = format!("{comma}{service}");
        if text.len() + next.len() > length {
            break;
        }
        text.push_str(&next);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::OrderItemId;
    use domain::key::ServiceId;

    #[test]
    fn service_ids_are_sorted_and_cut_at_a_whole_id() {
        let report = |services: Vec<u64>| ItemReport {
            item: OrderItemId::parse("802000000000001").unwrap(),
            services: services.into_iter().map(ServiceId).collect(),
        };
        assert_eq!(joined(&report(vec![30, 4, 100]), 255), "4,30,100");
        assert_eq!(joined(&report(vec![30, 4, 100]), 7), "4,30");
        assert_eq!(joined(&report(vec![]), 255), "");
        let many = joined(&report((100_000..100_100).collect()), 255);
        assert_eq!(many.len(), 251);
        assert!(many.ends_with(",100035"), "{many}");
    }
}
