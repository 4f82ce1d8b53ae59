//! Settings of the sandbox.

use std::path::PathBuf;

use clap::Parser;
use simulators::DOCS;

/// Settings of the sandbox, as flags or environment variables.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "sandbox",
    version,
    about = "Simulated Salesforce (OAuth, REST, Pub/Sub) and WHMCS on local ports",
    after_long_help = control_docs()
)]
pub struct Config {
    /// Port of Salesforce OAuth and REST; 0 for any free one.
    #[arg(long, env = "SANDBOX_SALESFORCE_PORT", default_value_t = 9201)]
    pub salesforce_port: u16,
    /// Port of the Salesforce Pub/Sub API (gRPC without TLS).
    #[arg(long, env = "SANDBOX_PUBSUB_PORT", default_value_t = 9202)]
    pub pubsub_port: u16,
    /// Port of WHMCS.
    #[arg(long, env = "SANDBOX_WHMCS_PORT", default_value_t = 9203)]
    pub whmcs_port: u16,
    /// Port of the control API.
    #[arg(long, env = "SANDBOX_CONTROL_PORT", default_value_t = 9204)]
    pub control_port: u16,
    /// Seed of all randomness.
    #[arg(long, env = "SANDBOX_SEED", default_value_t = 7)]
    pub seed: u64,
    /// Products in both systems.
    #[arg(long, env = "SANDBOX_PRODUCTS", default_value_t = 4)]
    pub products: usize,
    /// Accounts, each with its WHMCS client.
    #[arg(long, env = "SANDBOX_ACCOUNTS", default_value_t = 3)]
    pub accounts: usize,
    /// File for the private key (PEM), for SF_PRIVATE_KEY_FILE; valid for this sandbox only.
    #[arg(long, env = "SANDBOX_KEY_OUT", default_value = "data/sandbox-key.pem")]
    pub key_out: PathBuf,
}

fn control_docs() -> String {
    format!("Control API:\n{DOCS}")
}
