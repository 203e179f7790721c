//! What signs handshakes and requests for a venue; it is asked once per connection and request, never per frame.

use std::sync::Arc;

use super::kalshi_sign::KalshiSigner;
use super::seen::clocks;
use crate::error::IngestError;

/// Makes the headers that prove who asks.
pub trait Signer: Send + Sync {
    /// The headers of one request. `method` in capitals, `path` without query, `now_ms` since the Unix epoch. Errors:
    /// the key cannot sign.
    fn headers(&self, method: &str, path: &str, now_ms: i64) -> Result<Vec<(String, String)>, IngestError>;
}

impl Signer for KalshiSigner {
    fn headers(&self, method: &str, path: &str, now_ms: i64) -> Result<Vec<(String, String)>, IngestError> {
        let signed = Self::headers(self, method, path, now_ms)
            .map_err(|error| IngestError::Unsigned { code: error.code(), detail: error.to_string() })?;
        Ok(signed.map(|(name, value)| (name.to_owned(), value)).into())
    }
}

/// The headers of a request as of now; none without a signer. Signing may take milliseconds, so it has a thread of
/// its own.
pub(super) async fn headers(
    signer: Option<&Arc<dyn Signer>>,
    method: &'static str,
    path: &str,
) -> Result<Vec<(String, String)>, String> {
    let Some(signer) = signer.map(Arc::clone) else { return Ok(Vec::new()) };
    let path = path.to_owned();
    let signed = tokio::task::spawn_blocking(move || {
        let (wall, _) = clocks();
        signer.headers(method, &path, wall.millis())
    });
    match signed.await {
        Ok(Ok(headers)) => Ok(headers),
        Ok(Err(error)) => Err(format!("sign: {error}")),
        Err(error) => Err(format!("sign: {error}")),
    }
}
