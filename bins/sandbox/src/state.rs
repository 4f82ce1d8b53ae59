//! Data that the sandbox starts with, and the state it keeps.

use std::io::ErrorKind;

use anyhow::{Context, anyhow};
use simulators::{Seed, World};

use crate::{Config, files};

/// Adds the data of the seed file.
pub(crate) fn seed(config: &Config, world: &World) -> anyhow::Result<()> {
    let Some(file) = &config.seed_file else {
        return Ok(());
    };
    let place = || format!("SANDBOX_SEED_FILE: {}", file.display());
    let text = std::fs::read_to_string(file).with_context(place)?;
    let is_json = file.extension().is_some_and(|ending| ending == "json");
    let seed: Seed = match is_json {
        true => serde_json::from_str(&text).with_context(place)?,
        false => toml::from_str(&text).with_context(place)?,
    };
    world.seed(seed).with_context(place)?;
    Ok(())
}

/// Starts from the state of the last run, if there is one.
pub(crate) fn load(config: &Config, world: &World) -> anyhow::Result<()> {
    let Some(file) = &config.state_file else {
        return Ok(());
    };
    let place = || format!("SANDBOX_STATE_FILE: {}", file.display());
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(place),
    };
    let snapshot = serde_json::from_str(&text)
        .map_err(|error| anyhow!("it is not a snapshot: {error}"))
        .with_context(place)?;
    world.restore(snapshot).with_context(place)
}

/// Writes the state for the next run.
pub(crate) fn save(config: &Config, world: &World) -> anyhow::Result<()> {
    let Some(file) = &config.state_file else {
        return Ok(());
    };
    let text = serde_json::to_string(&world.snapshot()).context("the state cannot be written")?;
    files::write("SANDBOX_STATE_FILE", file, &text, true)
}
