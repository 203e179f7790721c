//! Kalshi's REST answers, each type in turn.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    use ingest::venue::kalshi::rest;
    let Some((first, body)) = data.split_first() else { return };
    match first % 12 {
        0 => drop(rest::decode::<rest::ExchangeStatus>(body)),
        1 => drop(rest::decode::<rest::Schedule>(body)),
        2 => drop(rest::decode::<rest::AccountLimits>(body)),
        3 => drop(rest::decode::<rest::EndpointCosts>(body)),
        4 => drop(rest::decode::<rest::OrderbookReply>(body)),
        5 => drop(rest::decode::<rest::Orderbooks>(body)),
        6 => drop(rest::decode::<rest::Trades>(body)),
        7 => drop(rest::decode::<rest::Candles>(body)),
        8 => drop(rest::decode::<rest::Markets>(body)),
        9 => drop(rest::decode::<rest::MarketReply>(body)),
        10 => drop(rest::decode::<rest::Events>(body)),
        _ => drop(rest::decode::<rest::SeriesList>(body)),
    }
});
