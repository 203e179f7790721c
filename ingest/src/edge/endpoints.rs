//! Where a venue lives, and what must never be mixed; nothing here is resolved or opened.

use crate::error::IngestError;

/// Where a venue lives: sockets and hosts by the numbers that [`crate::Deed`] uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// WebSocket addresses by [`crate::Deed::Connect`]'s `socket`, e.g. `wss://ws-live-data.polymarket.com`.
    pub sockets: Vec<String>,
    /// REST bases by [`crate::Deed::Fetch`]'s `host`, e.g. `https://api.elections.kalshi.com/trade-api/v2`.
    pub hosts: Vec<String>,
}

impl Endpoints {
    /// One socket and one host, each number 0.
    pub fn single(socket: impl Into<String>, host: impl Into<String>) -> Self {
        Self { sockets: vec![socket.into()], hosts: vec![host.into()] }
    }

    /// Checks all schemes, and that production and demo are not mixed. Without the feature `tls` only `ws://` and
    /// `http://` work.
    pub fn check(&self) -> Result<(), IngestError> {
        for url in &self.sockets {
            check_scheme(url, "ws://", "wss://")?;
        }
        for url in &self.hosts {
            check_scheme(url, "http://", "https://")?;
        }
        self.check_world()
    }

    /// A production host with a demo socket, or the other way round, would trade one world's books for the other's.
    pub(super) fn check_world(&self) -> Result<(), IngestError> {
        let all = || self.sockets.iter().chain(&self.hosts);
        let of = |demo: bool| all().find(|url| is_demo(url) == Some(demo));
        match (of(false), of(true)) {
            (Some(production), Some(demo)) => {
                Err(IngestError::MixedWorlds { production: production.clone(), demo: demo.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The address of a socket.
    pub(super) fn socket(&self, no: u8) -> Result<&str, IngestError> {
        let url = self.sockets.get(usize::from(no)).ok_or(IngestError::NoEndpoint { kind: "socket", no })?;
        check_scheme(url, "ws://", "wss://").map(|()| url.as_str())
    }

    /// The base of a host.
    pub(super) fn host(&self, no: u8) -> Result<&str, IngestError> {
        let url = self.hosts.get(usize::from(no)).ok_or(IngestError::NoEndpoint { kind: "host", no })?;
        check_scheme(url, "http://", "https://").map(|()| url.as_str())
    }
}

fn check_scheme(url: &str, plain: &str, tls: &str) -> Result<(), IngestError> {
    match url {
        _ if url.starts_with(plain) => Ok(()),
        _ if url.starts_with(tls) && cfg!(feature = "tls") => Ok(()),
        _ if url.starts_with(tls) => Err(IngestError::TlsMissing(url.to_owned())),
        _ => Err(IngestError::BadEndpoint(url.to_owned())),
    }
}

/// Host name without port; the part of an address between scheme and path.
fn host_name(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    host.split(':').next().unwrap_or_default()
}

/// Kalshi's two worlds by their host names; `None` for every other host.
fn is_demo(url: &str) -> Option<bool> {
    let host = host_name(url).to_ascii_lowercase();
    let within = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
    match () {
        () if within("kalshi.co") || within("demo.kalshi.com") => Some(true),
        () if within("kalshi.com") => Some(false),
        () => None,
    }
}

/// The path of an address without its query; `/` if it has none.
pub(super) fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map_or("/", |at| &rest[at..]);
    path.split(['?', '#']).next().unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_and_demo_are_never_mixed() {
        let prod = [
            "wss://api.elections.kalshi.com/trade-api/ws/v2",
            "wss://external-api-ws.kalshi.com/trade-api/ws/v2",
        ];
        let demo =
            ["https://demo-api.kalshi.co/trade-api/v2", "https://external-api-ws.demo.kalshi.co:443/x"];
        for (socket, host) in prod.iter().flat_map(|p| demo.iter().map(move |d| (*p, *d))) {
            let mixed = Endpoints::single(socket, host).check_world().map_err(|e| e.code());
            assert_eq!(mixed, Err("mixed_worlds"), "{socket} {host}");
            let back = Endpoints::single(host, socket).check_world().map_err(|e| e.code());
            assert_eq!(back, Err("mixed_worlds"), "{host} {socket}");
        }
        for same in [prod, demo] {
            assert_eq!(Endpoints::single(same[0], same[1]).check_world(), Ok(()));
            assert_eq!(Endpoints::single(same[0], "http://127.0.0.1:9").check_world(), Ok(()));
        }
    }

    #[test]
    fn paths_are_signed_without_their_query() {
        for (url, path) in [
            ("wss://a.b/trade-api/ws/v2?x=1", "/trade-api/ws/v2"),
            ("http://127.0.0.1:80/markets?limit=1", "/markets"),
            ("http://127.0.0.1:80", "/"),
        ] {
            assert_eq!(path_of(url), path);
        }
    }
}
