//! Hooks of the job store.

use std::time::Duration;

use async_trait::async_trait;
use domain::job::{Admission, Lease, NewJob};
use domain::key::{Channel, DeadLetterId, Owner};
use domain::ports::{
    Claimed, Cursor, DeadLetterView, Delivery, Epoch, EventIntake, Gap, JobQueue, JobUpdate,
    LeaderElection, Leadership, StoreError, Undecodable,
};
use operations::{
    AdminCommand, AdminCommands, Alert, AlertStore, AuditEntry, CommandResult, Pause,
};

hooks! {
    LeaderElectionHooks for LeaderElection, "store", StoreError {
        fn lead(channel: &Channel, owner: &Owner, ttl: Duration) -> Leadership, then led();
        fn resign(channel: &Channel, owner: &Owner) -> ();
    }
}

hooks! {
    EventIntakeHooks for EventIntake, "store", StoreError {
        fn cursor(channel: &Channel) -> Option<Cursor>;
        fn accept(delivery: &Delivery) -> Vec<Admission>;
        fn record_cursor_loss(channel: &Channel, epoch: Epoch, gap: &Gap) -> ();
        fn enqueue(jobs: &[NewJob]) -> Vec<Admission>;
        fn requested_redrives(channel: &Channel, limit: usize) -> Vec<DeadLetterView>;
        fn redrive(
            channel: &Channel,
            epoch: Epoch,
            dead_letter: DeadLetterId,
            read: &Result<NewJob, Undecodable>
        ) -> Admission, then redriven(dead_letter: DeadLetterId);
    }
}

hooks! {
    JobQueueHooks for JobQueue, "queue", StoreError {
        fn claim(owner: &Owner, limit: usize, ttl: Duration) -> Vec<Claimed>,
            then claimed(ttl: Duration);
        fn renew(leases: &[Lease], ttl: Duration) -> Vec<Lease>;
        fn update(lease: &Lease, update: &JobUpdate) -> ();
        waits wait_for_work(limit: Duration);
    }
}

hooks! {
    AdminCommandsHooks for AdminCommands, "store", StoreError {
        fn execute(command: &AdminCommand, by: &str, reason: &str) -> CommandResult;
        fn pauses() -> Vec<Pause>;
        fn audit(limit: usize) -> Vec<AuditEntry>;
    }
}

hooks! {
    AlertStoreHooks for AlertStore, "store", StoreError {
        fn save_alerts(watch: &Channel, epoch: Epoch, alerts: &[Alert]) -> ();
        fn alerts() -> Vec<Alert>;
    }
}
