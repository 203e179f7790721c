//! Kalshi's request signature: RSA-PSS over time, method and path; it never prints, stores or sends a key.
//!
//! Source: venues.md 1 (Auth). A signature of a 2048-bit key costs 1-3 ms: sign handshakes and requests, nothing else.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

/// Path that a WebSocket handshake signs.
pub const WS_PATH: &str = "/trade-api/ws/v2";

/// Why a key or a request cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KalshiSignError {
    /// The key's id is empty or no header value.
    #[error("the key id is empty or not printable")]
    BadKeyId,
    /// No private key in PEM form.
    #[error("no private key in PEM form: {0}")]
    NotPem(String),
    /// A PEM section of another kind, e.g. an EC key.
    #[error("the PEM holds no RSA key (PKCS#1 or PKCS#8 is needed)")]
    NotRsa,
    /// An RSA key that cannot be used, e.g. below 2048 bits.
    #[error("the RSA key cannot be used: {0}")]
    BadKey(String),
    /// The method is not upper-case letters.
    #[error("not an HTTP method: {0:?}")]
    BadMethod(String),
    /// The path does not begin with a slash, or holds what no path may hold.
    #[error("not a path: {0:?}")]
    BadPath(String),
    /// The time lies before 1970.
    #[error("not a time in milliseconds: {0}")]
    BadTime(i64),
    /// The system gave no randomness, or the signature failed.
    #[error("signing failed")]
    Failed,
}

impl KalshiSignError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadKeyId => "bad_key_id",
            Self::NotPem(_) => "not_pem",
            Self::NotRsa => "not_rsa",
            Self::BadKey(_) => "bad_key",
            Self::BadMethod(_) => "bad_method",
            Self::BadPath(_) => "bad_path",
            Self::BadTime(_) => "bad_time",
            Self::Failed => "sign_failed",
        }
    }
}

/// Signs for one API key.
pub struct KalshiSigner {
    key_id: String,
    key: RsaKeyPair,
    random: SystemRandom,
}

impl fmt::Debug for KalshiSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key id names the key and is no secret; nothing else is shown.
        f.debug_struct("KalshiSigner").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl KalshiSigner {
    /// From the key's id and its PEM text, PKCS#1 or PKCS#8.
    pub fn from_pem(key_id: &str, pem: &[u8]) -> Result<Self, KalshiSignError> {
        if key_id.is_empty() || !key_id.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(KalshiSignError::BadKeyId);
        }
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|e| KalshiSignError::NotPem(e.to_string()))?;
        let key = match &der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(KalshiSignError::NotRsa),
        };
        let key = key.map_err(|rejected| KalshiSignError::BadKey(rejected.to_string()))?;
        Ok(Self { key_id: key_id.to_owned(), key, random: SystemRandom::new() })
    }

    /// The three headers of a request at `now_ms`. A query in `path` is left out of what is signed.
    pub fn headers(
        &self,
        method: &str,
        path: &str,
        now_ms: i64,
    ) -> Result<[(&'static str, String); 3], KalshiSignError> {
        let text = message(method, path, now_ms)?;
        let mut signature = vec![0; self.key.public().modulus_len()];
        // The salt is as long as the digest, 32 bytes.
        self.key
            .sign(&RSA_PSS_SHA256, &self.random, text.as_bytes(), &mut signature)
            .map_err(|_| KalshiSignError::Failed)?;
        Ok([
            ("KALSHI-ACCESS-KEY", self.key_id.clone()),
            ("KALSHI-ACCESS-TIMESTAMP", now_ms.to_string()),
            ("KALSHI-ACCESS-SIGNATURE", STANDARD.encode(signature)),
        ])
    }

    /// The three headers of a WebSocket handshake; sign anew for every connection.
    pub fn handshake(&self, now_ms: i64) -> Result<[(&'static str, String); 3], KalshiSignError> {
        self.headers("GET", WS_PATH, now_ms)
    }
}

/// What is signed: `{ts}{METHOD}{path without query}`, percent escapes in upper case.
pub fn message(method: &str, path: &str, now_ms: i64) -> Result<String, KalshiSignError> {
    if now_ms < 0 {
        return Err(KalshiSignError::BadTime(now_ms));
    }
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(KalshiSignError::BadMethod(method.to_owned()));
    }
    let bad = || KalshiSignError::BadPath(path.to_owned());
    let bare = path.split(['?', '#']).next().unwrap_or_default();
    if !bare.starts_with('/') || !bare.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(bad());
    }
    let mut parts = bare.split('%');
    let mut text = format!("{now_ms}{method}{}", parts.next().unwrap_or_default());
    for part in parts {
        let (escape, rest) = part.split_at_checked(2).ok_or_else(bad)?;
        if !escape.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(bad());
        }
        text.push('%');
        text.push_str(&escape.to_ascii_uppercase());
        text.push_str(rest);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_not_signed_and_escapes_are_upper_case() {
        let text = message("GET", "/trade-api/v2/markets/a%2fb?limit=5&x=%3a", 17).unwrap();
        assert_eq!(text, "17GET/trade-api/v2/markets/a%2Fb");
        assert_eq!(message("GET", WS_PATH, 5).unwrap(), "5GET/trade-api/ws/v2");
        for (method, path, at, code) in [
            ("get", "/a", 1, "bad_method"),
            ("", "/a", 1, "bad_method"),
            ("GET", "a", 1, "bad_path"),
            ("GET", "/a b", 1, "bad_path"),
            ("GET", "/a%2", 1, "bad_path"),
            ("GET", "/a%zz", 1, "bad_path"),
            ("GET", "/a", -1, "bad_time"),
        ] {
            assert_eq!(message(method, path, at).unwrap_err().code(), code, "{method} {path} {at}");
        }
    }
}
