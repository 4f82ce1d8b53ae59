//! The SOQL subset.
use serde_json::{Value, json};
use simulators::{World, WorldOptions, salesforce::SalesforceOptions};

use crate::Rest;

#[tokio::test]
async fn queries_support_parents_children_conditions_and_pages() {
    let world = World::start(WorldOptions {
        salesforce: SalesforceOptions {
            page_size: 2,
            ..SalesforceOptions::default()
        },
        ..WorldOptions::default()
    })
    .await
    .unwrap();
    let rest = Rest::new(&world.salesforce).await;
    let mut ids = Vec::new();
    for account in 0..5 {
        ids.push(world.place_order(account, &[(0, 2), (1, 1)]).unwrap());
    }
    let soql = format!(
        "SELECT Id, Account.WHMCS_Client_ID__c, BillToContact.Email, \
         (SELECT Id, Quantity, Product2.WHMCS_Product_Id__c, PricebookEntry.Product2.Name FROM OrderItems ORDER BY OrderItemNumber) \
         FROM Order WHERE Id = '{}'",
        &ids[0][..15]
    );
    let (status, body) = rest.query(&soql).await;
    assert_eq!(status, 200, "{body}");
    let order = &body["records"][0];
    assert_eq!(order["Account"]["WHMCS_Client_ID__c"], "1");
    assert_eq!(order["BillToContact"]["Email"], "ada0@customers.example");
    let items = &order["OrderItems"];
    assert_eq!(items["totalSize"], 2);
    assert_eq!(items["records"][0]["Product2"]["WHMCS_Product_Id__c"], "1");
    assert_eq!(items["records"][0]["Quantity"], 2.0);
    assert_eq!(
        items["records"][1]["PricebookEntry"]["Product2"]["Name"],
        "Virtual Server S"
    );

    let (_, first) = rest
        .query("SELECT Id FROM Order ORDER BY OrderNumber DESC")
        .await;
    assert_eq!(
        (&first["totalSize"], &first["done"]),
        (&json!(5), &json!(false))
    );
    let mut found: Vec<Value> = first["records"].as_array().unwrap().clone();
    let mut next = first["nextRecordsUrl"].as_str().map(str::to_owned);
    while let Some(url) = next {
        let path = url.strip_prefix("/services/data/v66.0").unwrap();
        let (_, page) = rest.call("GET", path, None).await;
        found.extend(page["records"].as_array().unwrap().clone());
        next = page["nextRecordsUrl"].as_str().map(str::to_owned);
    }
    let found: Vec<&str> = found.iter().filter_map(|row| row["Id"].as_str()).collect();
    let newest_first: Vec<&str> = ids.iter().rev().map(String::as_str).collect();
    assert_eq!(found, newest_first);

    world.salesforce.approve(&ids[1]).unwrap();
    for (condition, expected) in [
        ("Activation_Status__c = 'Activating'", 1),
        ("Activation_Status__c != 'Activating'", 4),
        (
            "Activation_Status__c = null AND Status = 'Pending Review'",
            4,
        ),
        ("Status IN ('Approved','Failed') OR PoNumber LIKE 'x%'", 1),
        (
            "(NOT Status = 'Approved') AND CreatedDate > 2020-01-01T00:00:00Z",
            4,
        ),
        (
            "Activation_Last_Attempt_At__c < 2099-01-01T00:00:00.000+0000",
            1,
        ),
        ("Activation_Last_Attempt_At__c < 2020-01-01T00:00:00Z", 0),
        ("Account.Name LIKE 'archer%'", 2),
        ("TotalAmount >= 43.9 AND Activation_Attempt__c = 1", 1),
    ] {
        let (status, body) = rest
            .query(&format!("SELECT COUNT() FROM Order WHERE {condition}"))
            .await;
        assert_eq!(
            (status, &body["totalSize"]),
            (200, &json!(expected)),
            "{condition}: {body}"
        );
    }
    let (_, body) = rest
        .query("SELECT Id FROM Order WHERE Status = 'Nothing'")
        .await;
    assert_eq!(body, json!({"totalSize": 0, "done": true, "records": []}));
    for (soql, code) in [
        ("SELECT Id FROM", "MALFORMED_QUERY"),
        ("SELECT Id FROM Order WHERE", "MALFORMED_QUERY"),
        ("SELECT Nope__c FROM Order", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        (
            "SELECT Id FROM Order WHERE Id = 'short'",
            "INVALID_QUERY_FILTER_OPERATOR",
        ),
    ] {
        let (status, body) = rest.query(soql).await;
        assert_eq!(
            (status, &body[0]["errorCode"]),
            (400, &json!(code)),
            "{soql}: {body}"
        );
    }
    let (_, statuses) = rest
        .query("SELECT ApiName, StatusCode FROM OrderStatus WHERE ApiName = 'Provisioned'")
        .await;
    assert_eq!(statuses["records"][0]["StatusCode"], "Draft");
}
