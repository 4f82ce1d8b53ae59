//! Orders and their jobs.

use std::time::Duration;

use clap::{Args, Subcommand};
use domain::failure::Code;
use domain::ports::JobStage;
use job_store::StoreArgs;

use super::{Care, Person, duration, stage};
use crate::connect::{Crm, Outside};

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum OrdersVerb {
    /// Orders, those with the newest activity first
    #[command(
        after_help = "Example:\n  orderctl orders list --code WHMCS_OUTCOME_UNKNOWN -o jsonl"
    )]
    List(OrdersList),
    /// One order with its jobs and its timeline
    #[command(after_help = "Example:\n  orderctl orders show 801000000000001AAA")]
    Show(OneOrder),
    /// One order's timeline as it grows, until its last job has ended
    #[command(
        after_help = "Exit code 0 when the order succeeded, 1 when it ended otherwise or the time was up.\n\nExample:\n  orderctl orders follow 00000100 --timeout 5m"
    )]
    Follow(FollowOrder),
    /// The calls to WHMCS and the fields in Salesforce that provisioning it would produce
    #[command(
        after_help = "Writes nothing.\n\nExample:\n  orderctl orders plan 801000000000001AAA"
    )]
    Plan(PlanOrder),
    /// Allow a new WHMCS order after staff ended ours
    #[command(
        after_help = "Refused while the order is live in WHMCS: that would place it twice.\n\nExample:\n  orderctl orders forget-whmcs 00000100 --reason 'cancelled by mistake' --yes"
    )]
    ForgetWhmcs(ForgetWhmcs),
    /// Ask Salesforce for another attempt at an order that failed
    #[command(
        after_help = "Sets Activation_Status__c back to Activating; the Flow makes the event. An order that has not failed is left alone.\n\nExit code 1 when Salesforce did not do it, or the order has not failed.\n\nExample:\n  orderctl orders retry 00000100 --reason 'mapping mended' --yes"
    )]
    Retry(RetryOrder),
    /// Mark an order as seen to, until it is asked for again
    #[command(after_help = "Example:\n  orderctl orders handle 00000100 --reason 'customer told'")]
    Handle(HandleOrder),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct OrdersList {
    /// Last job is queued, leased, succeeded, failed, skipped or superseded
    #[arg(long, value_parser = stage)]
    pub(crate) state: Option<JobStage>,
    /// Refused with this error code
    #[arg(long, value_parser = |text: &str| text.parse::<Code>())]
    pub(crate) code: Option<Code>,
    /// Known by exactly this: Salesforce order id or number, WHMCS order id, account id
    #[arg(long)]
    pub(crate) search: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct OneOrder {
    /// Salesforce order id or number, or WHMCS order id
    pub(crate) order: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct FollowOrder {
    #[command(flatten)]
    pub(crate) one: OneOrder,
    /// Stop after so long
    #[arg(long, value_parser = duration, default_value = "10m")]
    pub(crate) timeout: Duration,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PlanOrder {
    #[command(flatten)]
    pub(crate) one: OneOrder,
    #[command(flatten)]
    pub(crate) outside: Outside,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ForgetWhmcs {
    #[command(flatten)]
    pub(crate) one: OneOrder,
    /// The WHMCS order to forget [default: the one that the store knows]
    #[arg(long)]
    pub(crate) whmcs_order: Option<u64>,
    #[command(flatten)]
    pub(crate) outside: Outside,
    #[command(flatten)]
    pub(crate) person: Person,
    #[command(flatten)]
    pub(crate) care: Care,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RetryOrder {
    #[command(flatten)]
    pub(crate) one: OneOrder,
    #[command(flatten)]
    pub(crate) crm: Crm,
    #[command(flatten)]
    pub(crate) person: Person,
    #[command(flatten)]
    pub(crate) care: Care,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct HandleOrder {
    #[command(flatten)]
    pub(crate) one: OneOrder,
    #[command(flatten)]
    pub(crate) person: Person,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum JobsVerb {
    /// Jobs, newest first
    #[command(after_help = "Example:\n  orderctl jobs list --limit 10")]
    List(JobsList),
    /// One job
    #[command(after_help = "Example:\n  orderctl jobs show event:3f6b")]
    Show(OneJob),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct JobsList {
    /// queued, leased, succeeded, failed, skipped or superseded
    #[arg(long, value_parser = stage)]
    pub(crate) state: Option<JobStage>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct OneJob {
    /// Its id
    pub(crate) job: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
