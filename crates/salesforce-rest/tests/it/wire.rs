//! Requests on the wire, against a scripted org.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use domain::failure::{Code, Refusal};
use domain::id::{AccountId, OrderId, OrderItemId};
use domain::key::{ClientId, ServiceId, WhmcsOrderId};
use domain::order::{ActivationStatus, ItemReport, Outcome, Report};
use domain::ports::{CallError, CrmOrders, PendingActivations, ReportAnswer};
use domain::time::Timestamp;
use insta::assert_json_snapshot;
use salesforce_rest::DescribeError;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::scripted_org::{Org, done, error, ok};

const ORDER: &str = "801000000000001AAA";

fn order() -> OrderId {
    OrderId::parse(ORDER).unwrap()
}

fn success() -> Report {
    Report {
        outcome: Outcome::Provisioned {
            order: WhmcsOrderId(7),
        },
        at: Timestamp::from_millis(1_767_225_600_250),
        message: String::new(),
        version: Some("Thu, 01 Jan 2026 00:00:00 GMT".to_owned()),
        status_only: false,
    }
}

fn failure() -> Report {
    Report {
        outcome: Outcome::Failed {
            refusal: Refusal::new(Code::MappingMissing, "x"),
            order: None,
        },
        message: "ünïcödé words".to_owned(),
        ..success()
    }
}

fn details_row(items: Value) -> Value {
    json!({
        "attributes": {"type": "Order"}, "Id": ORDER, "OrderNumber": "00000100",
        "Activation_Status__c": "Activating", "Activation_IdemKey__c": "k1",
        "Activation_Last_Attempt_At__c": "2026-01-01T00:00:00.000+0000",
        "Account": {"Id": "001000000000001AAA", "Name": "Acme", "WHMCS_Client_ID__c": null},
        "OrderItems": items,
    })
}

fn line(id: &str, price: &str) -> Value {
    serde_json::from_str(&format!(
        r#"{{"Id":"{id}","Quantity":2.0,"UnitPrice":{price},"Billing_Cycle__c":null,
        "Product2Id":"01t000000000001AAA","Product2":{{"Name":"VPS","WHMCS_Product_Id__c":"12","Billing_Cycle__c":"monthly"}}}}"#
    ))
    .unwrap()
}

#[tokio::test]
async fn order_is_read_in_one_query_with_all_pages() {
    let org = Org::start(vec![
        ok(
            json!({"done": true, "totalSize": 1, "records": [details_row(json!({
                "done": false, "totalSize": 2, "nextRecordsUrl": "/services/data/v66.0/query/01g-1",
                "records": [line("802000000000002AAA", "10.10")],
            }))]}),
        ),
        ok(json!({"done": true, "records": [line("802000000000001AAA", "0.30")]})),
    ])
    .await;
    let details = org.orders().details(order()).await.unwrap().unwrap();
    assert_eq!(details.activation, ActivationStatus::Activating);
    assert_eq!(details.org.as_str(), "00D000000000001EAA");
    assert_eq!(details.account.whmcs_client, None);
    let ids: Vec<_> = details.items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["802000000000001AAA", "802000000000002AAA"]);
    assert_eq!(details.items[0].unit_price, Some("0.3".parse().unwrap()));
    assert_eq!(details.items[1].product.cycle.as_deref(), Some("monthly"));
    assert_eq!(details.bill_to, None);
    assert_json_snapshot!(org.seen());
}

#[tokio::test]
async fn missing_order_is_none() {
    let org = Org::start(vec![
        ok(json!({"done": true, "records": []})),
        error(404, "NOT_FOUND", "gone"),
        error(404, "NOT_FOUND", "gone"),
    ])
    .await;
    let orders = org.orders();
    assert_eq!(orders.details(order()).await.unwrap(), None);
    assert_eq!(orders.order_guard(order()).await.unwrap(), None);
    let Err(CallError::Refused(refusal)) = orders.report(order(), &success()).await else {
        panic!("not refused");
    };
    assert_eq!(refusal.code, Code::OrderNotFound);
}

#[tokio::test]
async fn version_is_header_or_modification_date() {
    let row = json!({"Id": ORDER, "Activation_Status__c": "Activating",
        "LastModifiedDate": "2026-01-01T00:00:00.900+0000"});
    let header = "Thu, 01 Jan 2026 00:00:01 GMT";
    let with_header = ([("last-modified", header)], axum::Json(row.clone())).into_response();
    let org = Org::start(vec![with_header, ok(row)]).await;
    let orders = org.orders();
    let version = async || orders.order_guard(order()).await.unwrap().unwrap().version;
    assert_eq!(version().await.as_deref(), Some(header));
    assert_eq!(
        version().await.as_deref(),
        Some("Thu, 01 Jan 2026 00:00:00 GMT")
    );
}

#[tokio::test]
async fn success_is_one_guarded_write() {
    let org = Org::start(vec![done()]).await;
    let answer = org.orders().report(order(), &success()).await.unwrap();
    assert_eq!(answer, ReportAnswer::Written);
    assert_json_snapshot!(org.seen());
}

#[tokio::test]
async fn failure_is_one_write_with_truncated_message() {
    let org = Org::start(vec![done()]).await;
    org.orders().report(order(), &failure()).await.unwrap();
    assert_json_snapshot!(org.seen());
}

#[tokio::test]
async fn two_step_status_is_written_separately() {
    let activated = |status: &str| {
        ok(
            json!({"Activation_Status__c": "Activated", "Status": status,
            "LastModifiedDate": "2026-01-01T00:00:01.000+0000"}),
        )
    };
    let org = Org::start(vec![
        done(),
        activated("Approved"),
        done(),
        activated("Provisioned"),
        activated("Cancelled"),
        done(),
    ])
    .await;
    let orders = org.orders_with(|config| config.fields.two_step_status = true);
    let guard = async || orders.order_guard(order()).await.unwrap().unwrap();
    let first = orders.report(order(), &success()).await.unwrap();
    assert_eq!(first, ReportAnswer::StatusPending);
    let between = guard().await;
    assert!(between.status_pending);
    let rest = Report {
        version: between.version,
        status_only: true,
        ..success()
    };
    let second = orders.report(order(), &rest).await.unwrap();
    assert_eq!(second, ReportAnswer::Written);
    for _ in ["provisioned", "cancelled by staff"] {
        assert!(!guard().await.status_pending);
    }
    // A failure stays one write.
    let failed = orders.report(order(), &failure()).await.unwrap();
    assert_eq!(failed, ReportAnswer::Written);
    assert_json_snapshot!(org.seen());
}

#[tokio::test]
async fn stale_write_is_conflict_and_validation_rule_is_refusal() {
    let org = Org::start(vec![
        error(412, "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE", "changed"),
        error(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "not activating"),
    ])
    .await;
    let orders = org.orders();
    assert_eq!(
        orders.report(order(), &success()).await.unwrap(),
        ReportAnswer::Conflict
    );
    let Err(CallError::Refused(refusal)) = orders.report(order(), &success()).await else {
        panic!("not refused");
    };
    assert_eq!(refusal.code, Code::SalesforceRejected);
    assert!(refusal.detail.contains("not activating"));
}

#[tokio::test]
async fn locked_row_is_retried_then_not_sent() {
    let locked = || error(400, "CANNOT_EXECUTE_FLOW_TRIGGER", "… UNABLE_TO_LOCK_ROW …");
    let org = Org::start(vec![
        locked(),
        done(),
        locked(),
        locked(),
        locked(),
        locked(),
    ])
    .await;
    let orders = org.orders();
    orders.report(order(), &success()).await.unwrap();
    let error = orders.report(order(), &success()).await.unwrap_err();
    assert_eq!(error.class(), "not_sent");
    assert_eq!(org.seen().len(), 6);
}

#[tokio::test]
async fn expired_session_is_renewed_once() {
    let expired = || error(401, "INVALID_SESSION_ID", "Session expired or invalid");
    let org = Org::start(vec![expired(), done(), expired(), expired()]).await;
    let orders = org.orders();
    orders.report(order(), &success()).await.unwrap();
    let error = orders.report(order(), &success()).await.unwrap_err();
    assert_eq!(error.class(), "denied");
    assert_eq!(org.seen().len(), 4);
}

#[tokio::test]
async fn used_up_limit_is_not_sent_and_error_page_is_unknown() {
    let org = Org::start(vec![
        error(
            403,
            "REQUEST_LIMIT_EXCEEDED",
            "TotalRequests Limit exceeded.",
        ),
        (StatusCode::BAD_GATEWAY, "<html>").into_response(),
    ])
    .await;
    let orders = org.orders();
    let Err(CallError::NotSent { retry_after, .. }) = orders.report(order(), &success()).await
    else {
        panic!("not classified as not sent");
    };
    assert_eq!(retry_after, Some(Duration::from_secs(60)));
    let error = orders.report(order(), &success()).await.unwrap_err();
    assert_eq!(error.class(), "unknown");
}

#[tokio::test]
async fn only_locked_lines_are_written_again() {
    let saved = |id: &str| json!({"id": id, "success": true, "errors": []});
    let failed = |code: &str| json!({"success": false, "errors": [{"statusCode": code, "message": "m", "fields": []}]});
    let org = Org::start(vec![
        ok(json!([
            saved("802000000000001AAA"),
            failed("UNABLE_TO_LOCK_ROW")
        ])),
        ok(json!([saved("802000000000002AAA")])),
        ok(json!([
            failed("ENTITY_IS_LOCKED"),
            saved("802000000000002AAA")
        ])),
    ])
    .await;
    let reports: Vec<_> = [1, 2]
        .map(|n| ItemReport {
            item: OrderItemId::parse(&format!("80200000000000{n}")).unwrap(),
            services: vec![ServiceId(n * 10), ServiceId(n)],
        })
        .into();
    let orders = org.orders();
    orders.report_items(&reports).await.unwrap();
    assert_json_snapshot!(org.seen());
    let error = orders.report_items(&reports).await.unwrap_err();
    assert!(error.to_string().contains("802000000000001AAA"), "{error}");
}

#[tokio::test]
async fn missing_fields_are_neither_read_nor_written() {
    let org = Org::start(vec![
        ok(json!({"done": true, "records": []})),
        done(),
        ok(json!({"done": true, "records": [{"Id": ORDER, "LastModifiedDate": "2026-01-01T00:00:00.000+0000"}]})),
    ])
    .await;
    org.without.lock().unwrap().extend([
        "Activation_IdemKey__c",
        "Activation_Last_Attempt_At__c",
        "Activation_Completed_At__c",
        "WHMCS_Service_ID__c",
        "Billing_Cycle__c",
        "BillingCountryCode",
    ]);
    *org.date.lock().unwrap() = Some("Thu, 01 Jan 2026 00:12:00 GMT");
    let orders = org.orders_with(|config| config.bill_to = true);
    assert_eq!(orders.details(order()).await.unwrap(), None);
    orders.report(order(), &success()).await.unwrap();
    orders
        .report_items(&[ItemReport {
            item: OrderItemId::parse("802000000000001").unwrap(),
            services: vec![ServiceId(1)],
        }])
        .await
        .unwrap();
    let pending = orders
        .pending(Duration::from_secs(120), Some(order()), 5)
        .await
        .unwrap();
    assert_eq!(pending[0].since.as_millis(), 1_767_225_600_000);
    let seen = org.seen();
    for field in org.without.lock().unwrap().iter() {
        let text = format!("{} {}", seen[0].query, seen[1].body);
        assert!(!text.contains(field), "{field}: {text}");
    }
    assert_json_snapshot!(seen);
}

#[tokio::test]
async fn pending_age_uses_salesforce_clock() {
    for (date, two_minutes_before) in [
        ("Thu, 01 Jan 2026 00:12:00 GMT", "2026-01-01T00:10:"),
        ("Fri, 01 Jan 2100 00:12:00 GMT", "2100-01-01T00:10:"),
    ] {
        let none = ok(json!({"done": true, "records": []}));
        let org = Org::start(vec![none]).await;
        *org.date.lock().unwrap() = Some(date);
        let age = Duration::from_secs(120);
        let pending = org.orders().pending(age, None, 5).await.unwrap();
        assert!(pending.is_empty());
        let query = &org.seen()[0].query;
        let old = format!("Activation_Last_Attempt_At__c < {two_minutes_before}");
        assert!(query.contains(&old), "{query}");
    }
}

#[tokio::test]
async fn missing_required_field_is_reported_and_rechecked() {
    let org = Org::start(vec![done()]).await;
    org.without.lock().unwrap().push("WHMCS_Order_ID__c");
    let orders = org.orders();
    let Err(DescribeError::Configuration(error)) = orders.describe().await else {
        panic!("not noticed");
    };
    assert_eq!(error.missing[0].field, "WHMCS_Order_ID__c");
    let denied = orders.report(order(), &success()).await.unwrap_err();
    assert_eq!(denied.class(), "denied");
    assert!(org.seen().is_empty());
    org.without.lock().unwrap().clear();
    orders.report(order(), &success()).await.unwrap();
}

#[tokio::test]
async fn fields_are_dropped_after_errors_without_describe() {
    let org = Org::start(vec![
        error(
            400,
            "INVALID_FIELD",
            "No such column 'Activation_IdemKey__c' on entity 'Order'.",
        ),
        ok(json!({"done": true, "records": []})),
    ])
    .await;
    *org.closed.lock().unwrap() = true;
    assert_eq!(org.orders().details(order()).await.unwrap(), None);
    let seen = org.seen();
    assert!(seen[0].query.contains("Activation_IdemKey__c"));
    assert!(!seen[1].query.contains("Activation_IdemKey__c"));
}

#[tokio::test]
async fn client_is_linked_to_account() {
    let org = Org::start(vec![done()]).await;
    let account = AccountId::parse("001000000000001").unwrap();
    org.orders()
        .link_client(account, ClientId(42))
        .await
        .unwrap();
    assert_json_snapshot!(org.seen());
}

#[tokio::test]
async fn unavailable_org_is_not_sent() {
    let org = Org {
        // A port that was just free.
        url: {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            format!("http://{}", listener.local_addr().unwrap())
        },
        ..Org::default()
    };
    let error = org.orders().details(order()).await.unwrap_err();
    assert_eq!(error.class(), "not_sent");
}

#[tokio::test]
async fn unavailable_salesforce_is_remembered_until_it_answers() {
    let away = StatusCode::SERVICE_UNAVAILABLE.into_response();
    let org = Org::start(vec![away, error(404, "NOT_FOUND", "gone")]).await;
    let orders = org.orders();
    assert_eq!(orders.unreachable(), None);
    assert!(orders.order_guard(order()).await.is_err());
    assert!(orders.unreachable().unwrap().contains("503"));
    assert_eq!(orders.order_guard(order()).await.unwrap(), None);
    assert_eq!(orders.unreachable(), None);
}
