//! Who asks, and how often: keys, scopes, rates; it never says what an account may read.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, header};
use schemas::Timestamp;
use schemas::time::NANOS_PER_SEC;

use super::ApiState;
use super::keys::{KeyInfo, Scope};
use crate::bucket::Buckets;
use crate::error::ApiError;
use crate::limits::ApiLimits;

/// What a browser puts before its key in the list of subprotocols.
const AUTH_PROTOCOL: &str = "oraculo-auth.";

/// The rates of addresses and keys.
pub(super) struct Gate {
    addresses: Mutex<Buckets<IpAddr>>,
    keys: Mutex<Buckets<String>>,
}

impl Gate {
    pub(super) fn new(limits: &ApiLimits) -> Self {
        Self {
            addresses: Mutex::new(Buckets::new(limits.per_address, limits.tracked)),
            keys: Mutex::new(Buckets::new(limits.per_key, limits.tracked)),
        }
    }

    /// Takes one request of an address.
    pub(super) fn admit_address(&self, peer: Option<SocketAddr>, now: Timestamp) -> Result<(), ApiError> {
        let address = peer.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |p| subnet(p.ip()));
        take(&self.addresses, &address, now)
    }

    /// The key of a request, if it is good for this scope.
    pub(super) fn admit_key(
        &self,
        state: &ApiState,
        headers: &HeaderMap,
        scope: Scope,
    ) -> Result<KeyInfo, ApiError> {
        let secret = bearer(headers)?.ok_or(ApiError::Unauthenticated)?;
        self.admit_secret(state, secret, scope)
    }

    /// The key of a WebSocket handshake: in the header, or in the list of subprotocols.
    pub(super) fn admit_socket(
        &self,
        state: &ApiState,
        headers: &HeaderMap,
        scope: Scope,
    ) -> Result<KeyInfo, ApiError> {
        let secret = match bearer(headers)? {
            Some(secret) => secret,
            None => protocols(headers)
                .find_map(|p| p.strip_prefix(AUTH_PROTOCOL))
                .ok_or(ApiError::Unauthenticated)?,
        };
        self.admit_secret(state, secret, scope)
    }

    fn admit_secret(&self, state: &ApiState, secret: &str, scope: Scope) -> Result<KeyInfo, ApiError> {
        let now = state.now();
        let key = state.keys.check(secret, now)?;
        take(&self.keys, &key.hint, now)?;
        if key.scopes.contains(&scope) { Ok(key) } else { Err(ApiError::ScopeMissing(scope.name())) }
    }
}

fn take<K: Ord + Clone>(buckets: &Mutex<Buckets<K>>, key: &K, now: Timestamp) -> Result<(), ApiError> {
    let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
    buckets.take(key, now).map_err(|wait| {
        let seconds = wait.saturating_add(NANOS_PER_SEC - 1) / NANOS_PER_SEC;
        ApiError::RateLimited { retry_after_s: u64::try_from(seconds).unwrap_or(1) }
    })
}

/// One customer has many IPv6 addresses but rarely many /64s.
fn subnet(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        },
    }
}

/// The key in the `Authorization` header; a header that is something else is a malformed key.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ApiError::KeyMalformed);
    }
    let text = value.to_str().map_err(|_| ApiError::KeyMalformed)?;
    let (scheme, secret) = text.split_once(' ').ok_or(ApiError::KeyMalformed)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(secret.trim())) } else { Err(ApiError::KeyMalformed) }
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    values.filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).map(str::trim)
}
