//! Arguments and value parsers that several commands share.

use std::time::Duration;

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
    #[arg(long, env = "SF_PROVISION_EVENT_CHANNEL", default_value = DEFAULT_CHANNEL, value_parser = channel)]
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

pub(crate) fn channel(text: &str) -> Result<Channel, String> {
    event_channel(text).ok_or_else(|| format!("give a channel such as {DEFAULT_CHANNEL}"))
}

pub(crate) fn replay_id(text: &str) -> Result<ReplayId, String> {
    let bytes = hex::decode(text).ok();
    bytes
        .and_then(ReplayId::new)
        .ok_or_else(|| "give a replay id in hexadecimal, as `cursor show` prints it".to_owned())
}

/// Parses a duration as settings do, and days.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let days = text.trim().strip_suffix('d');
    let days = days.and_then(|days| days.parse::<u32>().ok());
    days.map(|days| Duration::from_secs(u64::from(days) * 86_400))
        .or_else(|| settings::duration(text))
        .ok_or_else(|| "give a duration such as 90s, 5m, 2h or 90d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_may_be_days() {
        assert_eq!(duration("90d"), Ok(Duration::from_secs(7_776_000)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert!(duration("d").is_err() && duration("-1d").is_err() && duration("5").is_err());
    }

    #[test]
    fn replay_id_is_hex_with_whole_bytes() {
        assert_eq!(replay_id("00ff").unwrap().as_bytes(), [0, 255]);
        for text in ["", "0", "zz", "0x10", "ü"] {
            assert!(replay_id(text).is_err(), "{text}");
        }
    }
}
