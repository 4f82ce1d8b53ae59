//! The endpoint's actions.
use serde_json::{Value, json};
use simulators::{
    World, WorldOptions,
    whmcs::{EmptyList, Module, ModuleScript, Version, WhmcsSim},
};

use crate::php_map;

pub(crate) const MARKER: &str = "orderbridge:v1:00D000000000001EAA:801000000000001AAA";

pub(crate) struct Api {
    http: reqwest::Client,
    url: String,
    login: [(String, String); 3],
}

impl Api {
    pub(crate) fn new(sim: &WhmcsSim) -> Self {
        let credentials = sim.credentials();
        let pair = |key: &str, value: String| (key.to_owned(), value);
        Self {
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            url: format!("{}/includes/api.php", sim.url()),
            login: [
                pair("identifier", credentials.identifier),
                pair("secret", credentials.secret),
                pair("responsetype", "json".to_owned()),
            ],
        }
    }

    pub(crate) fn request(&self, action: &str, params: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let mut form = self.login.to_vec();
        form.push(("action".to_owned(), action.to_owned()));
        form.extend(
            params
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        self.http.post(&self.url).form(&form)
    }

    pub(crate) async fn raw(&self, action: &str, params: &[(&str, &str)]) -> (u16, String) {
        let response = self.request(action, params).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn call(&self, action: &str, params: &[(&str, &str)]) -> Value {
        let (status, text) = self.raw(action, params).await;
        assert!([200, 400, 403].contains(&status), "{status} {text}");
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
    }

    pub(crate) async fn add_order(&self) -> Value {
        self.call("AddOrder", &order()).await
    }
}

/// Two lines with sparse columns.
pub(crate) fn order() -> Vec<(&'static str, &'static str)> {
    vec![
        ("clientid", "1"),
        ("paymentmethod", "banktransfer"),
        ("pid[0]", "1"),
        ("pid[2]", "2"),
        ("billingcycle[0]", "annually"),
        ("billingcycle[2]", "monthly"),
        ("priceoverride[2]", "5.00"),
        ("noinvoice", "1"),
        ("noemail", "0"),
        ("notes", MARKER),
    ]
}

pub(crate) async fn world() -> (World, Api) {
    let world = World::start(WorldOptions::default()).await.unwrap();
    let api = Api::new(&world.whmcs);
    (world, api)
}

#[tokio::test]
async fn order_is_placed_accepted_and_read_back() {
    let (world, api) = world().await;
    let field = php_map(world.products[0].custom_field, "802000000000001AAA#1");
    let mut params = order();
    params.push(("qty[0]", "2"));
    params.push(("customfields[0]", &field));
    let placed = api.call("addorder", &params).await;
    assert_eq!(placed["result"], "success", "{placed}");
    let services: Vec<&str> = placed["serviceids"].as_str().unwrap().split(',').collect();
    assert_eq!(services.len(), 3);
    let id = placed["orderid"].as_u64().unwrap();
    let text = id.to_string();
    let read = api.call("GetOrders", &[("id", &text)]).await;
    let order = &read["orders"]["order"][0];
    assert_eq!(
        (&order["status"], &order["notes"]),
        (&json!("Pending"), &json!(MARKER))
    );
    assert_eq!(
        order["lineitems"]["lineitem"][0]["billingcycle"],
        "Annually"
    );
    assert_eq!(order["lineitems"]["lineitem"][2]["amount"], "$5.00 USD");
    assert_eq!(order["invoiceid"], 0);
    let accepted = api
        .call("AcceptOrder", &[("orderid", &text), ("autosetup", "1")])
        .await;
    assert_eq!(accepted, json!({"result": "success"}));
    let read = api
        .call(
            "GetClientsProducts",
            &[("clientid", "1"), ("limitnum", "2")],
        )
        .await;
    assert_eq!(
        (&read["totalresults"], &read["numreturned"]),
        (&json!(3), &json!(2))
    );
    let product = &read["products"]["product"][0];
    assert_eq!(product["status"], "Active");
    assert_eq!(
        product["customfields"]["customfield"][0]["value"],
        "802000000000001AAA#1"
    );
    let again = api.call("AcceptOrder", &[("orderid", &text)]).await;
    assert_eq!(again["message"], "Order ID not found or Status not Pending");
    assert_eq!(world.whmcs.orders_by_marker()[MARKER], [id]);
    assert_eq!(world.whmcs.remote_accounts().len(), 3);
    // `noemail=0` sends the mail, `noinvoice=1` creates no invoice.
    assert_eq!(world.whmcs.mails().len(), 1);
}

#[tokio::test]
async fn orders_are_neither_deduplicated_nor_locked() {
    let (world, api) = world().await;
    let first = api.add_order().await["orderid"].clone();
    let second = api.add_order().await["orderid"].clone();
    assert_ne!(first, second);
    assert_eq!(world.whmcs.duplicates()[MARKER].len(), 2);
    let mut slow = Module::new(ModuleScript::Ok);
    slow.delay_ms = 50;
    world.whmcs.set_module(1, slow);
    let id = first.to_string();
    let params = [("orderid", id.as_str()), ("autosetup", "1")];
    let (one, two) = tokio::join!(
        api.call("AcceptOrder", &params),
        api.call("AcceptOrder", &params)
    );
    assert_eq!(
        (&one["result"], &two["result"]),
        (&json!("success"), &json!("success"))
    );
    assert!(!world.whmcs.duplicate_accounts().is_empty());
}

#[tokio::test]
async fn order_errors_have_whmcs_messages() {
    let (world, api) = world().await;
    let with = |key: &'static str, value: &'static str| {
        let mut params = order();
        params.retain(|(name, _)| *name != key);
        params.push((key, value));
        params
    };
    let closed = world.whmcs.add_client("C", "D", "c@d.example");
    world.whmcs.set_client_status(closed, "Closed");
    for (params, text) in [
        (with("clientid", "99"), "Client ID Not Found"),
        (
            with("clientid", "4"),
            "Unable to add order when client status is Closed",
        ),
        (
            with("paymentmethod", "x"),
            "Invalid Payment Method. Valid options include banktransfer,mailin",
        ),
        (with("pid", "1"), "Expecting parameter 'pid' to be an array"),
    ] {
        let body = api.call("AddOrder", &params).await;
        assert_eq!(body["message"], text);
    }
    let none = [
        ("clientid", "1"),
        ("paymentmethod", "mailin"),
        ("pid[0]", "77"),
    ];
    let body = api.call("AddOrder", &none).await;
    assert_eq!(
        body["message"],
        "No items added to cart so order cannot proceed"
    );
    assert!(world.whmcs.orders().is_empty());
    world.whmcs.turn(|runtime| runtime.credential_valid = false);
    let (status, text) = api.raw("GetOrders", &[]).await;
    assert_eq!(status, 403);
    assert!(text.contains("Invalid or missing credentials"));
    world.whmcs.turn(|runtime| {
        runtime.credential_valid = true;
        runtime.denied_actions.insert("getorders".to_owned());
    });
    let body = api.call("GetOrders", &[]).await;
    assert_eq!(
        body["message"],
        "Invalid Permissions: API action \"getorders\" is not allowed"
    );
}

#[tokio::test]
async fn modules_follow_scripts() {
    let (world, api) = world().await;
    let script = ModuleScript::Fail {
        text: "no disk".to_owned(),
        times: Some(1),
    };
    world.whmcs.set_module(1, Module::new(script));
    let placed = api.add_order().await;
    let id = placed["orderid"].to_string();
    let failed = api
        .call("AcceptOrder", &[("orderid", &id), ("autosetup", "1")])
        .await;
    assert_eq!(failed["message"], "no disk");
    let order = world.whmcs.orders().remove(0);
    assert_eq!(order.status, "Pending");
    let services = world.whmcs.services_of(order.id);
    let states: Vec<&str> = services
        .iter()
        .map(|service| service.status.as_str())
        .collect();
    assert_eq!(states, ["Pending", "Active"]);
    let pending = services[0].id.to_string();
    let queue = api.call("GetModuleQueue", &[("relatedId", &pending)]).await;
    assert_eq!(queue["queue"][0]["lastAttemptError"], "no disk");
    let created = api.call("ModuleCreate", &[("serviceid", &pending)]).await;
    assert_eq!(created["result"], "success");
    assert_eq!(api.call("GetModuleQueue", &[]).await["count"], 0);
    world.whmcs.set_module(2, Module::new(ModuleScript::None));
    let second = services[1].id.to_string();
    let refused = api.call("ModuleCreate", &[("serviceid", &second)]).await;
    assert_eq!(refused["message"], "Service not assigned to a module");
    world.whmcs.set_module(
        2,
        Module::new(ModuleScript::CreateThenFail {
            text: "timed out".to_owned(),
        }),
    );
    let placed = api.add_order().await["orderid"].to_string();
    let accept = [("orderid", placed.as_str()), ("autosetup", "1")];
    assert_eq!(
        api.call("AcceptOrder", &accept).await["message"],
        "timed out"
    );
    assert_eq!(
        api.call("AcceptOrder", &accept).await["message"],
        "Already provisioned"
    );
    assert!(world.whmcs.duplicate_accounts().is_empty());
}

#[tokio::test]
async fn clients_are_found_and_created() {
    let (_world, api) = world().await;
    let list = api.call("GetClients", &[("search", "ada0@")]).await;
    assert_eq!(
        list["clients"]["client"][0]["email"],
        "ada0@customers.example"
    );
    let details = api
        .call("GetClientsDetails", &[("email", "ada0@customers.example")])
        .await;
    assert_eq!(
        (&details["client"]["id"], &details["id"]),
        (&json!(1), &json!(1))
    );
    let new = [
        ("firstname", "Eve"),
        ("lastname", "Elm"),
        ("email", "eve@customers.example"),
        ("address1", "1 Road"),
        ("city", "London"),
        ("state", "London"),
        ("postcode", "E1"),
        ("country", "GB"),
        ("phonenumber", "+44 20-7946"),
    ];
    assert_eq!(api.call("AddClient", &new).await["clientid"], 4);
    let twice = api.call("AddClient", &new).await;
    assert_eq!(
        twice["message"],
        "A user already exists with that email address"
    );
    let details = api.call("GetClientsDetails", &[("clientid", "4")]).await;
    assert_eq!(details["client"]["phonenumber"], "44207946");
    let missing = api.call("GetClientsDetails", &[("clientid", "44")]).await;
    assert_eq!(missing["message"], "Client Not Found");
}

#[tokio::test]
async fn list_shapes_and_versions_are_configurable() {
    let (world, api) = world().await;
    world
        .whmcs
        .turn(|runtime| runtime.empty_list = EmptyList::Text);
    assert_eq!(api.call("GetOrders", &[]).await["orders"], "");
    world.whmcs.turn(|runtime| {
        runtime.bare_single = true;
        runtime.string_ids = true;
        runtime.notes_stored = false;
        runtime.version = Version::V7_7;
    });
    let mut params = order();
    params.push(("qty[0]", "3"));
    let placed = api.call("AddOrder", &params).await;
    assert_eq!(placed["productids"].as_str().unwrap().split(',').count(), 2);
    let id = placed["orderid"].as_str().unwrap();
    let read = api.call("GetOrders", &[("userid", "1")]).await;
    assert_eq!(read["totalresults"], "1");
    assert_eq!(read["orders"]["order"]["id"], id);
    assert_eq!(read["orders"]["order"]["notes"], "");
    // The test oracle knows what was sent.
    assert_eq!(world.whmcs.orders_by_marker().len(), 1);
    assert_eq!(world.whmcs.orders_for("801000000000001AAA").len(), 1);
}
