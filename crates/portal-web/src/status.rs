//! What a customer is told of an order: a pure function of what Salesforce said last and of
//! what the store knows now.

use domain::id::{AccountId, OrderId};
use domain::job::JobOutcome;
use domain::order::{ActivationStatus, BusinessStatus, CustomerOrder};
use domain::ports::{JobStage, OrderRow};
use domain::time::Timestamp;
use serde::Serialize;

/// Where an order stands, in a customer's words.
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

    /// Whether nothing more happens by itself.
    pub(crate) const fn is_end(self) -> bool {
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

    /// What the last job tells; an attempt that found nothing to do tells nothing.
    const fn of_store(row: &OrderRow) -> Option<Self> {
        match row.stage {
            JobStage::Queued | JobStage::Leased => Some(Self::Activating),
            JobStage::Ended(JobOutcome::Succeeded) => Some(Self::Provisioned),
            JobStage::Ended(JobOutcome::Failed) => Some(Self::Failed),
            JobStage::Ended(JobOutcome::Skipped | JobOutcome::Superseded) => None,
        }
    }
}

/// An order as Salesforce showed it, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) order: CustomerOrder,
    pub(crate) at: Timestamp,
}

/// An order as its customer may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) id: OrderId,
    pub(crate) account: AccountId,
    pub(crate) number: Option<String>,
    pub(crate) status: Status,
    pub(crate) updated_at: Timestamp,
    /// How old the knowledge is.
    pub(crate) as_of: Timestamp,
}

/// Puts both together: the store wins where it knows something newer, except that an order
/// that was called off stays called off. `None`: neither knows enough to say anything to
/// anybody, or whose order it is.
pub(crate) fn view(
    order: OrderId,
    seen: Option<&Seen>,
    row: Option<&OrderRow>,
    now: Timestamp,
) -> Option<View> {
    let Some(seen) = seen else {
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
    let of_crm = Status::of_crm(&seen.order);
    let newer = row
        .filter(|row| row.updated_at > seen.at && of_crm != Status::Cancelled)
        .and_then(|row| Some((Status::of_store(row)?, row.updated_at)));
    let (status, updated_at, as_of) = match newer {
        Some((status, at)) if status != of_crm => (status, at, now),
        Some(_) => (of_crm, seen.order.updated_at, now),
        None => (of_crm, seen.order.updated_at, seen.at),
    };
    Some(View {
        id: order,
        account: seen.order.account,
        number: seen.order.number.clone(),
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

    fn seen(status: BusinessStatus, activation: ActivationStatus) -> Seen {
        Seen {
            order: CustomerOrder {
                id: order_id(1),
                account: AccountId::parse("001000000000001").unwrap(),
                number: Some("00000101".to_owned()),
                status,
                activation,
                updated_at: at(50),
            },
            at: at(100),
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

    fn told(seen: Option<&Seen>, row: Option<&OrderRow>) -> Option<(Status, i64)> {
        view(order_id(1), seen, row, at(900)).map(|view| (view.status, view.as_of.as_millis()))
    }

    #[test]
    fn a_status_is_written_as_it_is_named() {
        for status in [Status::PendingReview, Status::Approved, Status::Failed] {
            assert_eq!(serde_json::json!(status), status.name());
        }
    }

    #[test]
    fn the_activation_decides_while_it_is_set_and_a_cancelled_order_is_cancelled() {
        use BusinessStatus as B;
        for (status, activation, expected) in [
            (B::Pending, ActivationStatus::NotRequested, Status::PendingReview),
            (B::Approved, ActivationStatus::NotRequested, Status::Approved),
            (B::Approved, ActivationStatus::Activating, Status::Activating),
            (B::Failed, ActivationStatus::Activating, Status::Activating),
            (B::Approved, ActivationStatus::Activated, Status::Provisioned),
            (B::Approved, ActivationStatus::Failed, Status::Failed),
            (B::Cancelled, ActivationStatus::Activated, Status::Cancelled),
            (
                B::Approved,
                ActivationStatus::Other("Not Started".to_owned()),
                Status::Approved,
            ),
        ] {
            assert_eq!(
                told(Some(&seen(status, activation)), None),
                Some((expected, 100))
            );
        }
    }

    #[test]
    fn what_the_store_learnt_later_is_told_at_once() {
        let activating = seen(BusinessStatus::Approved, ActivationStatus::Activating);
        let ended = JobStage::Ended(JobOutcome::Succeeded);
        assert_eq!(
            told(Some(&activating), Some(&row(ended, 101))),
            Some((Status::Provisioned, 900))
        );
        assert_eq!(
            told(Some(&activating), Some(&row(ended, 99))),
            Some((Status::Activating, 100))
        );
        let skipped = JobStage::Ended(JobOutcome::Skipped);
        assert_eq!(
            told(Some(&activating), Some(&row(skipped, 101))),
            Some((Status::Activating, 100))
        );
        let cancelled = seen(BusinessStatus::Cancelled, ActivationStatus::Activating);
        assert_eq!(
            told(Some(&cancelled), Some(&row(ended, 101))),
            Some((Status::Cancelled, 100))
        );
    }

    #[test]
    fn the_store_alone_tells_what_it_knows_if_it_knows_whose_order_it_is() {
        let failed = row(JobStage::Ended(JobOutcome::Failed), 10);
        assert_eq!(told(None, Some(&failed)), Some((Status::Failed, 900)));
        let nobodys = OrderRow {
            account: None,
            ..failed
        };
        assert_eq!(told(None, Some(&nobodys)), None);
        assert_eq!(told(None, None), None);
    }
}
