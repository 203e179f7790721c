//! The OpenAPI 3.1 document, derived from the handlers and the public words; written by nobody.

use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemas::public::{ClientMessage, MinerClientMessage, MinerServerMessage, ServerMessage};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{hosted, page, questions, read, register, socket, submit};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Oraculo",
        description = "Forecasts of prediction markets, judged by real outcomes and sold one signal at a time. \
            Errors are `application/problem+json` with a stable `code`. Times are RFC 3339 in microseconds, money is \
            a string of micro-USD, probabilities are numbers with their exact parts per million beside them.",
        version = "1"
    ),
    paths(
        read::topics, read::topic, read::latest, read::history, read::market_signal, read::leaderboard, read::miner,
        read::balance, read::livez, read::readyz, read::metrics, submit::commitment, submit::reveal, page::data,
        socket::upgrade, questions::network, questions::list, questions::market, register::registration,
        socket::upgrade_miner, hosted::upload, hosted::list, hosted::one, hosted::remove
    ),
    components(schemas(ClientMessage, ServerMessage, MinerClientMessage, MinerServerMessage)),
    modifiers(&Keys),
    tags(
        (name = "public", description = "Free, no key"),
        (name = "signals", description = "Sold: scope `signals:read` and a subscription"),
        (name = "stream", description = "Sold: scope `stream` and a subscription"),
        (name = "account", description = "Scope `account:read`"),
        (name = "miner", description = "Scope `miner:submit`"),
        (name = "hosted", description = "Bundles that the operator runs: scope `miner:host`"),
        (name = "health", description = "For operators")
    )
)]
struct Document;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = Http::builder()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("orc_live_…")
            .description(Some("An API key, made with `oraculo keys create`."))
            .build();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
    }
}

static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(openapi_json()));

/// The OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The OpenAPI document as the golden file has it: indented, with a final newline.
pub fn openapi_json() -> String {
    let mut text = openapi().to_pretty_json().expect("a document is plain data");
    text.push('\n');
    text
}

/// The document.
pub(super) async fn serve() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], TEXT.clone()).into_response()
}
