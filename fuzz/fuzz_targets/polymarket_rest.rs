//! Answers of Gamma, CLOB and Data API, each decoder in turn.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ingest::venue::polymarket::rest::{clob, data as data_api, gamma};
    let Some((first, body)) = data.split_first() else { return };
    match first % 10 {
        0 => {
            if let Ok(market) = gamma::market(body) {
                let _ = (market.payout(), market.phase(), market.lifecycle());
            }
        }
        1 => drop(gamma::markets(body)),
        2 => drop(gamma::events(body)),
        3 => drop(clob::books(body)),
        4 => drop(clob::prices_history(body)),
        5 => drop(clob::info(body)),
        6 => drop(clob::market(body)),
        7 => drop(data_api::trades(body)),
        8 => drop(data_api::resolutions(body)),
        _ => drop((clob::fee_rate(body), clob::tick_size(body))),
    }
});
