//! Commands on orders and jobs.

use std::time::Duration;

use clap::{Args, Subcommand};
use domain::failure::Code;
use job_store::StoreArgs;
use operations::JobStage;

use crate::args::{Care, OperatorArgs, stage};
use app::{CrmArgs, SystemArgs};

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum OrdersVerb {
    /// Orders, last updated first
    #[command(
        after_help = "Example:\n  orderctl orders list --code WHMCS_OUTCOME_UNKNOWN -o jsonl"
    )]
    List(OrdersList),
    /// One order with its jobs and its timeline
    #[command(after_help = "Example:\n  orderctl orders show 801000000000001AAA")]
    Show(OneOrder),
    /// Follow one order's timeline until its last job has finished
    #[command(
        after_help = "Exit code 0 when the order succeeded, 1 when it ended otherwise or timed out.\n\nExample:\n  orderctl orders follow 00000100 --timeout 5m"
    )]
    Follow(FollowOrder),
    /// The calls to WHMCS and the fields in Salesforce that provisioning would produce
    #[command(
        after_help = "Writes nothing.\n\nExample:\n  orderctl orders plan 801000000000001AAA"
    )]
    Plan(PlanOrder),
    /// Allow a new WHMCS order after staff cancelled ours
    #[command(
        after_help = "Refused while the order is live in WHMCS: that would place it twice.\n\nExample:\n  orderctl orders forget-whmcs 00000100 --reason 'cancelled by mistake' --yes"
    )]
    ForgetWhmcs(ForgetWhmcs),
    /// Request another attempt for a failed order in Salesforce
    #[command(
        after_help = "Sets Activation_Status__c back to Activating; the Flow publishes the event. Orders that have not failed are not changed.\n\nExit code 1 when Salesforce did not accept it, or the order has not failed.\n\nExample:\n  orderctl orders retry 00000100 --reason 'mapping fixed' --yes"
    )]
    Retry(RetryOrder),
    /// Acknowledge a failed order, until its next attempt
    #[command(
        after_help = "Example:\n  orderctl orders handle 00000100 --reason 'customer informed'"
    )]
    Handle(HandleOrder),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct OrdersList {
    /// Last job is queued, leased, succeeded, failed, skipped or superseded
    #[arg(long, value_parser = stage)]
    pub(crate) state: Option<JobStage>,
    /// Failed with this error code
    #[arg(long, value_parser = |text: &str| text.parse::<Code>())]
    pub(crate) code: Option<Code>,
    /// Exact match: Salesforce order id or number, WHMCS order id, account id
    #[arg(long)]
    pub(crate) search: Option<String>,
    /// Maximum number of rows
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
    /// Stop after this time
    #[arg(long, value_parser = settings::duration, default_value = "10m")]
    pub(crate) timeout: Duration,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PlanOrder {
    #[command(flatten)]
    pub(crate) one: OneOrder,
    #[command(flatten)]
    pub(crate) systems: SystemArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ForgetWhmcs {
    #[command(flatten)]
    pub(crate) one: OneOrder,
    /// The WHMCS order to forget [default: the recorded one]
    #[arg(long)]
    pub(crate) whmcs_order: Option<u64>,
    #[command(flatten)]
    pub(crate) systems: SystemArgs,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    #[command(flatten)]
    pub(crate) care: Care,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RetryOrder {
    #[command(flatten)]
    pub(crate) one: OneOrder,
    #[command(flatten)]
    pub(crate) crm: CrmArgs,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    #[command(flatten)]
    pub(crate) care: Care,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct HandleOrder {
    #[command(flatten)]
    pub(crate) one: OneOrder,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    /// Print what would be done, and change nothing
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
    /// Maximum number of rows
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct OneJob {
    /// Job id
    pub(crate) job: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
