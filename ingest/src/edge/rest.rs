//! GET and POST requests with a deadline and a size limit; every request is answered exactly once and never retried.

use std::sync::Arc;

use schemas::RestReply;

use super::EdgeLimits;
use super::endpoints::path_of;
use super::sign::{self, Signer};

/// What the venue's log sees of us.
const USER_AGENT: &str = concat!("oraculo/", env!("CARGO_PKG_VERSION"));

/// The REST hosts of a venue.
pub(super) struct Rest {
    bases: Vec<String>,
    max_body_bytes: usize,
    signer: Option<Arc<dyn Signer>>,
    client: Result<reqwest::Client, String>,
}

impl Rest {
    pub(super) fn new(hosts: &[String], limits: &EdgeLimits, signer: Option<Arc<dyn Signer>>) -> Self {
        let client = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(limits.connect_timeout)
            .timeout(limits.request_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string());
        let bases = hosts.iter().map(|base| base.trim_end_matches('/').to_owned()).collect();
        Self { bases, max_body_bytes: limits.max_body_bytes, signer, client }
    }

    /// One request; what fails on the way is an answer with status 0 and the reason as its body.
    pub(super) async fn fetch(&self, request: u32, host: u8, path: &str, body: Option<String>) -> RestReply {
        match self.ask(host, path, body).await {
            Ok((status, bytes)) => RestReply { request, status, bytes },
            Err(reason) => RestReply { request, status: 0, bytes: reason.into_bytes() },
        }
    }

    async fn ask(&self, host: u8, path: &str, body: Option<String>) -> Result<(u16, Vec<u8>), String> {
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let text = |error: reqwest::Error| error.to_string();
        let base = self.bases.get(usize::from(host)).ok_or_else(|| format!("no host {host}"))?;
        let url = format!("{base}{path}");
        let method = if body.is_some() { "POST" } else { "GET" };
        let signed = sign::headers(self.signer.as_ref(), method, path_of(&url)).await?;
        let mut request = match body {
            Some(body) => client.post(url).header("content-type", "application/json").body(body),
            None => client.get(url),
        };
        for (name, value) in signed {
            request = request.header(name, value);
        }
        let mut response = request.send().await.map_err(text)?;
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
