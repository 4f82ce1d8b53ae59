//! Configurable names of fields and statuses.

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
        /// The activation status.
        activation_status = "Activation_Status__c",
        /// Why the last attempt failed.
        error_code = "Activation_Error_Code__c",
        /// The message for the operator.
        error_message = "Activation_Error_Message__c",
        /// When the order was provisioned.
        completed_at = "Activation_Completed_At__c",
        /// The WHMCS order.
        whmcs_order = "WHMCS_Order_ID__c",
        /// The request's key.
        idem_key = "Activation_IdemKey__c",
        /// The request's correlation id.
        correlation_id = "Activation_Correlation_Id__c",
        /// When the Flow requested the attempt.
        last_attempt_at = "Activation_Last_Attempt_At__c",
        /// The key of a customer's order.
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
        /// `Status` of an order placed by a customer.
        pending_review = "Pending Review",
        /// `Status` after the operator's approval.
        approved = "Approved",
        /// `Status` of a cancelled order.
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

/// Every configurable name, as a table of `ORDERBRIDGE_CONFIG`.
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
    /// Write `Status` separately after the rest: for orgs that map the provisioned status to
    /// StatusCode Activated, where it must be the only change.
    pub two_step_status: bool,
}

impl FieldNames {
    /// Reads and validates the configuration file's `salesforce` table.
    pub fn of(file: &ConfigFile, problems: &mut Problems) -> Option<Self> {
        let names: Self = file.table("salesforce", problems)?;
        names.check(problems);
        Some(names)
    }

    /// Validates every name and collects every problem.
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
                    format!("`{name}` for {group}.{key} is not a valid field name"),
                    "Use the API name of the field, such as My_Field__c",
                );
            }
        }
        for (key, value) in self.status.all() {
            if value.trim().is_empty() {
                problems.add(
                    "ORDERBRIDGE_CONFIG",
                    format!("status.{key} is empty"),
                    "Use the API name of the picklist value",
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
    fn names_have_defaults_and_unknown_keys_are_rejected() {
        let names: FieldNames =
            serde_json::from_str(r#"{"order":{"idem_key":"My_Key__c"},"two_step_status":true}"#)
                .unwrap();
        assert_eq!(names.order.idem_key, "My_Key__c");
        assert_eq!(names.order.whmcs_order, "WHMCS_Order_ID__c");
        assert!(names.two_step_status);
        assert!(serde_json::from_str::<FieldNames>(r#"{"order":{"idemkey":"x"}}"#).is_err());
    }

    #[test]
    fn invalid_field_names_are_rejected() {
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
