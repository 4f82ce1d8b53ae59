//! The products: mapped, known to WHMCS, with a price for their cycle.

use domain::id::OrderItemId;
use domain::order::{Item, Plan, Product, check_catalogue};
use domain::ports::{Freshness, ProvisionerReads};
use error_chain::chain;

use super::rows::Rows;
use crate::connect::Systems;

const PRODUCTS: &str = "products";
/// Products that are compared at most.
const LIMIT: usize = 500;
/// The id of an order line that does not exist.
const NO_LINE: &str = "802000000000000AAA";

pub(super) async fn check(rows: &mut Rows, systems: &Systems, both: bool) {
    if !both {
        return rows.skip(PRODUCTS, "needs Salesforce and WHMCS");
    }
    let products = match systems.salesforce.mapped_products(LIMIT).await {
        Ok(products) => products,
        Err(error) => return rows.skip(PRODUCTS, chain(&error).to_string()),
    };
    if products.is_empty() && systems.rules.overrides.0.is_empty() {
        return rows.fail(
            PRODUCTS,
            "no active product names a WHMCS product",
            "Fill in the field of Product2 for the WHMCS product id, or map products in ORDERBRIDGE_CONFIG",
        );
    }
    let mut good = 0;
    for product in &products {
        let name = product.name.clone();
        match problem(systems, product).await {
            Ok(None) => good += 1,
            Ok(Some((level, detail, fix))) => {
                let detail = format!("{name}: {detail}");
                match level {
                    Level::Warn => rows.warn(PRODUCTS, detail, fix),
                    Level::Fail => rows.fail(PRODUCTS, detail, fix),
                }
            }
            Err(why) => return rows.skip(PRODUCTS, why),
        }
    }
    if good == products.len() {
        rows.ok(
            PRODUCTS,
            format!("{good} are mapped to products that WHMCS sells"),
        );
    }
}

enum Level {
    Warn,
    Fail,
}

type Problem = (Level, String, &'static str);

/// What an order of one unit of the product would fail with.
async fn problem(systems: &Systems, product: &Product) -> Result<Option<Problem>, String> {
    let item = Item {
        id: OrderItemId::parse(NO_LINE).map_err(|error| error.to_string())?,
        product: product.clone(),
        cycle: None,
        quantity: "1".parse().map_err(|_| "no number".to_owned())?,
        unit_price: None,
    };
    if product.cycle.is_none() && systems.rules.overrides.0.is_empty() {
        return Ok(Some((
            Level::Warn,
            "has no billing cycle, so that each order line must have one".to_owned(),
            "Fill in the billing cycle of the product, unless every line has its own",
        )));
    }
    let plan = match Plan::of(&[item], &systems.rules.overrides) {
        Ok(plan) => plan,
        Err(refusal) => {
            return Ok(Some((
                Level::Fail,
                refusal.detail,
                "Correct the WHMCS product id and the billing cycle of the product",
            )));
        }
    };
    let entries = systems
        .whmcs
        .catalogue(&plan.products(), Freshness::Now)
        .await;
    let Some(entries) = entries.map_err(|error| chain(&error).to_string())? else {
        return Err("the role may not read the catalogue (GetProducts)".to_owned());
    };
    Ok(check_catalogue(&plan, Some(&entries)).err().map(|refusal| {
        let fix = "Correct the mapping, or give the WHMCS product a price for this cycle";
        (Level::Fail, refusal.detail, fix)
    }))
}
