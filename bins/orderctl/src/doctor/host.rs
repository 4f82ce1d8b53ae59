//! This machine: its variables, its files, its clock.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use app::SystemArgs;
use error_chain::chain;
use outbound::{ClientOptions, Roots};

use super::rows::Rows;

/// Largest difference of clocks: Salesforce rejects logins signed with more.
const SKEW: Duration = Duration::from_secs(60);

/// Variables that look like settings and are none.
pub(super) fn variables(rows: &mut Rows, names: impl IntoIterator<Item = String>) {
    let unknown = settings::unknown_variables(names);
    if unknown.is_empty() {
        rows.ok("variables", "no misspelt setting");
    }
    for (name, nearest) in unknown {
        let fix = match nearest {
            Some(nearest) => format!("Rename it to {nearest}, or unset it"),
            None => "Unset it".to_owned(),
        };
        rows.warn(
            "variables",
            format!("{name} is no setting and is ignored"),
            fix,
        );
    }
}

/// Files with secrets that others can read.
pub(super) fn secret_files(rows: &mut Rows, systems: &SystemArgs) {
    let key = systems.crm.salesforce.key_file();
    let key = key.map(|path| ("SF_PRIVATE_KEY_FILE", path));
    let mut all_private = true;
    for (name, path) in key.into_iter().chain(systems.whmcs.secret_files()) {
        let Some(mode) = mode(path) else { continue };
        // A group may be the service's own: systemd and Kubernetes mount secrets that way.
        if mode & 0o007 != 0 {
            all_private = false;
            rows.warn(
                "secret files",
                format!(
                    "every user of this machine can read the file of {name} (mode {:o})",
                    mode & 0o777
                ),
                format!("Run `chmod o-rwx {}`", path.display()),
            );
        }
    }
    if all_private {
        rows.ok(
            "secret files",
            "no file with a secret is readable by every user",
        );
    }
}

fn mode(path: &Path) -> Option<u32> {
    let metadata = path.metadata().ok()?;
    Some(metadata.permissions().mode())
}

/// Compares our clock with a service's, which shows that it can be reached. Returns whether it can.
pub(super) async fn reach(
    rows: &mut Rows,
    [reachable, clock]: [&str; 2],
    setting: &str,
    url: &str,
    ca_file: Option<&Path>,
) -> bool {
    let theirs = match date(url, ca_file).await {
        Ok(theirs) => theirs,
        Err(text) => {
            rows.fail(
                reachable,
                text,
                format!("Check the host and port of {setting}, that the service is up, and DNS, firewall and HTTPS_PROXY of this machine"),
            );
            rows.skip(clock, "not reachable");
            return false;
        }
    };
    rows.ok(reachable, url);
    let Some(theirs) = theirs else {
        rows.skip(clock, "the response has no Date header");
        return true;
    };
    let now = SystemTime::now();
    let apart = now
        .duration_since(theirs)
        .or_else(|_| theirs.duration_since(now))
        .unwrap_or_default();
    let text = format!("{} s apart", apart.as_secs());
    match apart <= SKEW {
        true => rows.ok(clock, text),
        false => rows.fail(clock, text, "Set this machine's clock by NTP"),
    }
    true
}

/// The time in the response's `Date`.
async fn date(url: &str, ca_file: Option<&Path>) -> Result<Option<SystemTime>, String> {
    let options = ClientOptions {
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(10),
        pool_idle: Duration::from_secs(1),
    };
    let roots = Roots::load(ca_file).map_err(|error| chain(&error).to_string())?;
    let client = outbound::build(&options, &roots).map_err(|error| chain(&error).to_string())?;
    let response = client.get(url).send().await;
    let response = response.map_err(|error| chain(&error.without_url()).to_string())?;
    let date = response
        .headers()
        .get("date")
        .and_then(|date| date.to_str().ok());
    Ok(date.and_then(|date| httpdate::parse_http_date(date).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_variable_is_named_with_the_nearest_setting() {
        let mut rows = Rows::default();
        variables(
            &mut rows,
            ["WHMCS_TIMEOT", "PATH", "SF_LOGIN_URL"].map(str::to_owned),
        );
        let text = format!("{rows:?}");
        assert!(text.contains("WHMCS_TIMEOT is no setting"), "{text}");
        assert!(text.contains("Rename it to WHMCS_TIMEOUT"), "{text}");
        assert!(
            !text.contains("PATH") && !text.contains("SF_LOGIN"),
            "{text}"
        );
    }
}
