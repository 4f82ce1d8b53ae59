//! Who calls the console: the headers of a request and the address it came from.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;

use crate::config::ProxyNames;

/// What a request says of its sender.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    pub(super) headers: HeaderMap,
    /// The other end of the connection; `None` where the listener does not say.
    pub(super) peer: Option<IpAddr>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self {
            headers: parts.headers.clone(),
            // The same client whichever way an IPv4 address is written.
            peer: peer.map(|ConnectInfo(peer)| peer.ip().to_canonical()),
        })
    }
}

impl Caller {
    /// The proxy's word is believed only when the connection comes from it.
    fn trusted<'a>(&self, names: Option<&'a ProxyNames>) -> Option<&'a ProxyNames> {
        let (names, peer) = (names?, self.peer?);
        let known = names.proxies.iter().any(|proxy| proxy.contains(&peer));
        known.then_some(names)
    }

    /// The operator's name as a trusted proxy gives it.
    pub(super) fn proxy_name(&self, names: Option<&ProxyNames>) -> Option<&str> {
        let header = &self.trusted(names)?.header;
        let name = self.headers.get(header)?.to_str().ok()?.trim();
        (!name.is_empty()).then_some(name)
    }

    /// The client's address: that of the connection, or the last one that a trusted proxy added
    /// to `X-Forwarded-For`.
    pub(super) fn address(&self, names: Option<&ProxyNames>) -> Option<IpAddr> {
        let forwarded = self.trusted(names).and_then(|_| {
            let mut lines = self.headers.get_all("x-forwarded-for").iter();
            let last = lines.next_back()?.to_str().ok()?.rsplit(',').next()?;
            last.trim().parse::<IpAddr>().ok()
        });
        forwarded
            .map(|address| address.to_canonical())
            .or(self.peer)
    }
}

/// What login limits apply to: an IPv4 address, or the IPv6 network that one client has.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let prefix = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(prefix))
        }
    }
}
