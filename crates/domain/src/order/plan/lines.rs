//! The plan: what to order in WHMCS, a pure function of the order's lines.

use std::collections::BTreeMap;

use crate::decimal::Decimal;
use crate::failure::{Code, Refusal};
use crate::id::Product2Id;
use crate::key::{LineMarker, ProductId};
use crate::order::{Cycle, Item};

/// Maximum number of WHMCS lines of an order: PHP silently drops form fields beyond
/// `max_input_vars` (1000 by default).
pub const MAX_LINES: usize = 100;

/// One WHMCS order line: one unit of one order item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The item and unit it represents.
    pub marker: LineMarker,
    /// The WHMCS product.
    pub product: ProductId,
    /// The billing cycle.
    pub cycle: Cycle,
    /// The sales price of one unit.
    pub unit_price: Option<Decimal>,
}

/// What AddOrder creates. Never stored: recomputed from the details each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The lines, one unit each, in the sequence of the order's items.
    pub lines: Vec<Line>,
}

/// Product mappings from the configuration file. They override the fields of the product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappingOverrides(pub BTreeMap<Product2Id, (Option<String>, Option<String>)>);

impl Plan {
    /// Expands the items into lines.
    ///
    /// # Errors
    /// `ORDER_EMPTY`, `MAPPING_MISSING` or `MAPPING_INVALID`, naming the product and the value.
    pub fn of(items: &[Item], overrides: &MappingOverrides) -> Result<Self, Refusal> {
        if items.is_empty() {
            return Err(Refusal::new(Code::OrderEmpty, "the order has no products"));
        }
        let mut lines = Vec::new();
        for item in items {
            let (product, cycle) = mapping(item, overrides)?;
            for unit in 1..=units(item)? {
                if lines.len() == MAX_LINES {
                    return Err(Refusal::new(
                        Code::MappingInvalid,
                        format!("the order expands to more than {MAX_LINES} WHMCS lines"),
                    ));
                }
                lines.push(Line {
                    marker: LineMarker {
                        item: item.id,
                        unit,
                    },
                    product,
                    cycle,
                    unit_price: item.unit_price,
                });
            }
        }
        Ok(Self { lines })
    }

    /// The distinct products, ascending.
    #[must_use]
    pub fn products(&self) -> Vec<ProductId> {
        let mut products: Vec<_> = self.lines.iter().map(|line| line.product).collect();
        products.sort_unstable();
        products.dedup();
        products
    }
}

fn mapping(item: &Item, overrides: &MappingOverrides) -> Result<(ProductId, Cycle), Refusal> {
    let name = &item.product.name;
    let (own_product, own_cycle) = item
        .product
        .id
        .and_then(|id| overrides.0.get(&id))
        .cloned()
        .unwrap_or_default();
    let present = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let Some(product) =
        present(own_product).or_else(|| present(item.product.whmcs_product.clone()))
    else {
        return Err(Refusal::new(
            Code::MappingMissing,
            format!("product `{name}` has no WHMCS_Product_Id__c"),
        ));
    };
    let product = match product.trim().parse::<u64>() {
        Ok(id) if id > 0 => ProductId(id),
        _ => {
            return Err(Refusal::new(
                Code::MappingInvalid,
                format!(
                    "WHMCS_Product_Id__c `{product}` of product `{name}` is not a valid product number"
                ),
            ));
        }
    };
    let Some(cycle) = present(item.cycle.clone())
        .or_else(|| present(own_cycle))
        .or_else(|| present(item.product.cycle.clone()))
    else {
        return Err(Refusal::new(
            Code::MappingMissing,
            format!("neither the order line nor its product `{name}` has a Billing_Cycle__c"),
        ));
    };
    let cycle = cycle.parse::<Cycle>().map_err(|error| {
        Refusal::new(Code::MappingInvalid, format!("{error} (product `{name}`)"))
    })?;
    Ok((product, cycle))
}

fn units(item: &Item) -> Result<u32, Refusal> {
    let invalid = || {
        Refusal::new(
            Code::MappingInvalid,
            format!(
                "quantity {} of product `{}` is not a positive whole number",
                item.quantity, item.product.name
            ),
        )
    };
    let whole = item
        .quantity
        .whole()
        .filter(|whole| *whole >= 1)
        .ok_or_else(invalid)?;
    // A value beyond u32 also exceeds MAX_LINES, which the caller reports.
    Ok(u32::try_from(whole).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::OrderItemId;
    use crate::order::Product;

    fn item(whmcs: Option<&str>, product_cycle: Option<&str>, quantity: &str) -> Item {
        Item {
            id: OrderItemId::parse("802000000000001").unwrap(),
            product: Product {
                id: Some(Product2Id::parse("01t000000000001").unwrap()),
                name: "Web hosting".to_owned(),
                whmcs_product: whmcs.map(str::to_owned),
                cycle: product_cycle.map(str::to_owned),
            },
            cycle: None,
            quantity: quantity.parse().unwrap(),
            unit_price: None,
        }
    }

    fn plan(items: &[Item]) -> Result<Plan, Refusal> {
        Plan::of(items, &MappingOverrides::default())
    }

    #[test]
    fn quantity_expands_to_lines() {
        let lines = plan(&[item(Some("5"), Some("monthly"), "3.00")])
            .unwrap()
            .lines;
        assert_eq!(
            lines
                .iter()
                .map(|line| line.marker.unit)
                .collect::<Vec<_>>(),
            [1, 2, 3]
        );
        assert!(lines.iter().all(|line| line.product == ProductId(5)));
    }

    #[test]
    fn line_overrides_product_cycle_and_file_overrides_mapping() {
        let mut yearly = item(Some("5"), Some("monthly"), "1");
        yearly.cycle = Some("Annually".to_owned());
        assert_eq!(
            plan(std::slice::from_ref(&yearly)).unwrap().lines[0].cycle,
            Cycle::Annually
        );
        let overrides = MappingOverrides(BTreeMap::from([(
            yearly.product.id.unwrap(),
            (Some("77".to_owned()), None),
        )]));
        assert_eq!(
            Plan::of(&[yearly], &overrides).unwrap().lines[0].product,
            ProductId(77)
        );
    }

    #[test]
    fn invalid_mapping_error_names_product_and_value() {
        let check = |items: &[Item], code: Code, words: &str| {
            let refusal = plan(items).unwrap_err();
            assert_eq!(refusal.code, code);
            assert!(refusal.detail.contains(words), "{}", refusal.detail);
        };
        check(&[], Code::OrderEmpty, "no products");
        check(
            &[item(None, Some("monthly"), "1")],
            Code::MappingMissing,
            "WHMCS_Product_Id__c",
        );
        check(
            &[item(Some(" "), Some("monthly"), "1")],
            Code::MappingMissing,
            "Web hosting",
        );
        check(
            &[item(Some("5"), None, "1")],
            Code::MappingMissing,
            "Billing_Cycle__c",
        );
        check(
            &[item(Some("five"), Some("monthly"), "1")],
            Code::MappingInvalid,
            "`five`",
        );
        check(
            &[item(Some("0"), Some("monthly"), "1")],
            Code::MappingInvalid,
            "`0`",
        );
        check(
            &[item(Some("5"), Some("weekly"), "1")],
            Code::MappingInvalid,
            "`weekly`",
        );
        for quantity in ["0", "-1", "1.5"] {
            check(
                &[item(Some("5"), Some("monthly"), quantity)],
                Code::MappingInvalid,
                quantity,
            );
        }
        check(
            &[item(Some("5"), Some("monthly"), "101")],
            Code::MappingInvalid,
            "more than 100",
        );
        check(
            &[item(Some("5"), Some("monthly"), "9e20")],
            Code::MappingInvalid,
            "more than 100",
        );
    }

    #[test]
    fn hundred_lines_are_accepted() {
        assert_eq!(
            plan(&[item(Some("5"), Some("free"), "100")])
                .unwrap()
                .lines
                .len(),
            100
        );
    }
}
