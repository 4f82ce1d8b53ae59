//! The whole job store.

use domain::ports::{EventIntake, JobQueue, LeaderElection};

use crate::{
    AdminCommands, AlertStore, EventViews, OperatorSessions, OrderViews, ProcessRegistry, Pruner,
    Statistics, StoreHealth,
};

/// Every port of a job store, for composition roots and operator tools. Code that uses the store takes
/// the ports it needs: `Arc<dyn JobStore>` coerces to each of them.
pub trait JobStore:
    LeaderElection
    + EventIntake
    + JobQueue
    + AdminCommands
    + Pruner
    + ProcessRegistry
    + AlertStore
    + OperatorSessions
    + OrderViews
    + EventViews
    + Statistics
    + StoreHealth
{
}

impl<S> JobStore for S where
    S: LeaderElection
        + EventIntake
        + JobQueue
        + AdminCommands
        + Pruner
        + ProcessRegistry
        + AlertStore
        + OperatorSessions
        + OrderViews
        + EventViews
        + Statistics
        + StoreHealth
{
}
