//! `orderctl doctor`: one thing is broken at a time, and doctor names that thing, its fix, and
//! nothing else.

use std::future::Future;
use std::pin::Pin;

use orderctl::Exit;
use serde_json::{Value, json};
use simulators::When;
use simulators::salesforce::{
    EventField, EventKind, RestFault, RestFaultKind, Route, SalesforceOptions, UnaryFault,
};
use simulators::whmcs::{Fault, FaultId, Product, WhmcsOptions};

use crate::ctl::run_with;
use crate::test_env::{Engine, TestEnv};

/// Breaks something; returns the settings that do.
type Break =
    for<'a> fn(&'a TestEnv) -> Pin<Box<dyn Future<Output = Vec<(&'static str, String)>> + 'a>>;

/// What is broken: the status, the check, and words of the cause and of the fix.
struct Case(
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Break,
);

macro_rules! case {
    ($status:literal, $check:literal, $cause:literal, $fix:literal, |$env:ident| $body:expr) => {
        Case($status, $check, $cause, $fix, |$env| {
            Box::pin(async move {
                $body;
                Vec::new()
            })
        })
    };
    ($status:literal, $check:literal, $cause:literal, $fix:literal, set $($name:literal = $value:expr),+) => {
        Case($status, $check, $cause, $fix, |_| {
            Box::pin(async move { vec![$(($name, $value.to_owned())),+] })
        })
    };
}

fn refuse_login(env: &TestEnv, error: &str, description: &str) {
    let refused = RestFaultKind::TokenRefused {
        error: error.to_owned(),
        description: description.to_owned(),
    };
    env.salesforce
        .fault(RestFault::new(Route::Token, refused).when(When::Always));
}

fn describe(env: &TestEnv, name: &str, edit: Value) {
    env.salesforce.edit_description(name, edit);
}

fn refuse_topic(env: &TestEnv, code: &str, error_code: &str) {
    env.salesforce.unary_fault(UnaryFault {
        rpc: "GetTopic".to_owned(),
        code: code.to_owned(),
        error_code: error_code.to_owned(),
        when: When::Always,
    });
}

fn deny(env: &TestEnv, action: &str) {
    env.whmcs.turn(|options| {
        options.denied_actions.insert(action.to_ascii_lowercase());
    });
}

fn product(env: &TestEnv, field: &str, value: Value) {
    let id = env.salesforce.records("Product2")[0]["Id"].clone();
    env.salesforce
        .set_field(id.as_str().unwrap(), field, value)
        .unwrap();
}

fn values(all: &[&str]) -> Value {
    let values: Vec<_> = all
        .iter()
        .map(|value| json!({"value": value, "active": true}))
        .collect();
    json!({ "picklistValues": values })
}

fn login_cases() -> Vec<Case> {
    const LOGIN: &str = "salesforce login";
    let mut cases = Vec::new();
    // Every text of the token endpoint, with the setting to change.
    macro_rules! refused {
        ($($error:literal, $description:literal => $fix:literal;)*) => {
            $(cases.push(Case("FAIL", LOGIN, $description, $fix, |env| {
                Box::pin(async move {
                    refuse_login(env, $error, $description);
                    Vec::new()
                })
            }));)*
        };
    }
    refused! {
        "invalid_grant", "user hasn't approved this consumer" => "Pre-authorise the user";
        "invalid_grant", "invalid assertion" => "SF_PRIVATE_KEY";
        "invalid_grant", "audience is invalid" => "SF_AUDIENCE";
        "invalid_grant", "Audience validation failed" => "SF_AUDIENCE";
        "invalid_grant", "expired authorization code" => "clock";
        "invalid_grant", "user is locked out" => "SF_USERNAME";
        "invalid_client_id", "client identifier invalid" => "SF_CLIENT_ID";
        "app_not_found", "External client app is not installed in this org" => "SF_LOGIN_URL";
        "OAUTH_APP_ACCESS_DENIED", "user is not admin approved to access this app" => "permission set";
        "invalid_app_access", "user is not admin approved to access this app" => "permission set";
        "unsupported_grant_type", "grant type not supported" => "proxy";
        "inactive_user", "inactive user" => "Activate the user";
        "inactive_org", "inactive organization" => "not active";
        "rate_limit_exceeded", "login rate exceeded" => "wait an hour";
    }
    cases.extend([
        case!("FAIL", "salesforce login", "client identifier invalid", "SF_CLIENT_ID",
            set "SF_CLIENT_ID" = "3MVGother"),
        case!("FAIL", "salesforce login", "hasn't approved", "SF_USERNAME",
            set "SF_USERNAME" = "nobody@example.com"),
        case!("FAIL", "salesforce login", "audience", "SF_AUDIENCE",
            set "SF_AUDIENCE" = "https://other.my.salesforce.com"),
        case!(
            "FAIL",
            "salesforce login",
            "HTTP 503",
            "credential was not looked at",
            |env| {
                let page = RestFaultKind::Html {
                    status: 503,
                    after: false,
                };
                env.salesforce
                    .fault(RestFault::new(Route::Token, page).when(When::Always));
            }
        ),
        case!(
            "FAIL",
            "salesforce identity",
            "refuses the session",
            "scopes",
            |env| env.salesforce.refuse_sessions(true)
        ),
        case!(
            "FAIL",
            "salesforce identity",
            "API_DISABLED_FOR_ORG",
            "Enable the API",
            |env| {
                let fault =
                    RestFault::error(Route::Userinfo, 403, "API_DISABLED_FOR_ORG", "disabled");
                env.salesforce.fault(fault.when(When::Always));
            }
        ),
        // A refused connection is never blamed on a credential.
        case!(
            "FAIL",
            "salesforce reachable",
            "connect",
            "SF_LOGIN_URL",
            |env| env.salesforce.stop_rest().await
        ),
        case!("FAIL", "salesforce clock", "s apart", "NTP", |env| env
            .salesforce
            .advance_clock(4000)),
    ]);
    cases
}

fn org_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    macro_rules! missing {
        ($($field:literal => $fix:literal;)*) => {
            $(cases.push(case!("FAIL", "salesforce names", $field, $fix,
                |env| describe(env, $field, Value::Null)));)*
        };
    }
    missing! {
        "Order.Status" => "order.status";
        "Order.Activation_Status__c" => "order.activation_status";
        "Order.Activation_Error_Code__c" => "order.error_code";
        "Order.Activation_Error_Message__c" => "order.error_message";
        "Order.WHMCS_Order_ID__c" => "order.whmcs_order";
        "Account.WHMCS_Client_ID__c" => "account.whmcs_client";
    }
    cases.extend([
        case!(
            "WARN",
            "salesforce names",
            "Order.Activation_IdemKey__c",
            "Deploy the field",
            |env| describe(env, "Order.Activation_IdemKey__c", Value::Null)
        ),
        case!(
            "FAIL",
            "salesforce names",
            "cannot be edited",
            "edit access",
            |env| describe(
                env,
                "Order.Activation_Status__c",
                json!({"updateable": false})
            )
        ),
        case!(
            "WARN",
            "salesforce names",
            "OrderItem.WHMCS_Service_ID__c cannot be edited",
            "edit access",
            |env| describe(
                env,
                "OrderItem.WHMCS_Service_ID__c",
                json!({"updateable": false})
            )
        ),
        case!(
            "FAIL",
            "salesforce names",
            "has the type boolean",
            "picklist or string",
            |env| describe(
                env,
                "Order.Activation_Status__c",
                json!({"type": "boolean"})
            )
        ),
        case!(
            "FAIL",
            "salesforce names",
            "holds 10 characters",
            "at least 21",
            |env| describe(env, "Order.Activation_Error_Code__c", json!({"length": 10}))
        ),
        case!(
            "WARN",
            "salesforce names",
            "holds 80 characters",
            "at least 255",
            |env| describe(
                env,
                "Order.Activation_Error_Message__c",
                json!({"length": 80})
            )
        ),
        case!(
            "FAIL",
            "salesforce names",
            "no active value `Provisioned`",
            "status.provisioned",
            |env| describe(
                env,
                "Order.Status",
                values(&["Draft", "Pending Review", "Approved", "Failed", "Cancelled"])
            )
        ),
        case!(
            "FAIL",
            "salesforce names",
            "no active value `Activating`",
            "status.activating",
            |env| describe(
                env,
                "Order.Activation_Status__c",
                values(&["Activated", "Failed"])
            )
        ),
        case!(
            "WARN",
            "salesforce names",
            "no billing cycle: weekly",
            "Deactivate",
            |env| describe(
                env,
                "Product2.Billing_Cycle__c",
                values(&["monthly", "weekly"])
            )
        ),
        case!(
            "FAIL",
            "salesforce names",
            "Order.Portal_Order_Key__c",
            "External ID",
            |env| describe(env, "Order.Portal_Order_Key__c", json!({"unique": false}))
        ),
        case!(
            "FAIL",
            "salesforce names",
            "Account cannot be described",
            "read access to Account",
            |env| describe(env, "Account", Value::Null)
        ),
        case!(
            "FAIL",
            "salesforce allowance",
            "0 of 5 API calls",
            "API Usage",
            |env| env.salesforce.edit_limit("DailyApiRequests", 5, 0)
        ),
        case!(
            "WARN",
            "salesforce allowance",
            "9 of 100 API calls",
            "API Usage",
            |env| env.salesforce.edit_limit("DailyApiRequests", 100, 9)
        ),
        case!(
            "FAIL",
            "salesforce allowance",
            "event deliveries",
            "Event Manager",
            |env| env
                .salesforce
                .edit_limit("DailyDeliveredPlatformEvents", 10, 0)
        ),
        case!("FAIL", "event channel", "/event/Nothing__e", "SF_PROVISION_EVENT_CHANNEL",
            set "SF_PROVISION_EVENT_CHANNEL" = "/event/Nothing__e"),
        case!(
            "FAIL",
            "event channel",
            "may not be subscribed",
            "read access to the event",
            |env| env.salesforce.bus_options(|bus| bus.can_subscribe = false)
        ),
        case!(
            "FAIL",
            "event channel",
            "PermissionDenied",
            "access to the event's definition",
            |env| refuse_topic(env, "PERMISSION_DENIED", "topic.meta.permission")
        ),
        case!(
            "FAIL",
            "event channel",
            "PermissionDenied",
            "no Pub/Sub API",
            |env| refuse_topic(env, "PERMISSION_DENIED", "service.tenant.license")
        ),
        case!(
            "FAIL",
            "event channel",
            "the stream broke",
            "SF_PUBSUB_ENDPOINT",
            |env| env.salesforce.stop_pubsub().await
        ),
        case!(
            "FAIL",
            "event schema",
            "no OrderId__c",
            "Deploy the event",
            |env| {
                env.salesforce
                    .evolve_schema(|fields| fields.retain(|field| field.name != "OrderId__c"));
            }
        ),
        case!(
            "FAIL",
            "event schema",
            "OrderId__c of the event is not a Text",
            "Deploy the event",
            |env| {
                env.salesforce.evolve_schema(|fields| {
                    fields.retain(|field| field.name != "OrderId__c");
                    fields.push(EventField::new("OrderId__c", EventKind::Number));
                });
            }
        ),
    ]);
    cases
}

fn whmcs_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    macro_rules! lacking {
        ($($action:literal),*) => {
            $(cases.push(case!("FAIL", "whmcs role", $action, $action, |env| deny(env, $action)));)*
        };
    }
    lacking!(
        "GetOrderStatuses",
        "GetClientsDetails",
        "GetOrders",
        "GetClientsProducts",
        "AddOrder",
        "AcceptOrder",
        "ModuleCreate"
    );
    cases.extend([
        case!("FAIL", "whmcs credential", "Invalid or missing credentials", "WHMCS_SECRET",
            set "WHMCS_SECRET" = "wrong"),
        case!(
            "FAIL",
            "whmcs credential",
            "Administrator Account Disabled",
            "API Access",
            |env| {
                env.whmcs.fault(
                    Fault::new(FaultId::F16)
                        .text("Administrator Account Disabled")
                        .when(When::Always),
                );
            }
        ),
        case!(
            "FAIL",
            "whmcs address",
            "Invalid IP 127.0.0.1",
            "allow-list",
            |env| env.whmcs.turn(|options| options.ip_allowed = false)
        ),
        case!("FAIL", "whmcs reachable", "connect", "WHMCS_URL", |env| env
            .whmcs
            .stop()
            .await),
        case!(
            "FAIL",
            "whmcs url",
            "redirect",
            "without a redirect",
            |env| env.whmcs.fault(Fault::new(FaultId::F22).when(When::Always))
        ),
        Case(
            "FAIL",
            "whmcs url",
            "no WHMCS API",
            "base of the installation",
            |env| {
                let url = format!("{}/shop", env.whmcs.url());
                Box::pin(async move { vec![("WHMCS_URL", url)] })
            },
        ),
        case!("FAIL", "whmcs answer", "503", "maintenance", |env| env
            .whmcs
            .fault(Fault::new(FaultId::F02).when(When::Always))),
        case!("FAIL", "whmcs answer", "403", "in front of it", |env| env
            .whmcs
            .fault(Fault::new(FaultId::F20).when(When::Always))),
        case!("FAIL", "whmcs payment method", "no gateway `paypal`", "banktransfer",
            set "WHMCS_PAYMENT_METHOD" = "paypal"),
        Case(
            "WARN",
            "whmcs currency",
            "lacks GetCurrencies",
            "Allow GetCurrencies",
            |env| {
                Box::pin(async move {
                    deny(env, "GetCurrencies");
                    vec![("WHMCS_PRICES", "salesforce".to_owned())]
                })
            },
        ),
        case!("FAIL", "products", "no active product", "Product2", |env| {
            product(env, "WHMCS_Product_Id__c", Value::Null);
        }),
        case!(
            "FAIL",
            "products",
            "no product 99",
            "Correct the mapping",
            |env| product(env, "WHMCS_Product_Id__c", json!("99"))
        ),
        case!(
            "FAIL",
            "products",
            "hosting",
            "Correct the WHMCS product id",
            |env| product(env, "WHMCS_Product_Id__c", json!("five"))
        ),
        case!(
            "FAIL",
            "products",
            "does not sell product 5 triennially",
            "a price for this cycle",
            |env| {
                let mut priced = Product::new(5, "Web hosting");
                priced.prices.retain(|cycle, _| cycle == "monthly");
                env.whmcs.set_product(priced);
                product(env, "Billing_Cycle__c", json!("triennially"));
            }
        ),
        case!(
            "WARN",
            "products",
            "no billing cycle",
            "Fill in the billing cycle",
            |env| product(env, "Billing_Cycle__c", Value::Null)
        ),
        case!("FAIL", "store", "does not exist", "orderctl db migrate",
            set "DATABASE_URL" = "sqlite:/nonexistent/jobs.db"),
    ]);
    cases
}

/// Runs doctor; returns its exit and what is neither OK nor skipped.
async fn doctor(env: &TestEnv, more: Vec<(&'static str, String)>) -> (Exit, Vec<Value>) {
    let pubsub = env.salesforce.pubsub_url();
    let mut settings = vec![("SF_PUBSUB_ENDPOINT", pubsub.as_str())];
    settings.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
    let (ended, found) = run_with(env, &["doctor"], &settings).await;
    let mut found = found.as_array().unwrap().clone();
    found.retain(|row| row["status"] == "FAIL" || row["status"] == "WARN");
    (ended.unwrap(), found)
}

async fn check_all(cases: Vec<Case>) {
    let mut wrong = Vec::new();
    for Case(status, check, cause, fix, break_it) in cases {
        let env = TestEnv::new().await;
        let settings = break_it(&env).await;
        let (exit, found) = doctor(&env, settings).await;
        let expected = match status {
            "FAIL" => Exit::Problem,
            _ => Exit::Fine,
        };
        let named = match found.as_slice() {
            [row] => {
                let has = |key: &str, words: &str| {
                    row[key].as_str().is_some_and(|text| text.contains(words))
                };
                row["status"] == status
                    && row["check"] == check
                    && has("detail", cause)
                    && has("fix", fix)
            }
            _ => false,
        };
        if !named || exit != expected {
            wrong.push(format!(
                "{status} {check}, {cause}: {fix}\n  but {exit:?} {found:?}"
            ));
        }
        assert!(env.whmcs.orders().is_empty(), "doctor changes nothing");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthy_systems_pass() {
    let env = TestEnv::new().await;
    let (exit, found) = doctor(&env, Vec::new()).await;
    assert_eq!((exit, found), (Exit::Fine, Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_login_is_named() {
    check_all(login_cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_the_org_is_named() {
    check_all(org_cases()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_whmcs_and_the_store_is_named() {
    check_all(whmcs_cases()).await;
}

#[test]
fn at_least_45_things_are_broken_one_at_a_time() {
    let all = login_cases().len() + org_cases().len() + whmcs_cases().len();
    assert!(all >= 45, "{all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_step_switch_must_fit_the_org() {
    let org = SalesforceOptions {
        provisioned_category: "Activated".to_owned(),
        ..SalesforceOptions::default()
    };
    let env = TestEnv::between(org, WhmcsOptions::default(), Engine::Sqlite).await;
    let (exit, found) = doctor(&env, Vec::new()).await;
    assert_eq!((exit, found.len()), (Exit::Problem, 1), "{found:?}");
    assert!(
        found[0]["fix"]
            .as_str()
            .unwrap()
            .contains("two_step_status = true")
    );
    let (exit, found) = doctor(&env, env.two_step_setting()).await;
    assert_eq!((exit, found), (Exit::Fine, Vec::new()));

    let env = TestEnv::new().await;
    let (exit, found) = doctor(&env, env.two_step_setting()).await;
    assert_eq!((exit, found.len()), (Exit::Fine, 1), "{found:?}");
    assert!(found[0]["fix"].as_str().unwrap().contains("Remove"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probe_tells_whether_markers_survive() {
    for (stored, status) in [(true, "WARN"), (false, "FAIL")] {
        let env = TestEnv::new().await;
        env.whmcs.turn(|options| options.notes_stored = stored);
        let client = env.whmcs.clients()[0].id.to_string();
        let pubsub = env.salesforce.pubsub_url();
        let settings = [("SF_PUBSUB_ENDPOINT", pubsub.as_str())];
        let words = [
            "doctor",
            "--probe",
            "--probe-client",
            &client,
            "--probe-product",
            "5",
            "--probe-cycle",
            "monthly",
        ];
        let (_, found) = run_with(&env, &words, &settings).await;
        let rows = found.as_array().unwrap();
        let marker = rows.iter().find(|row| row["check"] == "marker").unwrap();
        assert_eq!(marker["status"], status, "{marker}");
        let orders = env.whmcs.orders();
        assert_eq!(orders.len(), 1);
        let named = format!("Delete WHMCS order {}", orders[0].id);
        assert!(marker["fix"].as_str().unwrap().contains(&named), "{marker}");
        assert!(env.whmcs.mails().is_empty());
    }
}
