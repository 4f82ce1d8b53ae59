//! Arguments of the adoption of WHMCS orders.

use app::SystemArgs;
use clap::Args;
use domain::id::OrderId;
use job_store::StoreArgs;

use crate::args::OperatorArgs;

#[derive(Args, Clone, Debug)]
pub(crate) struct Adopt {
    /// Write the markers
    #[arg(long)]
    pub(crate) apply: bool,
    /// Compare at most so many orders
    #[arg(long, default_value_t = 1000)]
    pub(crate) limit: usize,
    /// Start after this Salesforce order id
    #[arg(long, value_name = "ORDER", value_parser = |text: &str| OrderId::parse(text))]
    pub(crate) after: Option<OrderId>,
    #[command(flatten)]
    pub(crate) operator: OperatorArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) systems: SystemArgs,
}
