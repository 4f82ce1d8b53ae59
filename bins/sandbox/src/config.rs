//! Settings of the sandbox.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Parser;
use runtime::LogArgs;
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
    /// Port of the Salesforce Pub/Sub API (gRPC).
    #[arg(long, env = "SANDBOX_PUBSUB_PORT", default_value_t = 9202)]
    pub pubsub_port: u16,
    /// Port of WHMCS.
    #[arg(long, env = "SANDBOX_WHMCS_PORT", default_value_t = 9203)]
    pub whmcs_port: u16,
    /// Folder of WHMCS below the root of its server, such as `billing`.
    #[arg(
        long,
        env = "SANDBOX_WHMCS_FOLDER",
        default_value = "",
        hide_default_value = true
    )]
    pub whmcs_folder: String,
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
    /// Address to listen on: 0.0.0.0 for every one, in a container.
    #[arg(long, env = "SANDBOX_BIND", default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// Name of this machine in the URLs that clients are told, and in the certificate. Without it the
    /// address of `--bind`.
    #[arg(long, env = "SANDBOX_HOST")]
    pub host: Option<String>,
    /// Speaks TLS on every port but the control API's, with a certificate made for this run unless
    /// one is given.
    #[arg(long, env = "SANDBOX_TLS")]
    pub tls: bool,
    /// Certificate chain (PEM) to use with TLS.
    #[arg(
        long,
        env = "SANDBOX_TLS_CERT",
        requires = "tls_key",
        value_name = "FILE"
    )]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate.
    #[arg(
        long,
        env = "SANDBOX_TLS_KEY",
        requires = "tls_cert",
        value_name = "FILE"
    )]
    pub tls_key: Option<PathBuf>,
    /// File for the certificate (PEM) that clients must trust, for SF_CA_FILE and WHMCS_CA_FILE.
    #[arg(
        long,
        env = "SANDBOX_CA_OUT",
        default_value = "data/sandbox-ca.pem",
        value_name = "FILE"
    )]
    pub ca_out: PathBuf,
    /// File for the settings of the bridge, as a shell and systemd read them.
    #[arg(long, env = "SANDBOX_ENV_FILE", value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Data to add at the start, TOML or JSON by the file's ending: docs/SANDBOX.md.
    #[arg(long, env = "SANDBOX_SEED_FILE", value_name = "FILE")]
    pub seed_file: Option<PathBuf>,
    /// Snapshot (JSON) to start from if the file exists, and to write when the sandbox is stopped.
    #[arg(long, env = "SANDBOX_STATE_FILE", value_name = "FILE")]
    pub state_file: Option<PathBuf>,
    /// File for the private key (PEM), for SF_PRIVATE_KEY_FILE; valid for this sandbox only.
    #[arg(
        long,
        env = "SANDBOX_KEY_OUT",
        default_value = "data/sandbox-key.pem",
        value_name = "FILE"
    )]
    pub key_out: PathBuf,
    /// How requests are logged.
    #[command(flatten)]
    pub logs: LogArgs,
}

impl Config {
    /// Whether clients must use TLS.
    pub(crate) fn uses_tls(&self) -> bool {
        self.tls || self.tls_cert.is_some()
    }
}

fn control_docs() -> String {
    format!("Control API:\n{DOCS}")
}
