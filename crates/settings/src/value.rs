//! Types of settings' values.

use std::net::IpAddr;
use std::time::Duration;

use url::{Host, Url};

use crate::Problem;

/// Parses `250ms`, `90s`, `5m`, `2h`, or `0`.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

/// Whether the URL's host is this machine: 127.0.0.0/8, `::1` or `localhost`.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            name.eq_ignore_ascii_case("localhost")
                || name
                    .parse::<IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The base URL of a service: `https`, or plain `http` on loopback only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Parses a base URL. A trailing slash is dropped; user, query and fragment are rejected.
    ///
    /// # Errors
    /// A [`Problem`] of the setting.
    pub fn parse(name: &'static str, text: &str) -> Result<Self, Problem> {
        let problem = |what: String, fix: &str| Problem {
            name,
            what,
            fix: fix.to_owned(),
        };
        // The value is not shown, because it may contain a password.
        let url = Url::parse(text.trim()).map_err(|error| {
            problem(
                format!("not a valid URL: {error}"),
                "Use a URL such as https://example.com",
            )
        })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(problem(
                "the URL contains a user or password".to_owned(),
                "Remove them; credentials have their own settings",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(problem(
                "the URL contains a query or fragment".to_owned(),
                "Use the base URL only",
            ));
        }
        match url.scheme() {
            "https" if url.host().is_some() => {}
            "http" if is_loopback(&url) => {}
            "http" => {
                return Err(problem(
                    format!(
                        "plain http to `{}` would send credentials unencrypted",
                        url.host_str().unwrap_or_default()
                    ),
                    "Use https; http is accepted for loopback addresses only",
                ));
            }
            other => {
                return Err(problem(
                    format!("scheme `{other}` is not supported"),
                    "Use https (or http on a loopback address)",
                ));
            }
        }
        Ok(Self(url))
    }

    /// The URL without a trailing slash.
    #[must_use]
    pub fn base(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Scheme, host and port, without a trailing slash.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The URL of a path below the base.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        format!("{}/{}", self.base(), path.trim_start_matches('/'))
    }

    /// Whether connections to it are encrypted.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }
}

/// Where the runbooks are published: a page with a section for each alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runbooks(String);

impl Runbooks {
    /// Takes the page's URL, without a fragment.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let url = Url::parse(url.trim()).ok()?;
        let is_page = matches!(url.scheme(), "https" | "http") && url.fragment().is_none();
        is_page.then(|| Self(url.into()))
    }

    /// The section of an alert.
    #[must_use]
    pub fn of(&self, alert: &str) -> String {
        format!("{}#{}", self.0, alert.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runbooks_are_a_page_with_sections() {
        let runbooks = Runbooks::parse("https://wiki.example/runbooks?v=1").unwrap();
        assert_eq!(
            runbooks.of("NoLeader"),
            "https://wiki.example/runbooks?v=1#noleader"
        );
        for text in [
            "",
            "runbooks.md",
            "ftp://x/y",
            "https://x/#y",
            "javascript:x",
        ] {
            assert_eq!(Runbooks::parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations_require_a_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("90s", 90_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("0", 0),
        ] {
            assert_eq!(
                duration(text),
                Some(Duration::from_millis(millis)),
                "{text}"
            );
        }
        for text in ["", "5", "s", "-1s", "1.5s", "1d", "99999999999999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn plain_http_is_accepted_for_loopback_only() {
        for text in [
            "https://x.my.salesforce.com/",
            "http://127.0.0.1:9",
            "http://127.9.9.9",
            "http://[::1]:1/a",
            "http://LocalHost/",
        ] {
            assert!(Endpoint::parse("X", text).is_ok(), "{text}");
        }
        for text in [
            "",
            "x.com",
            "http://x.com",
            "http://10.0.0.1",
            "http://127.0.0.1.x.com",
            "http://localhost.x.com",
            "ftp://localhost",
            "https://u:p@x.com",
            "https://x.com/?a=b",
        ] {
            assert!(Endpoint::parse("X", text).is_err(), "{text}");
        }
    }

    #[test]
    fn base_url_may_have_a_path() {
        let endpoint = Endpoint::parse("X", "https://x.com/billing/").unwrap();
        assert_eq!(
            endpoint.join("/includes/api.php"),
            "https://x.com/billing/includes/api.php"
        );
        assert_eq!(endpoint.origin(), "https://x.com");
    }
}
