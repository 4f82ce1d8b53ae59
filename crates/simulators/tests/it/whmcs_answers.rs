//! Forms, formats and fields that clients of others rely on.
use serde_json::Value;
use simulators::whmcs::{Module, ModuleScript, Product, WhmcsOptions, WhmcsSim};

use crate::whmcs::{Api, world};

#[tokio::test]
async fn multipart_forms_are_read() {
    let (world, _) = world().await;
    let login = world.whmcs.credentials();
    let mut body = String::new();
    for (name, value) in [
        ("identifier", login.identifier.as_str()),
        ("secret", &login.secret),
        ("action", "GetProducts"),
        ("responsetype", "json"),
        ("pid", "2"),
    ] {
        body +=
            &format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body += "--cut--\r\n";
    let answer = reqwest::Client::new()
        .post(format!("{}/includes/api.php", world.whmcs.url()))
        .header("content-type", "multipart/form-data; boundary=cut")
        .body(body)
        .send()
        .await
        .unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["products"]["product"][0]["pid"], 2, "{answer}");
}

#[tokio::test]
async fn xml_is_answered_on_request_for_results_and_errors() {
    let (world, api) = world().await;
    world.whmcs.set_product(Product::new(50, "Mail & More"));
    let xml = [("responsetype", "xml"), ("pid", "50")];
    let (_, text) = api.raw("GetProducts", &xml).await;
    assert!(text.contains("<whmcsapi version=\"8.13.1\">"), "{text}");
    assert!(text.contains("<result>success</result>"), "{text}");
    assert!(text.contains("<products><product><"), "{text}");
    assert!(text.contains("<![CDATA[Mail &amp; More]]>"), "{text}");
    let (_, text) = api
        .raw("AcceptOrder", &[("responsetype", "xml"), ("orderid", "9")])
        .await;
    assert!(text.contains("<result>error</result>"), "{text}");
}

#[tokio::test]
async fn installation_in_a_folder_answers_there_and_nowhere_else() {
    let whmcs = WhmcsSim::start(WhmcsOptions {
        folder: "billing/portal".to_owned(),
        ..WhmcsOptions::default()
    });
    let whmcs = whmcs.await.unwrap();
    assert!(whmcs.url().ends_with("/billing/portal"));
    let api = Api::new(&whmcs);
    let answer = api.call("GetOrderStatuses", &[]).await;
    assert_eq!(answer["result"], "success");
    let mut request = api.request("GetOrderStatuses", &[]).build().unwrap();
    request.url_mut().set_path("/includes/api.php");
    let answer = reqwest::Client::new().execute(request).await.unwrap();
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn products_are_filtered_by_group_and_module() {
    let (world, api) = world().await;
    let mut product =
        Product::new(60, "Own").with_module(Module::new(ModuleScript::Ok).named("cpanel"));
    product.gid = 7;
    world.whmcs.set_product(product);
    for (filter, value, expected) in [
        ("gid", "7", 1),
        ("gid", "8", 0),
        ("module", "cpanel", 1),
        ("module", "none", 0),
    ] {
        let found = api.call("GetProducts", &[(filter, value)]).await;
        assert_eq!(found["totalresults"], expected, "{filter}={value}");
    }
}

#[tokio::test]
async fn updated_service_answers_what_was_written() {
    let (_world, api) = world().await;
    let made = api.add_order().await;
    let service = made["serviceids"].as_str().unwrap().split(',').next();
    let service = service.unwrap();
    let written = [
        ("serviceusername", "username", "own"),
        ("servicepassword", "password", "secret"),
        ("dedicatedip", "dedicatedip", "192.0.2.1"),
        ("recurringamount", "recurringamount", "3.50"),
        ("nextduedate", "nextduedate", "2027-01-31"),
        ("suspendreason", "suspensionreason", "late"),
        ("paymentmethod", "paymentmethod", "mailin"),
        ("ns1", "ns1", "ns1.example"),
    ];
    let mut params = vec![("serviceid", service)];
    params.extend(written.map(|(parameter, _, value)| (parameter, value)));
    api.call("UpdateClientProduct", &params).await;
    let read = async |name: &str| {
        let all = api
            .call("GetClientsProducts", &[("serviceid", service)])
            .await;
        all["products"]["product"][0][name].clone()
    };
    for (_, name, value) in written {
        assert_eq!(read(name).await, value, "{name}");
    }
    let cleared = [("serviceid", service), ("unset[0]", "dedicatedip")];
    api.call("UpdateClientProduct", &cleared).await;
    assert_eq!(read("dedicatedip").await, "");
    let missing = [("serviceid", service), ("pid", "999")];
    assert_eq!(
        api.call("UpdateClientProduct", &missing).await["result"],
        "error"
    );
}

#[tokio::test]
async fn names_have_html_entities() {
    let (world, api) = world().await;
    let id = world
        .whmcs
        .add_client("Zoë", "O'Neil & <Co>", "zoe@customers.example");
    let id = id.to_string();
    let read = api.call("GetClientsDetails", &[("clientid", &id)]).await;
    assert_eq!(read["client"]["lastname"], "O&#039;Neil &amp; &lt;Co&gt;");
    assert_eq!(read["firstname"], "Zoë");
}

#[tokio::test]
async fn answers_have_the_documented_keys() {
    let (_world, api) = world().await;
    let mut order = crate::whmcs::order();
    order.retain(|(name, _)| *name != "noinvoice");
    let made = api.call("AddOrder", &order).await;
    let has = |value: &Value, names: &[&str]| {
        for name in names {
            assert!(value.get(name).is_some(), "{name} is missing: {value}");
        }
    };
    let orders = api.call("GetOrders", &[]).await;
    let names = ["requestor_id", "admin_requestor_id", "renewalsByType"];
    has(&orders["orders"]["order"][0], &names);
    let products = api.call("GetProducts", &[]).await;
    has(&products["products"]["product"][0], &["slug", "gid"]);
    let services = api.call("GetClientsProducts", &[]).await;
    let names = [
        "serverip",
        "serverhostname",
        "ns1",
        "assignedips",
        "lastupdate",
    ];
    has(&services["products"]["product"][0], &names);
    let client = api
        .call("GetClientsDetails", &[("clientid", "1"), ("stats", "1")])
        .await;
    has(
        &client["client"],
        &["uuid", "countrycode", "credit", "lastlogin"],
    );
    has(&client["stats"], &["productsnumtotal"]);
    let invoice = made["invoiceid"].to_string();
    let invoice = api.call("GetInvoice", &[("invoiceid", &invoice)]).await;
    let items = invoice["items"]["item"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{invoice}");
    has(
        &items[0],
        &["id", "type", "relid", "description", "amount", "taxed"],
    );
}
