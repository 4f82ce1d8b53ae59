//! The closed list of failure codes, with cause, owner and remediation.

use std::fmt;
use std::str::FromStr;

use crate::key::CorrelationId;

/// Maximum length of a message in the CRM (`Activation_Error_Message__c`), in characters.
pub const MAX_MESSAGE: usize = 4096;

/// Who can fix a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FixOwner {
    /// Maintains products, accounts and permissions in Salesforce.
    SalesforceAdmin,
    /// Maintains products, clients, servers and API access in WHMCS.
    WhmcsAdmin,
    /// Runs orderbridge and maintains its settings.
    BridgeAdmin,
    /// The operator who approves orders.
    Operator,
}

impl fmt::Display for FixOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SalesforceAdmin => "Salesforce administrator",
            Self::WhmcsAdmin => "WHMCS administrator",
            Self::BridgeAdmin => "orderbridge administrator",
            Self::Operator => "operator",
        })
    }
}

/// The catalogue entry of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Title, a few words.
    pub title: &'static str,
    /// What happened, for readers who do not know orderbridge.
    pub explanation: &'static str,
    /// Who can fix it.
    pub fix_owner: FixOwner,
    /// What to do.
    pub remediation: &'static str,
}

macro_rules! catalogue {
    ($($variant:ident = $code:literal, $fix_owner:ident,
        $title:literal, $explanation:literal, $remediation:literal;)*) => {
        /// Why an order failed: `Activation_Error_Code__c`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = concat!("`", $code, "`: ", $explanation)] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it is written to the order.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The catalogue entry.
            #[must_use]
            pub const fn entry(self) -> Entry {
                match self {
                    $(Self::$variant => Entry {
                        title: $title,
                        explanation: $explanation,
                        fix_owner: FixOwner::$fix_owner,
                        remediation: $remediation,
                    },)*
                }
            }
        }
    };
}

catalogue! {
    OrderNotFound = "ORDER_NOT_FOUND", Operator,
        "Order not found",
        "Salesforce has no order with the event's order id, or the integration user cannot see it.",
        "Check that the order exists and that the integration user can read it, then retry.";
    OrderEmpty = "ORDER_EMPTY", Operator,
        "Order without products",
        "The order has no lines, so there is nothing to provision.",
        "Add products to the order, then set Activation Status back to Activating.";
    MappingMissing = "MAPPING_MISSING", SalesforceAdmin,
        "Product not mapped",
        "A product of the order has no WHMCS product number or no billing cycle.",
        "Fill in WHMCS_Product_Id__c and Billing_Cycle__c on the product, then set Activation Status back to Activating.";
    MappingInvalid = "MAPPING_INVALID", SalesforceAdmin,
        "Product mapping invalid",
        "A product's WHMCS product number, billing cycle or quantity is not valid in WHMCS, or the order's currency differs from the billing currency of its WHMCS client.",
        "Correct the product, the cycle, the quantity or the currency, then set Activation Status back to Activating.";
    ClientNotLinked = "CLIENT_NOT_LINKED", SalesforceAdmin,
        "Account without WHMCS client",
        "The account has no WHMCS client, and orderbridge is not allowed to create one or lacks the data for it.",
        "Fill in WHMCS_Client_ID__c on the account (or complete the bill-to contact where clients are created automatically), then set Activation Status back to Activating.";
    ClientNotFound = "CLIENT_NOT_FOUND", SalesforceAdmin,
        "WHMCS client not found",
        "WHMCS has no client with the number set on the account.",
        "Correct WHMCS_Client_ID__c on the account, then set Activation Status back to Activating.";
    ClientClosed = "CLIENT_CLOSED", WhmcsAdmin,
        "WHMCS client closed",
        "The account's WHMCS client is closed, so WHMCS accepts no orders for it.",
        "Reopen the client in WHMCS or link the account to another one, then set Activation Status back to Activating.";
    WhmcsRejected = "WHMCS_REJECTED", WhmcsAdmin,
        "Rejected by WHMCS",
        "WHMCS rejected the order; nothing was created.",
        "Fix what the WHMCS message says, then set Activation Status back to Activating.";
    WhmcsConfig = "WHMCS_CONFIG", BridgeAdmin,
        "WHMCS denies access",
        "WHMCS does not accept orderbridge's credential, address, role or settings.",
        "Fix the API credential, the allowed IP address, the API role or the payment method, then set Activation Status back to Activating.";
    WhmcsUnavailable = "WHMCS_UNAVAILABLE", WhmcsAdmin,
        "WHMCS unavailable",
        "WHMCS could not be reached, or answered that it is busy or in maintenance, for longer than one attempt may take.",
        "Wait until WHMCS works again, then set Activation Status back to Activating.";
    WhmcsOutcomeUnknown = "WHMCS_OUTCOME_UNKNOWN", Operator,
        "WHMCS outcome unknown",
        "WHMCS did not answer a call that creates something, and orderbridge could not find out whether it was created.",
        "Check the named order or service in WHMCS. If a named order has no marker in its notes, add the marker of the Salesforce order it belongs to, orderbridge:v1:ORG_ID:ORDER_ID (18 characters each), or orderbridge:v1:none if it was placed by hand. Then set Activation Status back to Activating: what exists is adopted, what is missing is created.";
    WhmcsDuplicateFound = "WHMCS_DUPLICATE_FOUND", WhmcsAdmin,
        "More than one WHMCS order",
        "WHMCS has several orders for this Salesforce order.",
        "Decide which WHMCS order is the right one and cancel or delete the others, or remove the orderbridge marker from their notes, then set Activation Status back to Activating.";
    WhmcsOrderMismatch = "WHMCS_ORDER_MISMATCH", WhmcsAdmin,
        "WHMCS order differs",
        "The WHMCS order does not match the Salesforce order, or staff cancelled it, marked it as fraud or deleted it.",
        "Correct the WHMCS order or, if staff ended it on purpose, make orderbridge forget it. Then set Activation Status back to Activating.";
    WhmcsModuleFailed = "WHMCS_MODULE_FAILED", WhmcsAdmin,
        "Service not provisioned",
        "The WHMCS order exists, but a provisioning module could not create a service.",
        "Fix what the module reports (server, licence, name already taken), then set Activation Status back to Activating: only what is still pending is created.";
    SalesforceRejected = "SALESFORCE_REJECTED", SalesforceAdmin,
        "Rejected by Salesforce",
        "Salesforce refused to store the result on the order; everything created in WHMCS still exists.",
        "Fix what Salesforce reports (field access, validation rule, picklist value), then set Activation Status back to Activating: nothing is created twice.";
    SalesforceUnavailable = "SALESFORCE_UNAVAILABLE", SalesforceAdmin,
        "Salesforce unavailable",
        "Salesforce could not be reached for a long time.",
        "Wait until Salesforce works again, then set Activation Status back to Activating.";
    Internal = "INTERNAL", BridgeAdmin,
        "Internal error",
        "orderbridge hit an unexpected condition.",
        "Search the orderbridge logs for the correlation id and report what you find.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not one of the error codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an orderbridge error code")]
pub struct UnknownCode(String);

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

/// A failure code with details. A value, not an error: it becomes part of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// Details in plain words: the product, the value, WHMCS's own text. No secrets.
    pub detail: String,
}

impl Refusal {
    /// Creates a refusal.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    /// The message for the operator: what happened, what to do, and the correlation id. At most
    /// [`MAX_MESSAGE`] characters; the detail is truncated first.
    #[must_use]
    pub fn message(&self, correlation: &CorrelationId) -> String {
        let entry = self.code.entry();
        let head = format!("{}. ", entry.title);
        let tail = format!(
            ". {} To do ({}): {} [correlation id {correlation}]",
            entry.explanation, entry.fix_owner, entry.remediation
        );
        let room = MAX_MESSAGE.saturating_sub(head.chars().count() + tail.chars().count());
        let mut detail: String = self.detail.trim().trim_end_matches('.').to_owned();
        if detail.chars().count() > room {
            detail = detail
                .chars()
                .take(room.saturating_sub(1))
                .chain(['…'])
                .collect();
        }
        format!("{head}{detail}{tail}")
            .chars()
            .take(MAX_MESSAGE)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_and_have_explanations() {
        assert_eq!(Code::ALL.len(), 17);
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
            let entry = code.entry();
            for text in [entry.title, entry.explanation, entry.remediation] {
                assert!(text.len() > 10 && text.len() < 400, "{code}: {text}");
            }
        }
        assert!("SOMETHING".parse::<Code>().is_err());
    }

    #[test]
    fn message_has_cause_remediation_and_correlation_id() {
        let correlation = CorrelationId::new("c-1").unwrap();
        let message = Refusal::new(
            Code::MappingMissing,
            "product `VPS` has no WHMCS_Product_Id__c",
        )
        .message(&correlation);
        for words in [
            "Product not mapped",
            "`VPS`",
            "Salesforce administrator",
            "Activating",
            "c-1",
        ] {
            assert!(message.contains(words), "{words}: {message}");
        }
    }

    #[test]
    fn long_message_keeps_remediation_and_fits_the_field() {
        let correlation = CorrelationId::new("c".repeat(80)).unwrap();
        let message = Refusal::new(Code::WhmcsModuleFailed, "ü".repeat(9000)).message(&correlation);
        assert_eq!(message.chars().count(), MAX_MESSAGE);
        assert!(message.contains("only what is still pending"));
        assert!(message.ends_with("c]"));
    }
}
