//! Names that an org may have chosen differently.

use serde::Deserialize;
use settings::{ConfigFile, Problems};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident = $default:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* #[doc = concat!(" Default: `", $default, "`.")] pub $field: String,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default.to_owned(),)* }
            }
        }

        impl $name {
            fn all(&self) -> Vec<(&'static str, &str)> {
                vec![$((stringify!($field), self.$field.as_str()),)*]
            }
        }
    )*};
}

names! {
    /// Fields of Order.
    OrderFields {
        /// The business status.
        status = "Status",
        /// The machine state.
        activation_status = "Activation_Status__c",
        /// Why the last attempt failed.
        error_code = "Activation_Error_Code__c",
        /// Why, for people.
        error_message = "Activation_Error_Message__c",
        /// When the order was provisioned.
        completed_at = "Activation_Completed_At__c",
        /// The WHMCS order.
        whmcs_order = "WHMCS_Order_ID__c",
        /// The request's key.
        idem_key = "Activation_IdemKey__c",
        /// The request's correlation id.
        correlation_id = "Activation_Correlation_Id__c",
        /// When the Flow asked.
        last_attempt_at = "Activation_Last_Attempt_At__c",
        /// By which a customer's order is found again.
        portal_key = "Portal_Order_Key__c",
    }
    /// Fields of OrderItem.
    OrderItemFields {
        /// The line's WHMCS services.
        whmcs_service = "WHMCS_Service_ID__c",
        /// The line's billing cycle.
        billing_cycle = "Billing_Cycle__c",
    }
    /// Fields of Product2.
    ProductFields {
        /// The WHMCS product.
        whmcs_product = "WHMCS_Product_Id__c",
        /// The product's billing cycle.
        billing_cycle = "Billing_Cycle__c",
    }
    /// Fields of Account.
    AccountFields {
        /// The WHMCS client.
        whmcs_client = "WHMCS_Client_ID__c",
    }
    /// Values of the two status fields.
    StatusNames {
        /// `Status` of an order that a customer has placed.
        pending_review = "Pending Review",
        /// `Status` once the operator approved.
        approved = "Approved",
        /// `Status` of an order that was called off.
        cancelled = "Cancelled",
        /// `Status` after success.
        provisioned = "Provisioned",
        /// `Status` after failure.
        failed = "Failed",
        /// Activation status while a request is open.
        activating = "Activating",
        /// Activation status after success.
        activated = "Activated",
        /// Activation status after failure.
        activation_failed = "Failed",
    }
}

/// Every name that can be changed, as a table of `ORDERBRIDGE_CONFIG`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FieldNames {
    /// Fields of Order.
    pub order: OrderFields,
    /// Fields of OrderItem.
    pub order_item: OrderItemFields,
    /// Fields of Product2.
    pub product: ProductFields,
    /// Fields of Account.
    pub account: AccountFields,
    /// Values of the status fields.
    pub status: StatusNames,
    /// Write `Status` by itself after the rest: for orgs that file the provisioned status
    /// under StatusCode Activated, where it must be the only change.
    pub two_step_status: bool,
}

impl FieldNames {
    /// The names of the configuration file's `salesforce` table, each checked.
    pub fn of(file: &ConfigFile, problems: &mut Problems) -> Option<Self> {
        let names: Self = file.table("salesforce", problems)?;
        names.check(problems);
        Some(names)
    }

    /// Checks that every name can be one, noting every problem.
    pub fn check(&self, problems: &mut Problems) {
        let groups = [
            ("order", self.order.all()),
            ("order_item", self.order_item.all()),
            ("product", self.product.all()),
            ("account", self.account.all()),
        ];
        for (group, names) in groups {
            for (key, name) in names.into_iter().filter(|(_, name)| !is_name(name)) {
                problems.add(
                    "ORDERBRIDGE_CONFIG",
                    format!("`{name}` for {group}.{key} is no field name"),
                    "Give the API name of the field, such as My_Field__c",
                );
            }
        }
        for (key, value) in self.status.all() {
            if value.trim().is_empty() {
                problems.add(
                    "ORDERBRIDGE_CONFIG",
                    format!("status.{key} is empty"),
                    "Give the API name of the picklist value",
                );
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= 80
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_renamed_keeps_the_contracts_name_and_a_misspelt_key_is_refused() {
        let names: FieldNames =
            serde_json::from_str(r#"{"order":{"idem_key":"My_Key__c"},"two_step_status":true}"#)
                .unwrap();
        assert_eq!(names.order.idem_key, "My_Key__c");
        assert_eq!(names.order.whmcs_order, "WHMCS_Order_ID__c");
        assert!(names.two_step_status);
        assert!(serde_json::from_str::<FieldNames>(r#"{"order":{"idemkey":"x"}}"#).is_err());
    }

    #[test]
    fn a_name_that_could_change_a_query_is_refused() {
        let mut names = FieldNames::default();
        let mut problems = Problems::new();
        names.check(&mut problems);
        assert!(problems.is_empty(), "{problems}");
        names.order.idem_key = "Id FROM User --".to_owned();
        names.status.failed = String::new();
        names.check(&mut problems);
        let text = problems.to_string();
        assert!(
            text.contains("order.idem_key") && text.contains("status.failed"),
            "{text}"
        );
    }
}
