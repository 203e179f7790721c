//! GET requests with a deadline and a size limit; every request is answered exactly once and never retried here.

use schemas::RestReply;

use super::EdgeLimits;

/// What the venue's log sees of us.
const USER_AGENT: &str = concat!("oraculo/", env!("CARGO_PKG_VERSION"));

/// A REST host.
pub(super) struct Rest {
    base: String,
    max_body_bytes: usize,
    client: Result<reqwest::Client, String>,
}

impl Rest {
    pub(super) fn new(base: &str, limits: &EdgeLimits) -> Self {
        let client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(limits.connect_timeout)
            .timeout(limits.request_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string());
        let base = base.trim_end_matches('/').to_owned();
        Self { base, max_body_bytes: limits.max_body_bytes, client }
    }

    /// One request; what fails on the way is an answer with status 0 and the reason as its body.
    pub(super) async fn fetch(&self, request: u32, path: &str) -> RestReply {
        match self.get(path).await {
            Ok((status, bytes)) => RestReply { request, status, bytes },
            Err(reason) => RestReply { request, status: 0, bytes: reason.into_bytes() },
        }
    }

    async fn get(&self, path: &str) -> Result<(u16, Vec<u8>), String> {
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let text = |error: reqwest::Error| error.to_string();
        let mut response = client.get(format!("{}{path}", self.base)).send().await.map_err(text)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(text)? {
            if body.len() + chunk.len() > self.max_body_bytes {
                return Err(format!("body above {} bytes", self.max_body_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response.status().as_u16(), body))
    }
}
