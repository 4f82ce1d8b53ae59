//! The closed list of reasons an order can fail for, and what people can do about each.

use std::fmt;
use std::str::FromStr;

use crate::key::CorrelationId;

/// The longest message the CRM takes (`Activation_Error_Message__c`), in characters.
pub const MAX_MESSAGE: usize = 4096;

/// Who can mend a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FixOwner {
    /// Whoever keeps products, accounts and permissions in Salesforce.
    SalesforceAdmin,
    /// Whoever keeps products, clients, servers and API access in WHMCS.
    WhmcsAdmin,
    /// Whoever runs orderbridge and its settings.
    BridgeAdmin,
    /// The operator who approves orders.
    Operator,
}

impl fmt::Display for FixOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SalesforceAdmin => "Salesforce administrator",
            Self::WhmcsAdmin => "WHMCS administrator",
            Self::BridgeAdmin => "administrator of orderbridge",
            Self::Operator => "operator",
        })
    }
}

/// What the catalogue says of one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// A few words.
    pub title: &'static str,
    /// What happened, for somebody who does not know the bridge.
    pub explanation: &'static str,
    /// Who can mend it.
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

            /// The code as it stands on the order.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// What the catalogue says of it.
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
        "Salesforce has no order with the id of the event, or does not show it to the integration user.",
        "Check that the order exists and that the integration user can read it, then ask again.";
    OrderEmpty = "ORDER_EMPTY", Operator,
        "Order without products",
        "The order has no lines, so there is nothing to provision.",
        "Add products to the order, then set ActivationStatus Status back to Activating.";
    MappingMissing = "MAPPING_MISSING", SalesforceAdmin,
        "Product not mapped",
        "A product of the order lacks its WHMCS product number or its billing cycle.",
        "Fill in WHMCS_Product_Id__c and Billing_Cycle__c on the product, then set ActivationStatus Status back to Activating.";
    MappingInvalid = "MAPPING_INVALID", SalesforceAdmin,
        "Product mapping invalid",
        "A product's WHMCS product number, billing cycle or quantity is something WHMCS cannot sell, or the order's prices are in another currency than its WHMCS client is billed in.",
        "Correct the product, the cycle, the quantity or the currency, then set ActivationStatus Status back to Activating.";
    ClientNotLinked = "CLIENT_NOT_LINKED", SalesforceAdmin,
        "Account without WHMCS client",
        "The account has no WHMCS client, and orderbridge may not create one or lacks the data to.",
        "Fill in WHMCS_Client_ID__c on the account (or complete the bill-to contact where clients are created automatically), then set ActivationStatus Status back to Activating.";
    ClientNotFound = "CLIENT_NOT_FOUND", SalesforceAdmin,
        "WHMCS client not found",
        "WHMCS has no client with the number that stands on the account.",
        "Correct WHMCS_Client_ID__c on the account, then set ActivationStatus Status back to Activating.";
    ClientClosed = "CLIENT_CLOSED", WhmcsAdmin,
        "WHMCS client closed",
        "The account's WHMCS client is closed, and WHMCS takes no orders for it.",
        "Reopen the client in WHMCS or link the account to another one, then set ActivationStatus Status back to Activating.";
    WhmcsRejected = "WHMCS_REJECTED", WhmcsAdmin,
        "Refused by WHMCS",
        "WHMCS refused the order as such; nothing was created.",
        "Mend what WHMCS says, then set ActivationStatus Status back to Activating.";
    WhmcsConfig = "WHMCS_CONFIG", BridgeAdmin,
        "WHMCS refuses the bridge",
        "WHMCS does not accept the bridge's credential, address, role or settings.",
        "Mend the API credential, the allowed address, the API role or the payment method, then set ActivationStatus Status back to Activating.";
    WhmcsUnavailable = "WHMCS_UNAVAILABLE", WhmcsAdmin,
        "WHMCS not available",
        "WHMCS could not be reached, or answered that it is busy or in maintenance, for longer than one attempt may wait.",
        "Wait until WHMCS works again, then set ActivationStatus Status back to Activating.";
    WhmcsOutcomeUnknown = "WHMCS_OUTCOME_UNKNOWN", Operator,
        "Outcome in WHMCS unknown",
        "WHMCS did not answer a call that creates something, and afterwards it could not be told whether it was created.",
        "Look in WHMCS for the named order or service. Into the notes of a named order without a mark write the mark of the Salesforce order it was placed for, orderbridge:v1:ORG_ID:ORDER_ID (18 characters each); of an order placed by hand, orderbridge:v1:none. Then set ActivationStatus Status back to Activating: what exists is adopted, what does not is created.";
    WhmcsDuplicateFound = "WHMCS_DUPLICATE_FOUND", WhmcsAdmin,
        "More than one WHMCS order",
        "WHMCS holds several orders for this one Salesforce order.",
        "Decide which WHMCS order is right, cancel or delete the others or remove the orderbridge mark from their notes, then set ActivationStatus Status back to Activating.";
    WhmcsOrderMismatch = "WHMCS_ORDER_MISMATCH", WhmcsAdmin,
        "WHMCS order differs",
        "The WHMCS order is not what was asked for, or staff have ended it.",
        "Put the WHMCS order right; or, when it was ended on purpose, let orderbridge forget it. Then set ActivationStatus Status back to Activating.";
    WhmcsModuleFailed = "WHMCS_MODULE_FAILED", WhmcsAdmin,
        "Service not set up",
        "The WHMCS order exists, but a provisioning module could not set up a service.",
        "Mend what the module says (server, licence, name already taken), then set ActivationStatus Status back to Activating: only what is still pending is set up.";
    SalesforceRejected = "SALESFORCE_REJECTED", SalesforceAdmin,
        "Refused by Salesforce",
        "Salesforce refused to store the result on the order; what was created in WHMCS exists.",
        "Mend what Salesforce says (field access, validation rule, picklist value), then set ActivationStatus Status back to Activating: nothing is created twice.";
    SalesforceUnavailable = "SALESFORCE_UNAVAILABLE", SalesforceAdmin,
        "Salesforce not available",
        "Salesforce could not be reached for a long time.",
        "Wait until Salesforce works again, then set ActivationStatus Status back to Activating.";
    Internal = "INTERNAL", BridgeAdmin,
        "Internal error",
        "orderbridge met something it was not built for.",
        "Look up the correlation id in the logs of orderbridge and report what stands there.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no code of the closed list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no error code of orderbridge")]
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

/// A reason with its particulars. A value, not an error: it flows on to the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which reason.
    pub code: Code,
    /// What exactly, in plain words: the product, the value, WHMCS's own text. No secrets.
    pub detail: String,
}

impl Refusal {
    /// A reason with its particulars.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }

    /// The message for the operator: what happened, what to do, and the correlation id. At
    /// most [`MAX_MESSAGE`] characters; the detail is what gives way.
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
    fn codes_round_trip_and_every_one_is_explained() {
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
    fn a_message_says_what_happened_what_to_do_and_where_to_look() {
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
    fn a_long_message_keeps_its_remedy_and_fits_the_field() {
        let correlation = CorrelationId::new("c".repeat(80)).unwrap();
        let message = Refusal::new(Code::WhmcsModuleFailed, "ü".repeat(9000)).message(&correlation);
        assert_eq!(message.chars().count(), MAX_MESSAGE);
        assert!(message.contains("only what is still pending"));
        assert!(message.ends_with("c]"));
    }
}
