//! The API's JSON into the house's words, and the house's words into it; it never guesses a missing number.

use schemas::public;
use schemas::{
    Commitment, Forecast, IndexPrice, IndexTick, MarketEvent, MarketId, MinerJoined, Ppm, Price, Question,
    Quote, Reveal, Timestamp, TopicId,
};

/// An instant of RFC 3339, exact to the nanosecond.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(at.as_nanosecond()).ok().map(Timestamp)
}

/// A question, if all of it is understood.
pub(super) fn question(q: &public::Question) -> Option<Question> {
    Some(Question {
        id: q.id.parse().ok()?,
        topic: TopicId::new(&q.topic)?,
        rules_version: q.rules_version,
        rules_hash: hash(&q.rules_hash)?,
        market: market(&q.market)?,
        symbol: q.symbol.clone(),
        strike: IndexPrice::from_decimal(&q.strike)?,
        market_starts_at: time(&q.market_starts_at)?,
        opens_at: time(&q.opens_at)?,
        commit_closes_at: time(&q.commit_closes_at)?,
        reveal_closes_at: time(&q.reveal_closes_at)?,
        resolves_at: time(&q.resolves_at)?,
        reference: Some(Ppm(q.reference_ppm)).filter(|p| p.is_valid())?,
        reference_source: q.reference_source.clone(),
        input_watermark: time(&q.input_watermark)?,
        market_mid: q.market_mid_ppm.map(Ppm),
    })
}

/// A market fact and when it was recorded.
pub(super) fn fact(fact: &public::MarketFact) -> Option<(Timestamp, MarketEvent)> {
    let event = match (&fact.tick, &fact.quote) {
        (Some(tick), None) => MarketEvent::Tick(IndexTick {
            symbol: tick.symbol.clone(),
            feed_at: time(&tick.feed_at)?,
            value: IndexPrice::from_decimal(&tick.value)?,
            server_at: None,
        }),
        (None, Some(quote)) => MarketEvent::Quote(Quote {
            market: market(&quote.market)?,
            bid: quote.bid_micros.map(Price),
            ask: quote.ask_micros.map(Price),
        }),
        _ => return None,
    };
    Some((time(&fact.at)?, event))
}

fn market(m: &public::MarketRef) -> Option<MarketId> {
    Some(MarketId { venue: m.venue.parse().ok()?, native: m.market_id.clone() })
}

/// 32 bytes from 64 hex digits.
pub(super) fn hash(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    hex::decode_to_slice(text, &mut out).ok()?;
    Some(out)
}

/// A registration's JSON; `None` for a member that the network named.
pub(super) fn registration(joined: &MinerJoined) -> Option<public::Registration> {
    Some(public::Registration {
        miner: joined.miner.to_string(),
        name: joined.name.clone(),
        kind: joined.kind.clone(),
        stake_micros: joined.stake.0.to_string(),
        signature: hex::encode(joined.signature?),
    })
}

/// A commitment's JSON.
pub(super) fn commitment(c: &Commitment) -> public::Commitment {
    public::Commitment {
        miner: c.miner.to_string(),
        question: c.question.to_string(),
        hash: c.hash.to_string(),
        signature: hex::encode(c.signature),
    }
}

/// A reveal's JSON.
pub(super) fn reveal(r: &Reveal) -> public::Reveal {
    public::Reveal {
        miner: r.miner.to_string(),
        question: r.question.to_string(),
        bundle: r.bundle.to_string(),
        nonce: hex::encode(r.nonce),
        forecast: match &r.forecast {
            Forecast::Probability(p) => public::Forecast::Probability { p_ppm: p.0 },
            Forecast::Quantiles(values) => public::Forecast::Quantiles { values: values.clone() },
        },
        signature: hex::encode(r.signature),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact_to_the_nanosecond() {
        assert_eq!(time("2026-06-08T00:00:00.123456789Z"), Some(Timestamp(1_780_876_800_123_456_789)));
        for bad in ["", "yesterday", "2026-06-08", "2026-06-08T00:00:00"] {
            assert_eq!(time(bad), None, "{bad}");
        }
    }
}
