//! The real portal as a child process, for load tests.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use simulators::World;
use tokio::process::{Child, Command};

/// A running portal. Dropping it kills it.
pub struct PortalProcess {
    child: Child,
    /// Its URL.
    pub url: String,
    /// The URL of its probes.
    pub probes: String,
}

impl PortalProcess {
    /// Starts the program in `bins` between these systems, on a SQLite store in `folder`.
    ///
    /// # Errors
    /// It cannot be started, or does not answer within 30 s.
    pub async fn start(
        bins: &Path,
        world: &World,
        folder: &Path,
        settings: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let key = folder.join("key.pem");
        std::fs::write(&key, world.salesforce.login().private_key_pem)?;
        let free = || TcpListener::bind("127.0.0.1:0")?.local_addr();
        let (address, probes) = (free()?, free()?);
        let store = format!("sqlite:{}", folder.join("jobs.db").display());
        let child = Command::new(bins.join("portal"))
            .env_clear()
            .envs(world.environment())
            .env("DATABASE_URL", store)
            .env("HTTP_ADDR", address.to_string())
            .env("PROBE_ADDR", probes.to_string())
            .env("SF_PRIVATE_KEY_FILE", key)
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} has no program `portal`", bins.display()))?;
        let portal = Self {
            child,
            url: format!("http://{address}"),
            probes: format!("http://{probes}"),
        };
        let started = Instant::now();
        while reqwest::get(format!("{}/livez", portal.probes))
            .await
            .is_err()
        {
            if started.elapsed() > Duration::from_secs(30) {
                bail!("the portal does not start");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(portal)
    }

    /// Its resident memory.
    ///
    /// # Errors
    /// It has ended.
    pub fn memory_kib(&self) -> anyhow::Result<u64> {
        let pid = self.child.id().context("the portal has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        let number = number.context("the kernel does not say how much memory it has")?;
        Ok(number.parse()?)
    }
}
