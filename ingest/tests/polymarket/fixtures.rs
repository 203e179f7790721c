//! Every recorded or hand-made frame of the adapter fixtures decodes to stated values; skipped where they are absent.

use ingest::scan::Scan;
use ingest::venue::VenueMachine;
use ingest::venue::polymarket::market_wire::{Event, Scratch, read};
use schemas::{BookSide, Phase, Ppm, TapeBody, TopRow};

use crate::{YES, capture, recorded, rows};

fn fixture(name: &str) -> Option<Vec<u8>> {
    recorded(&format!("nautilus_test_data/nautilus__{name}.json"))
}

#[test]
fn books_of_three_fixtures_hold_what_they_state() {
    for (name, bids, asks) in
        [("ws_market_book_msg", 2, 2), ("ws_book_snapshot", 3, 3), ("clob_book_response", 3, 3)]
    {
        let Some(bytes) = fixture(name) else { continue };
        let mut rig = capture();
        rig.frame(std::str::from_utf8(&bytes).unwrap());
        let (_, slot) = rig.machine.shelf().slots().next().unwrap();
        let best = |side| slot.book.best(side).map(|level| (level.price, level.qty));
        let want = match name {
            "clob_book_response" => ((500_000, 150_000_000), (510_000, 120_000_000)),
            _ => ((500_000, 200_000_000), (510_000, 150_000_000)),
        };
        assert_eq!((best(BookSide::Bid), best(BookSide::Ask)), (Some(want.0), Some(want.1)), "{name}");
        assert_eq!(slot.book.side(BookSide::Bid).len(), bids, "{name}");
        assert_eq!(slot.book.side(BookSide::Ask).len(), asks, "{name}");
        assert!(slot.state.is_live() && rig.counts().quarantined == 0, "{name}");
    }
}

#[test]
fn changes_of_two_fixtures_are_what_they_state() {
    for (name, count) in [("ws_market_price_change_msg", 1), ("ws_quotes", 2)] {
        let Some(bytes) = fixture(name) else { continue };
        let mut scratch = Scratch::default();
        let event = read(&mut Scan::new(&bytes), &mut scratch).unwrap();
        assert!(matches!(event, Event::Changes { market: Some(_), ms: 1_703_875_201_000 }), "{name}");
        assert_eq!(scratch.changes.len(), count, "{name}");
        let first = scratch.changes[0];
        assert_eq!(first.asset.of(&bytes), YES.as_bytes());
        assert_eq!((first.side, first.price, first.qty), (BookSide::Bid, 510_000, 150_000_000));
        assert_eq!((first.best_bid, first.best_ask), (510_000, 520_000));
        if let Some(second) = scratch.changes.get(1) {
            assert_eq!((second.side, second.price, second.qty), (BookSide::Ask, 490_000, 100_000_000));
        }
    }
}

#[test]
fn trades_ticks_quotes_and_lifecycle_of_the_fixtures() {
    let mut rig = capture();
    let mut say = |name: &str| {
        fixture(name).map(|bytes| {
            let out = rig.frame(std::str::from_utf8(&bytes).unwrap());
            assert_eq!(rig.counts().quarantined, 0, "{name}");
            rows(&out).map(|row| (row.times.venue_at.unwrap().millis(), row.body.clone())).collect::<Vec<_>>()
        })
    };
    for name in ["ws_last_trade", "ws_market_last_trade_msg"] {
        let Some(said) = say(name) else { return };
        let trade = said.iter().find_map(|(ms, body)| match body {
            TapeBody::Trade(trade) => Some((*ms, trade.price, trade.qty, trade.taker)),
            _ => None,
        });
        // The second is the first once more.
        let want = (name == "ws_last_trade").then_some((
            1_703_875_202_000,
            510_000,
            25_000_000,
            Some(BookSide::Bid),
        ));
        assert_eq!(trade, want);
    }
    for (name, told) in [("ws_market_tick_size_msg", true), ("ws_tick_size_change", false)] {
        let Some(said) = say(name) else { return };
        let want = (1_703_875_210_000, TapeBody::TickSize { old: Some(100_000), new: 10_000 });
        assert_eq!(said.contains(&want), told, "{name}");
    }
    let Some(said) = say("ws_market_best_bid_ask_msg") else { return };
    let top = |price| Some(TopRow { price, qty: None });
    let want = TapeBody::Quote { bid: top(730_000), ask: top(770_000) };
    assert_eq!(said.last(), Some(&(1_766_789_469_958, want)));
    for (name, phase, payout) in [
        ("ws_market_new_market_msg", Phase::Created, None),
        ("ws_market_resolved_msg", Phase::Final, Some(Ppm::ONE)),
    ] {
        let Some(said) = say(name) else { return };
        let Some((1_766_790_415_550, TapeBody::Lifecycle(life))) = said.last() else { panic!("{name}") };
        assert_eq!((life.phase, life.payout), (phase, payout), "{name}");
        assert_eq!(life.market, "0x311d0c4b6671ab54af4970c06fcf58662516f5168997bdda209ec3db5aa6b0c1");
    }
}
