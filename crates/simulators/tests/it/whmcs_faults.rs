//! Effects of each fault.
use serde_json::Value;
use simulators::{
    Phase, When,
    whmcs::{Fault, FaultId, Module},
};

use crate::whmcs::{MARKER, order, world};

#[tokio::test]
async fn faults_change_response_after_effect() {
    use FaultId::{F01, F02, F03, F04, F05, F06, F07, F08, F11, F12, F13, F14, F23};
    for (fault, orders, check) in [
        (Fault::new(F01), 0, "<h1>"),
        (Fault::new(F02), 0, "<h1>"),
        (Fault::new(F03), 1, "Notice"),
        (Fault::new(F03).style("bom"), 1, "orderid"),
        (Fault::new(F04), 1, "emitted previously"),
        (Fault::new(F05), 1, ""),
        (Fault::new(F06), 1, "null"),
        (Fault::new(F07), 1, "result"),
        (Fault::new(F08), 0, "reset"),
        (Fault::new(F08).with_effect(), 1, "reset"),
        (Fault::new(F11).status(524), 1, "Time-out"),
        (Fault::new(F12), 2, "orderid"),
        (Fault::new(F13), 1, "success"),
        (Fault::new(F13).style("productids"), 1, "productids"),
        (Fault::new(F14), 1, "orderid"),
        (Fault::new(F23), 1, "<whmcsapi"),
    ] {
        let (world, api) = world().await;
        let id = fault.id;
        world
            .whmcs
            .fault(fault.clone().on("addorder").marker(MARKER));
        // Other actions are not affected.
        assert_eq!(api.call("GetOrderStatuses", &[]).await["result"], "success");
        let answer = api.request("AddOrder", &order()).send().await;
        match (check, answer) {
            ("reset", answer) => assert!(answer.is_err(), "{id:?}"),
            (_, Err(error)) => panic!("{id:?}: {error}"),
            (_, Ok(response)) => {
                let text = response.text().await.unwrap();
                assert!(text.contains(check), "{id:?}: {text}");
                if id == F13 {
                    assert!(!text.contains("orderid"), "{text}");
                }
                // The HTTP client strips a byte order mark.
                if matches!(id, F03 | F07) && fault.style.is_none() {
                    assert!(serde_json::from_str::<Value>(&text).is_err(), "{text}");
                }
            }
        }
        assert_eq!(
            world.whmcs.orders_for("801000000000001AAA").len(),
            orders,
            "{id:?}"
        );
        if id == F14 {
            assert!(world.whmcs.services().is_empty());
        }
        // It applied once.
        assert_eq!(api.add_order().await["result"], "success", "{id:?}");
        let call = world
            .whmcs
            .calls()
            .into_iter()
            .find(|call| call.fault.is_some())
            .unwrap();
        assert_eq!(
            (call.action.as_str(), call.markers[0].as_str()),
            ("addorder", MARKER)
        );
    }
}

#[tokio::test]
async fn f09_takes_effect_while_client_waits() {
    let (world, api) = world().await;
    world.whmcs.fault(Fault::new(FaultId::F09).on("AddOrder"));
    let client = tokio::spawn(api.request("AddOrder", &order()).send());
    while world.whmcs.orders().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(!client.is_finished());
    client.abort();
    assert!(client.await.is_err());
    assert_eq!(world.whmcs.orders().len(), 1);
}

#[tokio::test]
async fn f10_takes_effect_after_client_disconnects() {
    let (world, api) = world().await;
    world.whmcs.fault(Fault::new(FaultId::F10).on("AddOrder"));
    let client = tokio::spawn(api.request("AddOrder", &order()).send());
    while world.whmcs.calls().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(world.whmcs.orders().is_empty());
    client.abort();
    while world.whmcs.orders().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn action_outlives_client() {
    let (world, api) = world().await;
    let hold = world.whmcs.hold("AddOrder", Phase::Before);
    let client = tokio::spawn(api.request("AddOrder", &order()).send());
    hold.arrived(1).await;
    client.abort();
    assert!(client.await.is_err());
    assert!(world.whmcs.orders().is_empty());
    hold.release();
    while world.whmcs.orders().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn rejections_have_no_effect() {
    use FaultId::{F16, F17, F18, F19, F20, F21, F22, F27, F28};
    let (world, api) = world().await;
    for (id, status) in [
        (F16, 403),
        (F17, 403),
        (F18, 403),
        (F20, 403),
        (F21, 429),
        (F22, 301),
        (F27, 200),
        (F28, 200),
        (F19, 403),
    ] {
        world.whmcs.fault(Fault::new(id));
        let (answered, text) = api.raw("AddOrder", &order()).await;
        assert_eq!(answered, status, "{id:?}: {text}");
    }
    // F19 is permanent.
    assert_eq!(api.raw("AddOrder", &order()).await.0, 403);
    assert!(world.whmcs.orders().is_empty());
}

#[tokio::test]
async fn staff_edits_list_shapes_and_module_faults() {
    let (world, api) = world().await;
    world.whmcs.fault(Fault::new(FaultId::F29).on("AddOrder"));
    api.add_order().await;
    assert_eq!(world.whmcs.orders()[0].notes, "");
    world
        .whmcs
        .fault(Fault::new(FaultId::F30).on("AddOrder").style("clear_notes"));
    let placed = api.add_order().await;
    let id = placed["orderid"].as_u64().unwrap();
    assert_eq!(world.whmcs.order(id).unwrap().notes, "");
    let text = id.to_string();
    let accept = [("orderid", text.as_str()), ("autosetup", "1")];
    world.whmcs.fault(
        Fault::new(FaultId::F31)
            .on("AcceptOrder")
            .marker(MARKER)
            .module(Module::failing("boom")),
    );
    assert_eq!(api.call("AcceptOrder", &accept).await["message"], "boom");
    world
        .whmcs
        .fault(Fault::new(FaultId::F30).on("AcceptOrder"));
    let refused = api.call("AcceptOrder", &accept).await;
    assert_eq!(
        refused["message"],
        "Order ID not found or Status not Pending"
    );
    assert_eq!(world.whmcs.order(id).unwrap().status, "Cancelled");
    world
        .whmcs
        .fault(Fault::new(FaultId::F26).on("GetOrders").when(When::Nth(2)));
    let list = async || api.call("GetOrders", &[("userid", "1")]).await["totalresults"].clone();
    assert_eq!(list().await, 2);
    assert_eq!(list().await, 3);
    let (_, text) = {
        world.whmcs.fault(Fault::new(FaultId::F15).style("trickle"));
        api.raw("GetOrderStatuses", &[]).await
    };
    assert!(text.contains("success"));
}
