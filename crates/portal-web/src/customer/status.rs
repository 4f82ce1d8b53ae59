//! The customer's view of an order: a pure function of Salesforce's last answer and the
//! store's current row.

use domain::id::{AccountId, OrderId};
use domain::job::JobOutcome;
use domain::order::{ActivationStatus, BusinessStatus, CustomerOrder};
use domain::time::Timestamp;
use operations::{JobStage, OrderRow};
use serde::Serialize;

/// The status of an order as customers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) enum Status {
    #[serde(rename = "Pending Review")]
    PendingReview,
    Approved,
    Activating,
    Provisioned,
    Failed,
    Cancelled,
}

impl Status {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::PendingReview => "Pending Review",
            Self::Approved => "Approved",
            Self::Activating => "Activating",
            Self::Provisioned => "Provisioned",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// Whether the status will not change without intervention.
    pub(crate) const fn is_final(self) -> bool {
        matches!(self, Self::Provisioned | Self::Failed | Self::Cancelled)
    }

    fn of_crm(order: &CustomerOrder) -> Self {
        if order.status == BusinessStatus::Cancelled {
            return Self::Cancelled;
        }
        match order.activation {
            ActivationStatus::Activating => Self::Activating,
            ActivationStatus::Activated => Self::Provisioned,
            ActivationStatus::Failed => Self::Failed,
            ActivationStatus::NotRequested | ActivationStatus::Other(_) => match order.status {
                BusinessStatus::Pending => Self::PendingReview,
                BusinessStatus::Approved => Self::Approved,
                BusinessStatus::Provisioned => Self::Provisioned,
                BusinessStatus::Failed => Self::Failed,
                BusinessStatus::Cancelled => Self::Cancelled,
            },
        }
    }

    /// The status by the last job; `None` when that had nothing to do.
    const fn of_store(row: &OrderRow) -> Option<Self> {
        match row.stage {
            JobStage::Queued | JobStage::Leased => Some(Self::Activating),
            JobStage::Ended(JobOutcome::Succeeded) => Some(Self::Provisioned),
            JobStage::Ended(JobOutcome::Failed) => Some(Self::Failed),
            JobStage::Ended(JobOutcome::Skipped | JobOutcome::Superseded) => None,
        }
    }
}

/// An order as read from Salesforce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CrmSnapshot {
    pub(crate) order: CustomerOrder,
    pub(crate) read_at: Timestamp,
}

/// The view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) id: OrderId,
    pub(crate) account: AccountId,
    pub(crate) number: Option<String>,
    pub(crate) status: Status,
    pub(crate) updated_at: Timestamp,
    /// When the status was last confirmed.
    pub(crate) as_of: Timestamp,
}

/// Merges both sources: the newer one wins, except that a cancelled order stays cancelled.
/// `None` when the status or the account is unknown.
pub(crate) fn view(
    order: OrderId,
    snapshot: Option<&CrmSnapshot>,
    row: Option<&OrderRow>,
    now: Timestamp,
) -> Option<View> {
    let Some(snapshot) = snapshot else {
        let row = row?;
        return Some(View {
            id: order,
            account: row.account?,
            number: row.number.clone(),
            status: Status::of_store(row)?,
            updated_at: row.updated_at,
            as_of: now,
        });
    };
    let of_crm = Status::of_crm(&snapshot.order);
    let newer = row
        .filter(|row| row.updated_at > snapshot.read_at && of_crm != Status::Cancelled)
        .and_then(|row| Some((Status::of_store(row)?, row.updated_at)));
    let (status, updated_at, as_of) = match newer {
        Some((status, at)) if status != of_crm => (status, at, now),
        Some(_) => (of_crm, snapshot.order.updated_at, now),
        None => (of_crm, snapshot.order.updated_at, snapshot.read_at),
    };
    Some(View {
        id: order,
        account: snapshot.order.account,
        number: snapshot.order.number.clone(),
        status,
        updated_at,
        as_of,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::order_id;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn snapshot(status: BusinessStatus, activation: ActivationStatus) -> CrmSnapshot {
        CrmSnapshot {
            order: CustomerOrder {
                id: order_id(1),
                account: AccountId::parse("001000000000001").unwrap(),
                number: Some("00000101".to_owned()),
                status,
                activation,
                updated_at: at(50),
            },
            read_at: at(100),
        }
    }

    fn row(stage: JobStage, updated_at: i64) -> OrderRow {
        OrderRow {
            order: order_id(1),
            number: None,
            account: AccountId::parse("001000000000001").ok(),
            whmcs_order: None,
            stage,
            code: None,
            attempts: 1,
            updated_at: at(updated_at),
            handled: None,
        }
    }

    fn status_at(snapshot: Option<&CrmSnapshot>, row: Option<&OrderRow>) -> Option<(Status, i64)> {
        view(order_id(1), snapshot, row, at(900)).map(|view| (view.status, view.as_of.as_millis()))
    }

    #[test]
    fn status_is_serialized_by_name() {
        for status in [Status::PendingReview, Status::Approved, Status::Failed] {
            assert_eq!(serde_json::json!(status), status.name());
        }
    }

    #[test]
    fn activation_status_decides_unless_order_is_cancelled() {
        use BusinessStatus as B;
        for (status, activation, expected) in [
            (
                B::Pending,
                ActivationStatus::NotRequested,
                Status::PendingReview,
            ),
            (
                B::Approved,
                ActivationStatus::NotRequested,
                Status::Approved,
            ),
            (
                B::Approved,
                ActivationStatus::Activating,
                Status::Activating,
            ),
            (B::Failed, ActivationStatus::Activating, Status::Activating),
            (
                B::Approved,
                ActivationStatus::Activated,
                Status::Provisioned,
            ),
            (B::Approved, ActivationStatus::Failed, Status::Failed),
            (B::Cancelled, ActivationStatus::Activated, Status::Cancelled),
            (
                B::Approved,
                ActivationStatus::Other("Not Started".to_owned()),
                Status::Approved,
            ),
        ] {
            assert_eq!(
                status_at(Some(&snapshot(status, activation)), None),
                Some((expected, 100))
            );
        }
    }

    #[test]
    fn later_store_fact_is_served_at_once() {
        let activating = snapshot(BusinessStatus::Approved, ActivationStatus::Activating);
        let ended = JobStage::Ended(JobOutcome::Succeeded);
        assert_eq!(
            status_at(Some(&activating), Some(&row(ended, 101))),
            Some((Status::Provisioned, 900))
        );
        assert_eq!(
            status_at(Some(&activating), Some(&row(ended, 99))),
            Some((Status::Activating, 100))
        );
        let skipped = JobStage::Ended(JobOutcome::Skipped);
        assert_eq!(
            status_at(Some(&activating), Some(&row(skipped, 101))),
            Some((Status::Activating, 100))
        );
        let cancelled = snapshot(BusinessStatus::Cancelled, ActivationStatus::Activating);
        assert_eq!(
            status_at(Some(&cancelled), Some(&row(ended, 101))),
            Some((Status::Cancelled, 100))
        );
    }

    #[test]
    fn store_only_answer_needs_known_account() {
        let failed = row(JobStage::Ended(JobOutcome::Failed), 10);
        assert_eq!(status_at(None, Some(&failed)), Some((Status::Failed, 900)));
        let without_account = OrderRow {
            account: None,
            ..failed
        };
        assert_eq!(status_at(None, Some(&without_account)), None);
        assert_eq!(status_at(None, None), None);
    }
}
