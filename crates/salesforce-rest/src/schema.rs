//! Compares the names of `ORDERBRIDGE_CONFIG` with the org's description.

use std::fmt;

use domain::order::Cycle;
use domain::ports::CallError;

use crate::shape::{ACCOUNT, Field, ITEM, ORDER, Objects, PRODUCT, Shape, describe};
use crate::{FieldNames, RestOrders};

/// Length of the longest error code.
const LONGEST_CODE: usize = 21;
/// Below this length an error message is cut so much that it says little.
const SHORT_MESSAGE: usize = 255;
/// Digits of the ids that WHMCS gives.
const ID_DIGITS: usize = 10;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The bridge does less than it could.
    Degraded,
    /// Orders fail or wait until it is fixed, or a name is probably misspelt.
    Broken,
}

/// Something in the org that does not fit the configured names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `Order.Activation_Status__c`, or an object.
    pub name: String,
    /// How bad it is.
    pub level: Level,
    /// What is wrong.
    pub problem: String,
    /// How to fix it.
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}. {}", self.name, self.problem, self.fix)
    }
}

/// A field that the bridge reads or writes.
struct Expected<'a> {
    object: &'static str,
    /// Its key in `ORDERBRIDGE_CONFIG`.
    key: &'static str,
    name: &'a str,
    default: &'a str,
    required: bool,
    written: bool,
    types: &'static [&'static str],
    /// A shorter field loses what is written to it.
    least: usize,
    /// A shorter field cuts it.
    enough: usize,
}

const TEXT: &[&str] = &["string", "textarea"];
const CHOICE: &[&str] = &["picklist", "string"];
const TIME: &[&str] = &["datetime"];
/// Some orgs keep ids in number fields.
const ID: &[&str] = &["string", "double", "int"];

macro_rules! expected {
    ($names:ident, $defaults:ident, $($object:ident . $group:ident . $field:ident : $types:ident
        $(, $flag:ident $(= $value:expr)?)*;)*) => {
        vec![$(Expected {
            $($flag: expected!(@ $($value)?),)*
            ..Expected {
                object: $object,
                key: concat!(stringify!($group), ".", stringify!($field)),
                name: &$names.$group.$field,
                default: &$defaults.$group.$field,
                required: false,
                written: false,
                types: $types,
                least: 0,
                enough: 0,
            }
        }),*]
    };
    (@) => { true };
    (@ $value:expr) => { $value };
}

fn expected<'a>(names: &'a FieldNames, defaults: &'a FieldNames) -> Vec<Expected<'a>> {
    expected!(names, defaults,
        ORDER.order.status: CHOICE, required, written;
        ORDER.order.activation_status: CHOICE, required, written;
        ORDER.order.error_code: TEXT, required, written, least = LONGEST_CODE;
        ORDER.order.error_message: TEXT, required, written, enough = SHORT_MESSAGE;
        ORDER.order.whmcs_order: ID, required, written, least = ID_DIGITS;
        ORDER.order.completed_at: TIME, written;
        ORDER.order.idem_key: TEXT;
        ORDER.order.correlation_id: TEXT;
        ORDER.order.last_attempt_at: TIME;
        ORDER.order.portal_key: TEXT, least = 64;
        ITEM.order_item.whmcs_service: TEXT, written, least = ID_DIGITS, enough = 255;
        ITEM.order_item.billing_cycle: CHOICE;
        PRODUCT.product.whmcs_product: ID, required;
        PRODUCT.product.billing_cycle: CHOICE;
        ACCOUNT.account.whmcs_client: ID, required;
    )
}

impl RestOrders {
    /// Compares the configured names with the org's description, read anew. What the adapter knows
    /// of the org is replaced by it, so that a field that was deployed since is used.
    ///
    /// # Errors
    /// The org could not be described.
    pub async fn inspect_schema(&self) -> Result<Vec<Finding>, CallError> {
        let objects = describe(&self.client).await.map_err(CallError::from)?;
        let mut findings = self.compare(&objects);
        match self.shape.get() {
            Some(shape) => shape.replace(objects),
            // What is missing there is among the findings.
            None => {
                if let Ok(shape) = Shape::of(objects, &self.names) {
                    // Somebody else may have described the org meanwhile.
                    let _ = self.shape.set(shape);
                }
            }
        }
        findings.extend(self.status_categories().await?);
        Ok(findings)
    }

    fn compare(&self, objects: &Objects) -> Vec<Finding> {
        let defaults = FieldNames::default();
        let mut findings = Vec::new();
        for object in [ORDER, ITEM, PRODUCT, ACCOUNT] {
            if !objects.contains_key(object) {
                findings.push(Finding {
                    name: object.to_owned(),
                    level: Level::Broken,
                    problem: "cannot be described by the user of SF_USERNAME".to_owned(),
                    fix: format!("Give the user read access to {object} by the permission set"),
                });
            }
        }
        for one in expected(&self.names, &defaults) {
            // Without a description of the object, its fields are assumed to be there.
            let Some(fields) = objects.get(one.object) else {
                continue;
            };
            let written = one.written || one.key == "account.whmcs_client" && self.bill_to;
            match fields.get(&one.name.to_ascii_lowercase()) {
                None => findings.push(missing(&one, fields.values())),
                Some(field) => findings.extend(misfit(&one, field, written)),
            }
        }
        findings.extend(self.compare_values(objects));
        findings
    }

    /// The values that the bridge reads and writes, and the billing cycles it can sell.
    fn compare_values(&self, objects: &Objects) -> Vec<Finding> {
        let names = &self.names;
        let status = &names.status;
        let mut findings = Vec::new();
        let field =
            |object: &'static str, name: &str| objects.get(object)?.get(&name.to_ascii_lowercase());
        let groups = [
            (
                &names.order.status,
                vec![
                    ("pending_review", &status.pending_review),
                    ("approved", &status.approved),
                    ("cancelled", &status.cancelled),
                    ("provisioned", &status.provisioned),
                    ("failed", &status.failed),
                ],
            ),
            (
                &names.order.activation_status,
                vec![
                    ("activating", &status.activating),
                    ("activated", &status.activated),
                    ("activation_failed", &status.activation_failed),
                ],
            ),
        ];
        for (name, wanted) in groups {
            let Some(field) = field(ORDER, name).filter(|field| field.kind == "picklist") else {
                continue;
            };
            let known = field.values();
            let level = match field.restricted_picklist {
                true => Level::Broken,
                false => Level::Degraded,
            };
            for (key, value) in wanted {
                if !known.contains(&value.as_str()) {
                    findings.push(Finding {
                        name: format!("Order.{name}"),
                        level,
                        problem: format!("has no active value `{value}`"),
                        fix: format!(
                            "Add the value to the picklist, or name yours as status.{key} in ORDERBRIDGE_CONFIG"
                        ),
                    });
                }
            }
        }
        for (object, name) in [
            (ITEM, &names.order_item.billing_cycle),
            (PRODUCT, &names.product.billing_cycle),
        ] {
            let values = field(object, name).map(Field::values).unwrap_or_default();
            let unknown: Vec<_> = values
                .into_iter()
                .filter(|value| value.parse::<Cycle>().is_err())
                .collect();
            if !unknown.is_empty() {
                findings.push(Finding {
                    name: format!("{object}.{name}"),
                    level: Level::Degraded,
                    problem: format!("has values that are no billing cycle: {}", unknown.join(", ")),
                    fix: "Deactivate them, or use onetime, monthly, quarterly, semiannually, annually, biennially, triennially and free as API names".to_owned(),
                });
            }
        }
        findings
    }

    /// Which statuses activate an order.
    async fn status_categories(&self) -> Result<Vec<Finding>, CallError> {
        let soql = "SELECT ApiName, StatusCode FROM OrderStatus".to_owned();
        let rows = match self.query("order_statuses", soql).await {
            Ok(page) => self.all_rows("order_statuses", page).await?,
            // Orgs may hide this object: then only a refused report tells.
            Err(failure) if failure.api().is_some_and(|one| one.status < 500) => {
                return Ok(Vec::new());
            }
            Err(failure) => return Err(failure.into()),
        };
        let status = &self.names.status;
        let mut findings = Vec::new();
        for row in rows {
            let (Some(name), Some(code)) = (row.text("ApiName")?, row.text("StatusCode")?) else {
                continue;
            };
            let activates = code == "Activated";
            let (level, problem, fix) = if name == status.provisioned {
                match (activates, self.names.two_step_status) {
                    (true, false) => (
                        Level::Broken,
                        "activates the order, where Salesforce accepts no other field in the same write",
                        "Set salesforce.two_step_status = true in ORDERBRIDGE_CONFIG, or file the value under Draft",
                    ),
                    (false, true) => (
                        Level::Degraded,
                        "does not activate the order, so that the second write of two_step_status is needless",
                        "Remove salesforce.two_step_status from ORDERBRIDGE_CONFIG",
                    ),
                    _ => continue,
                }
            } else if activates
                && [&status.pending_review, &status.approved, &status.failed].contains(&&name)
            {
                (
                    Level::Broken,
                    "activates the order and locks it",
                    "File the value under Draft in the value set OrderStatus",
                )
            } else {
                continue;
            };
            findings.push(Finding {
                name: format!("Order status `{name}`"),
                level,
                problem: problem.to_owned(),
                fix: fix.to_owned(),
            });
        }
        Ok(findings)
    }
}

/// A field that does not exist. One of the optional fields is only missed under a name of its own.
fn missing<'a>(one: &Expected<'_>, fields: impl Iterator<Item = &'a Field>) -> Finding {
    let renamed = one.name != one.default;
    let nearest = fields
        .map(|field| {
            (
                strsim::normalized_damerau_levenshtein(&field.name, one.name),
                field,
            )
        })
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, field)| format!(" (did you mean {}?)", field.name))
        .unwrap_or_default();
    let level = match one.required || renamed {
        true => Level::Broken,
        false => Level::Degraded,
    };
    let fix = match renamed {
        true => format!(
            "Correct {} in ORDERBRIDGE_CONFIG{nearest}, or deploy the field and give the user of SF_USERNAME access to it",
            one.key
        ),
        false => format!(
            "Deploy the field, give the user of SF_USERNAME access to it, or name yours as {} in ORDERBRIDGE_CONFIG{nearest}",
            one.key
        ),
    };
    Finding {
        name: format!("{}.{}", one.object, one.name),
        level,
        problem: "does not exist, or is hidden from the user".to_owned(),
        fix,
    }
}

/// What does not fit about a field that exists.
fn misfit(one: &Expected<'_>, field: &Field, written: bool) -> Option<Finding> {
    let sized = field.length > 0;
    let needed = |level| match level {
        true => Level::Broken,
        false => Level::Degraded,
    };
    let (level, problem, fix) = if written && !field.updateable {
        (
            needed(one.required),
            "cannot be edited by the user of SF_USERNAME".to_owned(),
            "Give the user edit access to the field by the permission set".to_owned(),
        )
    } else if !field.kind.is_empty() && !one.types.contains(&field.kind.as_str()) {
        (
            Level::Broken,
            format!("has the type {}", field.kind),
            format!(
                "Use a field of the type {}, or name another one as {} in ORDERBRIDGE_CONFIG",
                one.types.join(" or "),
                one.key
            ),
        )
    } else if sized && field.length < one.least {
        (
            Level::Broken,
            format!("holds {} characters only", field.length),
            format!(
                "Lengthen the field to at least {}",
                one.least.max(one.enough)
            ),
        )
    } else if sized && field.length < one.enough {
        (
            Level::Degraded,
            format!(
                "holds {} characters only, so that texts are cut",
                field.length
            ),
            format!("Lengthen the field to at least {}", one.enough),
        )
    } else if one.key == "order.portal_key" && !(field.external_id && field.unique) {
        (
            Level::Broken,
            "is not a unique external id, so that a repeated order of a customer could be created twice".to_owned(),
            "Mark the field as External ID and Unique (case-sensitive)".to_owned(),
        )
    } else {
        return None;
    };
    Some(Finding {
        name: format!("{}.{}", one.object, one.name),
        level,
        problem,
        fix,
    })
}

impl Finding {
    /// Whether the finding concerns the names of the configuration or what the org must have, and
    /// not an optional field that the org may lack.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.level == Level::Broken
    }
}
