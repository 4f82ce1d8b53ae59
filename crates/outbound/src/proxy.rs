//! The way out through an HTTP proxy.

use std::fmt;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use settings::{Problem, Problems};

/// Variables that name the proxy, the first that is set.
const PROXY: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Variables with the hosts that are reached directly.
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// Variable that lets connections to loopback addresses go through the proxy too.
const PROXY_LOOPBACK: &str = "PROXY_LOOPBACK";
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// The proxy that connections over TLS go through, if there is one: `HTTPS_PROXY`, else
/// `ALL_PROXY`, except for the hosts of `NO_PROXY` and for this machine.
#[derive(Clone, Default)]
pub struct Proxy(Option<Way>);

#[derive(Clone)]
struct Way {
    /// With its credentials.
    url: String,
    direct: String,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Some(_) => "Proxy(..)",
            None => "Proxy(none)",
        })
    }
}

impl Proxy {
    /// The proxy of the environment.
    ///
    /// # Errors
    /// The variable that is set to something else than an HTTP proxy. The value is not shown,
    /// because it may contain a password.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Problem> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let first = |names: &[&'static str]| {
            let given = names.iter().find_map(|name| Some((*name, set(name)?)));
            given.map(|(name, value)| (name, value.trim().to_owned()))
        };
        let Some((name, url)) = first(&PROXY) else {
            return Ok(Self(None));
        };
        let url = match url.contains("://") {
            true => url,
            false => format!("http://{url}"),
        };
        let usable = reqwest::Url::parse(&url)
            .is_ok_and(|url| url.scheme() == "http" && url.has_host() && url.path() == "/");
        if !usable {
            return Err(Problem::new(
                name,
                "not the URL of an HTTP proxy",
                "Use http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, or unset it",
            ));
        }
        let mut direct = first(&NO_PROXY).map_or_else(String::new, |(_, hosts)| hosts);
        if set(PROXY_LOOPBACK).as_deref() != Some("true") {
            direct = format!("{direct},{LOOPBACK}");
        }
        Ok(Self(Some(Way { url, direct })))
    }

    /// The proxy of this process's environment. A malformed one is reported at start, see
    /// [`Proxy::check`].
    #[must_use]
    pub fn from_env() -> Self {
        Self::of(|name| std::env::var(name).ok()).unwrap_or_default()
    }

    /// Reports a malformed variable.
    pub fn check(problems: &mut Problems) {
        problems.take(Self::of(|name| std::env::var(name).ok()));
    }

    /// Sets the proxy of an HTTP client, and no other.
    pub(crate) fn apply(
        &self,
        client: reqwest::ClientBuilder,
    ) -> Result<reqwest::ClientBuilder, reqwest::Error> {
        let client = client.no_proxy();
        let Some(way) = &self.0 else {
            return Ok(client);
        };
        let direct = reqwest::NoProxy::from_string(&way.direct);
        Ok(client.proxy(reqwest::Proxy::https(&way.url)?.no_proxy(direct)))
    }

    /// A connector through the proxy to a host; `None` when the host is reached directly.
    #[must_use]
    pub fn tunnel(&self, to: &http::Uri) -> Option<Tunnel<HttpConnector>> {
        let way = self.0.as_ref()?;
        let matcher = Matcher::builder()
            .https(way.url.as_str())
            .no(way.direct.as_str())
            .build();
        let found = matcher.intercept(to)?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let tunnel = Tunnel::new(found.uri().clone(), connector);
        Some(match found.basic_auth() {
            Some(auth) => tunnel.with_auth(auth.clone()),
            None => tunnel,
        })
    }

    /// Whether a connection to this host goes through the proxy.
    #[must_use]
    pub fn covers(&self, to: &http::Uri) -> bool {
        self.tunnel(to).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(set: &[(&str, &str)]) -> Result<Proxy, Problem> {
        Proxy::of(|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn covers(set: &[(&str, &str)], url: &str) -> bool {
        proxy(set).unwrap().covers(&url.parse().unwrap())
    }

    #[test]
    fn proxy_and_exceptions_come_from_the_environment() {
        let url = "https://acme.my.salesforce.com";
        assert!(!covers(&[], url));
        assert!(!covers(&[("HTTPS_PROXY", " ")], url));
        for name in PROXY {
            assert!(covers(&[(name, "http://proxy:3128")], url), "{name}");
            assert!(covers(&[(name, "proxy:3128")], url), "{name}");
        }
        let https = ("HTTPS_PROXY", "http://proxy:3128");
        for direct in [
            "acme.my.salesforce.com",
            "salesforce.com",
            ".salesforce.com",
            "other.example, my.salesforce.com",
            "*",
        ] {
            for name in NO_PROXY {
                assert!(!covers(&[https, (name, direct)], url), "{name}={direct}");
            }
        }
        assert!(covers(&[https, ("NO_PROXY", "whmcs.example")], url));
    }

    #[test]
    fn loopback_is_direct_unless_asked_for() {
        let https = ("HTTPS_PROXY", "http://proxy:3128");
        for url in [
            "https://127.0.0.1:8443",
            "https://127.9.9.9",
            "https://[::1]:1",
            "https://localhost:8443",
        ] {
            assert!(!covers(&[https], url), "{url}");
            assert!(covers(&[https, (PROXY_LOOPBACK, "true")], url), "{url}");
        }
    }

    #[test]
    fn malformed_proxy_is_named_without_its_value() {
        for value in [
            "socks5://u:hunter2@proxy:1080",
            "https://u:hunter2@proxy",
            "http://u:hunter2@",
            "http://u:hunter2@proxy/path",
        ] {
            let text = proxy(&[("HTTPS_PROXY", value)]).unwrap_err().to_string();
            assert!(text.starts_with("HTTPS_PROXY: "), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        let shown = format!("{:?}", proxy(&[("HTTPS_PROXY", "http://u:hunter2@p:1")]));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
