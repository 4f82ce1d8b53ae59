//! Which hosts the token endpoint may name.

use settings::{Invalid, is_loopback};
use url::Url;

/// Salesforce's own domains, in all its clouds.
const DOMAINS: [&str; 3] = ["salesforce.com", "salesforce.mil", "sfcrmproducts.cn"];

/// Whether a session may be used with this host: tokens are sent to it. It must be the login's
/// host, in one of Salesforce's domains, or in `allowed`; the host of a login on this machine may
/// name others on this machine.
pub(crate) fn is_allowed(url: &Url, login: &Url, allowed: &[String]) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let is_below = |domain: &str| {
        let start = host.strip_suffix(domain);
        start.is_some_and(|start| start.is_empty() || start.ends_with('.'))
    };
    login.host_str() == Some(host)
        || DOMAINS.into_iter().any(is_below)
        || allowed.iter().any(|allowed| allowed == host)
        || (is_loopback(login) && is_loopback(url))
}

/// Parses a host name.
pub(crate) fn parse(text: &str) -> Result<String, Invalid> {
    let name = text.trim().to_ascii_lowercase();
    let url = Url::parse(&format!("https://{name}")).ok();
    match url.is_some_and(|url| url.host_str() == Some(&name)) {
        true => Ok(name),
        false => Err(Invalid::because(
            format!("`{text}` is not a host name"),
            "Use host names such as salesforce.example.com, separated by commas",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn hosts_are_salesforces_the_logins_or_allowed() {
        let login = url("https://login.gateway.example");
        let allowed = [parse(" Proxy.Example ").unwrap()];
        for (host, is) in [
            ("https://acme.my.salesforce.com", true),
            ("https://acme.my.salesforce.mil", true),
            ("https://login.gateway.example/x", true),
            ("https://proxy.example", true),
            ("https://sub.proxy.example", false),
            ("https://evilsalesforce.com", false),
            ("https://salesforce.com.evil.example", false),
            ("http://127.0.0.1:9", false),
        ] {
            assert_eq!(is_allowed(&url(host), &login, &allowed), is, "{host}");
        }
        let login = url("http://127.0.0.1:1");
        assert!(is_allowed(&url("http://localhost:2"), &login, &[]));
    }

    #[test]
    fn allowed_hosts_are_plain_names() {
        for text in [
            "https://x.example",
            "x.example/path",
            "x.example:443",
            "a b",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
