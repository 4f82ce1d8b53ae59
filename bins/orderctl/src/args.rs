//! Arguments and value parsers that several commands share.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use domain::key::{Channel, ReplayId};
use job_store::StoreArgs;
use operations::JobStage;
use runtime::{DEFAULT_CHANNEL, event_channel};

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For reading. May change with any release.
    #[default]
    Table,
    /// One JSON value. Keys are only ever added to.
    Json,
    /// One JSON value a line.
    Jsonl,
}

/// The operator, and the reason of a command.
#[derive(Args, Clone, Debug)]
pub(crate) struct OperatorArgs {
    /// Reason, for the audit log
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) reason: String,
    /// Operator, for the audit log
    #[arg(long = "as", env = "USER", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) who: String,
}

/// Confirmation of a command.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Care {
    /// Print what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct OfChannel {
    /// Platform event channel
    #[arg(long, env = "SF_PROVISION_EVENT_CHANNEL", default_value = DEFAULT_CHANNEL, value_parser = event_channel)]
    pub(crate) channel: Channel,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

pub(crate) fn stage(text: &str) -> Result<JobStage, String> {
    JobStage::parse(text).ok_or_else(|| {
        let names = JobStage::ALL.map(JobStage::name);
        format!("give one of {}", names.join(", "))
    })
}

pub(crate) fn replay_id(text: &str) -> Result<ReplayId, String> {
    let bytes = hex::decode(text).ok();
    bytes
        .and_then(ReplayId::new)
        .ok_or_else(|| "give a replay id in hexadecimal, as `cursor show` prints it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replay_id_is_hex_with_whole_bytes() {
        assert_eq!(replay_id("00ff").unwrap().as_bytes(), [0, 255]);
        for text in ["", "0", "zz", "0x10", "ü"] {
            assert!(replay_id(text).is_err(), "{text}");
        }
    }
}
