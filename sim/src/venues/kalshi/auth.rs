//! Kalshi's request signatures: RSA-PSS (SHA-256, MGF1-SHA-256, salt of 32 bytes) over `{ts}{METHOD}{path}`.
//!
//! Verifies with the client's public key; never sees a private one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};

/// Why a public key cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM block of a public key.
    #[error("no PEM block `PUBLIC KEY` or `RSA PUBLIC KEY`")]
    Pem,
    /// The block is no base64.
    #[error("the PEM block is no base64")]
    Base64,
    /// The DER inside is no RSA `SubjectPublicKeyInfo`.
    #[error("the key is no RSA SubjectPublicKeyInfo")]
    Der,
}

impl KeyError {
    /// The stable code of this error.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pem => "kalshi_key_pem",
            Self::Base64 => "kalshi_key_base64",
            Self::Der => "kalshi_key_der",
        }
    }
}

/// An RSA public key (PKCS#1 DER inside).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Vec<u8>);

impl PublicKey {
    /// Reads `-----BEGIN PUBLIC KEY-----` (SPKI) or `-----BEGIN RSA PUBLIC KEY-----` (PKCS#1).
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let spki = text.contains("-----BEGIN PUBLIC KEY-----");
        if !spki && !text.contains("-----BEGIN RSA PUBLIC KEY-----") {
            return Err(KeyError::Pem);
        }
        let body: String = text.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(body).map_err(|_| KeyError::Base64)?;
        if spki { Self::from_spki_der(&der) } else { Ok(Self(der)) }
    }

    /// Reads the DER form of a `SubjectPublicKeyInfo` (RFC 5280): algorithm, then the key in a bit string.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let (outer, _) = element(der, 0x30).ok_or(KeyError::Der)?;
        let (_algorithm, rest) = element(outer, 0x30).ok_or(KeyError::Der)?;
        let (bits, _) = element(rest, 0x03).ok_or(KeyError::Der)?;
        match bits.split_first() {
            Some((0, key)) if key.first() == Some(&0x30) => Ok(Self(key.to_vec())),
            _ => Err(KeyError::Der),
        }
    }
}

/// The content of a DER element of a tag at the start of `bytes`, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (len, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7F);
        let digits = rest.get(..count).filter(|_| (1..=4).contains(&count))?;
        let len = digits.iter().fold(0_usize, |acc, b| acc << 8 | usize::from(*b));
        (len, rest.get(count..)?)
    };
    Some((rest.get(..len)?, rest.get(len..)?))
}

/// A client that the venue knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    /// What it says in `KALSHI-ACCESS-KEY`.
    pub id: String,
    /// What its signatures are checked with.
    pub key: PublicKey,
}

/// The three headers of a signed request as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signed<'a> {
    /// `KALSHI-ACCESS-KEY`.
    pub key: Option<&'a str>,
    /// `KALSHI-ACCESS-TIMESTAMP`, milliseconds.
    pub timestamp: Option<&'a str>,
    /// `KALSHI-ACCESS-SIGNATURE`, base64.
    pub signature: Option<&'a str>,
}

impl Signed<'_> {
    /// Whether none of the headers came.
    pub const fn is_absent(&self) -> bool {
        self.key.is_none() && self.timestamp.is_none() && self.signature.is_none()
    }
}

/// Why a signed request is refused, as the venue says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A header is missing.
    Missing,
    /// The key is not known.
    UnknownKey,
    /// The timestamp is no number or too far from the venue's clock.
    Timestamp,
    /// The signature does not fit.
    Signature,
}

impl Refusal {
    /// The words in the 401 body.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Missing => "missing access headers",
            Self::UnknownKey => "api key not found",
            Self::Timestamp => "header timestamp expired",
            Self::Signature => "incorrect api key signature",
        }
    }

    /// The 401 body.
    pub fn body(self) -> String {
        serde_json::json!({"error": {
            "code": "authentication_error",
            "message": "authentication_error",
            "details": self.message(),
        }})
        .to_string()
    }
}

/// Checks a signed request: `path` without the query, `now_ms` by the venue's clock.
pub fn check(
    clients: &[ClientKey],
    signed: Signed<'_>,
    method: &str,
    path: &str,
    now_ms: i64,
    tolerance_ms: i64,
) -> Result<(), Refusal> {
    let Signed { key: Some(key), timestamp: Some(timestamp), signature: Some(signature) } = signed else {
        return Err(Refusal::Missing);
    };
    let client = clients.iter().find(|client| client.id == key).ok_or(Refusal::UnknownKey)?;
    let at_ms: i64 = timestamp.parse().map_err(|_| Refusal::Timestamp)?;
    if at_ms.abs_diff(now_ms) > tolerance_ms.unsigned_abs() {
        return Err(Refusal::Timestamp);
    }
    let signature = STANDARD.decode(signature).map_err(|_| Refusal::Signature)?;
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &client.key.0)
        .verify(format!("{timestamp}{method}{path}").as_bytes(), &signature)
        .map_err(|_| Refusal::Signature)
}
