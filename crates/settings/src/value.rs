//! Types of settings' values.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use url::{Host, Url};

use crate::Invalid;

/// Parses `250ms`, `90s`, `5m`, `2h`, `7d`, or `0`.
///
/// # Errors
/// Not a duration, or a negative one.
pub fn duration(text: &str) -> Result<Duration, Invalid> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    text.parse::<Span>()
        .and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()))
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| Invalid::new("Use a duration such as 250ms, 90s, 5m or 2h"))
}

/// A parser of durations within a range, both ends included.
pub fn within(
    least: &'static str,
    most: &'static str,
) -> impl Fn(&str) -> Result<Duration, Invalid> + Clone {
    move |text| {
        let fix = || Invalid::new(format!("Use a duration from {least} to {most}"));
        let range = duration(least)?..=duration(most)?;
        let parsed = duration(text).ok().filter(|parsed| range.contains(parsed));
        parsed.ok_or_else(fix)
    }
}

/// As [`within`], or zero.
pub fn zero_or_within(
    least: &'static str,
    most: &'static str,
) -> impl Fn(&str) -> Result<Duration, Invalid> + Clone {
    move |text| match duration(text) {
        Ok(Duration::ZERO) => Ok(Duration::ZERO),
        _ => {
            within(least, most)(text).map_err(|error| Invalid::new(format!("{}, or 0", error.fix)))
        }
    }
}

/// A parser of numbers within a range.
pub fn number<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, Invalid> + Clone
where
    T: FromStr + PartialOrd + std::fmt::Display + Clone,
{
    move |text| {
        let parsed = text.trim().parse().ok();
        parsed
            .filter(|parsed| range.contains(parsed))
            .ok_or_else(|| {
                Invalid::new(format!(
                    "Use a number from {} to {}",
                    range.start(),
                    range.end()
                ))
            })
    }
}

/// Parses `true` or `false`.
///
/// # Errors
/// Neither.
pub fn flag(text: &str) -> Result<bool, Invalid> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Invalid::new("Use true or false")),
    }
}

/// A comma-separated list of at least one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

/// A parser of lists. Empty parts are ignored.
pub fn list<T, E>(
    parse: impl Fn(&str) -> Result<T, E> + Clone,
) -> impl Fn(&str) -> Result<List<T>, E> + Clone {
    move |text| {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        parts.map(&parse).collect::<Result<_, _>>().map(List)
    }
}

/// A text without surrounding space.
///
/// # Errors
/// Nothing but space.
pub fn text(text: &str) -> Result<String, Invalid> {
    match text.trim() {
        "" => Err(Invalid::because("it is blank", "Set it, or leave it out")),
        text => Ok(text.to_owned()),
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
    /// Not such a URL. The value is not shown, because it may contain a password.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let problem = |what: String, fix: &str| Invalid::because(what, fix);
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
    ///
    /// # Errors
    /// Not such a URL.
    pub fn parse(url: &str) -> Result<Self, Invalid> {
        let is_page =
            |url: &Url| matches!(url.scheme(), "https" | "http") && url.fragment().is_none();
        let url = Url::parse(url.trim()).ok().filter(is_page);
        url.map(|url| Self(url.into())).ok_or_else(|| {
            Invalid::new("Use a URL without a fragment, such as https://example.com/runbooks")
        })
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
            assert!(Runbooks::parse(text).is_err(), "{text}");
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
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1x", "99999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
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
            assert!(Endpoint::parse(text).is_ok(), "{text}");
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
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn base_url_may_have_a_path() {
        let endpoint = Endpoint::parse("https://x.com/billing/").unwrap();
        assert_eq!(
            endpoint.join("/includes/api.php"),
            "https://x.com/billing/includes/api.php"
        );
        assert_eq!(endpoint.origin(), "https://x.com");
    }
}
