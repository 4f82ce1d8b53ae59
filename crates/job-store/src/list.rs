//! The row of an order in the list: how facts change it, and the conditions of a query. The
//! statements are the same on either engine but for the casts that only one needs.

use domain::id::Id;
use domain::order::Fact;
use operations::{JobStage, OrderNames, OrderQuery};

/// Finds an order to which something happened since its retry was about to be requested.
macro_rules! moved_on {
    () => {
        "SELECT 1 FROM orders WHERE order_id = $1 AND updated_at > coalesce(
             (SELECT at FROM audit WHERE act = 'ask_again' AND subject = $1
              ORDER BY seq DESC LIMIT 1), 0)"
    };
}
pub(crate) use moved_on;

/// The change that facts make to an order's row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) number: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) whmcs_order: Option<i64>,
    /// The failure afterwards; `Some(None)` clears it.
    pub(crate) code: Option<Option<&'static str>>,
    pub(crate) attempts: i64,
}

impl Change {
    /// `None` when no fact changes the row.
    pub(crate) fn of(facts: &[Fact]) -> Option<Self> {
        if !facts.iter().any(Fact::is_listed) {
            return None;
        }
        let mut change = Self::default();
        for fact in facts {
            match fact {
                Fact::Checked {
                    number, account, ..
                } => {
                    // Text from Salesforce may hold a NUL, which PostgreSQL cannot store.
                    let shown = number.as_ref().map(|text| text.replace('\0', "\u{fffd}"));
                    change.number = shown.or(change.number);
                    change.account = account
                        .map(|account| account.as_str().to_owned())
                        .or(change.account);
                    change.code = Some(None);
                    change.attempts += 1;
                }
                Fact::Placed { order } => {
                    change.whmcs_order = Some(number(order.0));
                }
                Fact::Refused(refusal) => change.code = Some(Some(refusal.code.as_str())),
                _ => {}
            }
        }
        Some(change)
    }
}

/// The conditions of a query; `None` matches everything.
pub(crate) struct Filter {
    /// `live`, or the last job's outcome.
    pub(crate) stage: Option<&'static str>,
    /// Of live orders: whether a job of theirs is leased.
    pub(crate) leased: Option<bool>,
    pub(crate) code: Option<&'static str>,
    pub(crate) names: Option<OrderNames>,
    pub(crate) after: Option<(i64, String)>,
    pub(crate) limit: i64,
}

impl Filter {
    pub(crate) fn of(query: &OrderQuery) -> Self {
        let after = query.after.map(|(at, order)| (at.as_millis(), text(order)));
        Self {
            stage: query.stage.map(|stage| match stage {
                JobStage::Queued | JobStage::Leased => "live",
                JobStage::Ended(outcome) => outcome.name(),
            }),
            leased: match query.stage {
                Some(JobStage::Queued) => Some(false),
                Some(JobStage::Leased) => Some(true),
                _ => None,
            },
            code: query.code.map(domain::failure::Code::as_str),
            names: query.names(),
            after,
            limit: i64::try_from(query.limit).unwrap_or(i64::MAX),
        }
    }

    /// The statement, with only those conditions that the query has, and the values of its
    /// parameters in their sequence: `$1`, `$2`, …
    pub(crate) fn statement(&self) -> (String, Vec<Value>) {
        let mut values = Vec::new();
        let mut conditions = Vec::new();
        let mut bind = |value: Value| {
            values.push(value);
            format!("${}", values.len())
        };
        if let Some(stage) = self.stage {
            conditions.push(format!("stage = {}", bind(Value::Text(stage.to_owned()))));
        }
        if let Some(leased) = self.leased {
            conditions.push(format!("{}{LEASED}", if leased { "" } else { "NOT " }));
        }
        if let Some(code) = self.code {
            conditions.push(format!("code = {}", bind(Value::Text(code.to_owned()))));
        }
        if let Some(names) = &self.names {
            let mut either = vec![format!(
                "number = {}",
                bind(Value::Text(names.number.clone()))
            )];
            if let Some(order) = names.order {
                either.push(format!("order_id = {}", bind(Value::Text(text(order)))));
            }
            if let Some(account) = names.account {
                either.push(format!("account = {}", bind(Value::Text(text(account)))));
            }
            if let Some(order) = names.whmcs_order {
                let order = bind(Value::Int(number(order.0)));
                either.push(format!("whmcs_order = {order}"));
            }
            conditions.push(format!("({})", either.join(" OR ")));
        }
        if let Some((at, order)) = &self.after {
            let (at, order) = (bind(Value::Int(*at)), bind(Value::Text(order.clone())));
            conditions.push(format!("(updated_at, order_id) < ({at}, {order})"));
        }
        let condition = match conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", conditions.join(" AND ")),
        };
        let limit = bind(Value::Int(self.limit));
        let text = format!(
            "SELECT order_id, number, account, whmcs_order, code, attempts, updated_at, handled_by,
                 handled_why, handled_at,
                 CASE WHEN {LEASED} THEN 'leased' WHEN stage = 'live' OR {QUEUED} THEN 'queued'
                     ELSE stage END AS stage
             FROM orders{condition} ORDER BY updated_at DESC, order_id DESC LIMIT {limit}"
        );
        (text, values)
    }
}

const LEASED: &str =
    "EXISTS (SELECT 1 FROM job WHERE job.order_id = orders.order_id AND job.state = 'leased')";

const QUEUED: &str =
    "EXISTS (SELECT 1 FROM job WHERE job.order_id = orders.order_id AND job.state = 'queued')";

/// A number as the stores keep it.
pub(crate) fn number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}

/// A value for a statement.
pub(crate) enum Value {
    Int(i64),
    Text(String),
}

fn text<K>(id: Id<K>) -> String {
    id.as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::failure::{Code, Refusal};
    use domain::key::{JobId, WhmcsOrderId};

    #[test]
    fn new_attempt_clears_failure_and_later_failure_is_kept() {
        let checked = Fact::Checked {
            job: JobId::new("j").unwrap(),
            idem_key: None,
            number: Some("7".to_owned()),
            account: None,
        };
        let change = Change::of(std::slice::from_ref(&checked)).unwrap();
        assert_eq!((change.code, change.attempts), (Some(None), 1));
        let refused = Fact::Refused(Refusal::new(Code::OrderEmpty, "no products"));
        let change = Change::of(&[checked, refused]).unwrap();
        assert_eq!(change.code, Some(Some("ORDER_EMPTY")));
        assert_eq!(change.number.as_deref(), Some("7"));
        assert_eq!(Change::of(&[Fact::NotPlaced]), None);
        let order = WhmcsOrderId(3);
        let change = Change::of(&[Fact::Placed { order }]).unwrap();
        assert_eq!((change.whmcs_order, change.code), (Some(3), None));
    }
}
