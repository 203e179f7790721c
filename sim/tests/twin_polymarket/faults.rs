//! Each fault of the market channel, by comparing what a faulted twin sends with what a twin of the same seed sends.

use std::collections::BTreeSet;

use sim::WireFaults;
use sim::edge::polymarket::{Corruption, PolymarketHandle, PolymarketTwinConfig};
use sim::venues::polymarket::Mix;

use crate::client::{Client, Heard, spawn};

/// The message that goes wrong, counted from 0.
const N: u64 = 7;
/// Messages of a run.
const RUN: u64 = 20;

fn only(number: u64) -> BTreeSet<u64> {
    BTreeSet::from([number])
}

fn config(faults: WireFaults) -> PolymarketTwinConfig {
    PolymarketTwinConfig { mix: Mix::changes_only(), markets: 2, faults, ..Default::default() }
}

/// A run of a twin with one client: the data frames after the first books.
async fn run(config: PolymarketTwinConfig) -> (PolymarketHandle, Client, Vec<String>, Option<Heard>) {
    let twin = spawn(config);
    let mut client = Client::subscribed(&twin, &twin.assets(), false).await;
    let books = client.heard.len();
    twin.step(RUN).await;
    assert!(twin.quiesce().await);
    let end = client.catch_up().await;
    let data = client.heard[books..].to_vec();
    (twin, client, data, end)
}

async fn clean() -> Vec<String> {
    let (twin, client, data, end) = run(config(WireFaults::default())).await;
    assert_eq!((data.len() as u64, end), (RUN, None));
    assert_eq!(client.replica.wrong(&twin, &twin.assets()), Vec::<String>::new());
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_message_is_missing_and_the_book_is_wrong_until_it_is_asked_for_again() {
    let mut want = clean().await;
    want.remove(N as usize);
    let (twin, mut client, data, end) =
        run(config(WireFaults { drop: only(N), ..WireFaults::default() })).await;
    assert_eq!((data, end), (want, None));
    let assets = twin.assets();
    assert_ne!(client.replica.wrong(&twin, &assets), Vec::<String>::new());
    client.socket.say(crate::client::operation("subscribe", &assets)).await;
    client.catch_up().await;
    assert_eq!(client.replica.wrong(&twin, &assets), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicated_message_comes_twice() {
    let mut want = clean().await;
    want.insert(N as usize, want[N as usize].clone());
    let (_, _, data, end) = run(config(WireFaults { duplicate: only(N), ..WireFaults::default() })).await;
    assert_eq!((data, end), (want, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reordered_message_comes_after_its_successor_and_the_last_one_with_quiesce() {
    let mut want = clean().await;
    want.swap(N as usize, N as usize + 1);
    let reorder = BTreeSet::from([N, RUN - 1]);
    let (_, _, data, end) = run(config(WireFaults { reorder, ..WireFaults::default() })).await;
    assert_eq!((data, end), (want, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_comes_instead_of_the_message_without_a_goodbye() {
    let want = clean().await;
    let (twin, _, data, end) = run(config(WireFaults { cut: only(N), ..WireFaults::default() })).await;
    assert_eq!((data.as_slice(), end), (&want[..N as usize], Some(Heard::Cut)));
    assert_eq!(twin.stats().cuts, 1);
    let back = Client::subscribed(&twin, &twin.assets(), false).await;
    assert_eq!(back.replica.wrong(&twin, &twin.assets()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_comes_before_the_message() {
    let want = clean().await;
    let (_, client, data, end) = run(config(WireFaults { garbage: only(N), ..WireFaults::default() })).await;
    assert_eq!((data.len() as u64, end, client.replica.garbage), (RUN + 1, None, 1));
    assert!(serde_json::from_str::<serde_json::Value>(&data[N as usize]).is_err());
    assert_eq!(data[N as usize + 1..], want[N as usize..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_answers_pings_and_carries_nothing_until_it_is_opened_anew() {
    let want = clean().await;
    let (twin, mut client, data, end) =
        run(config(WireFaults { zombie: only(N), ..WireFaults::default() })).await;
    // `catch_up` ended with a PONG, so pings are answered.
    assert_eq!((data.as_slice(), end), (&want[..N as usize], None));
    let assets = twin.assets();
    client.socket.say(crate::client::operation("subscribe", &assets)).await;
    let before = client.heard.len();
    assert_eq!((client.catch_up().await, client.heard.len()), (None, before), "no books either");
    let mut back = Client::subscribed(&twin, &assets, false).await;
    twin.step(5).await;
    assert!(twin.quiesce().await);
    back.catch_up().await;
    assert_eq!(back.replica.count("price_change"), 5);
    assert_eq!(back.replica.wrong(&twin, &assets), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupted_message_has_one_wrong_figure_and_true_levels() {
    let want = clean().await;
    for corruption in [Corruption::BestPrice, Corruption::Hash] {
        let faults = WireFaults { corrupt: only(N), ..WireFaults::default() };
        let (twin, client, data, end) = run(PolymarketTwinConfig { corruption, ..config(faults) }).await;
        assert_eq!((data.len(), end), (want.len(), None));
        let differ: Vec<_> = (0..data.len()).filter(|&i| data[i] != want[i]).collect();
        assert_eq!(differ, [N as usize], "{corruption:?}");
        let entries = |text: &str| -> Vec<serde_json::Value> {
            let frame: serde_json::Value = serde_json::from_str(text).unwrap();
            frame["price_changes"].as_array().unwrap().clone()
        };
        for (bad, good) in entries(&data[N as usize]).iter().zip(entries(&want[N as usize])) {
            let keys =
                bad.as_object().unwrap().keys().filter(|&k| bad[k] != good[k]).cloned().collect::<Vec<_>>();
            assert_eq!(keys, [if corruption == Corruption::Hash { "hash" } else { "best_bid" }]);
        }
        let tops = if corruption == Corruption::Hash { 0 } else { 2 };
        assert_eq!((client.replica.bad_tops, twin.stats().corrupted), (tops, 1));
        assert_eq!(client.replica.wrong(&twin, &twin.assets()), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn corruption_that_falls_on_a_trade_waits_for_a_message_that_can_carry_it() {
    let mix = Mix { trades: 1_000, multi: 0, moves: 0, books_after_trades: true, natural_ticks: false };
    let faults = WireFaults { corrupt: only(0), ..WireFaults::default() };
    let (twin, client, data, _) = run(PolymarketTwinConfig { mix, ..config(faults) }).await;
    assert!(data[0].contains("last_trade_price"));
    assert_eq!((twin.stats().corrupted, client.replica.bad_tops, client.replica.bad_hashes), (1, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grid_change_comes_before_its_message_with_the_new_books() {
    let faults = WireFaults { tick_change: only(N), ..WireFaults::default() };
    let (twin, client, data, _) = run(config(faults)).await;
    let kinds: Vec<_> = data
        .iter()
        .map(|t| crate::client::objects(t)[0]["event_type"].as_str().unwrap().to_owned())
        .collect();
    let at = N as usize;
    assert_eq!(kinds[at..at + 4], ["tick_size_change", "tick_size_change", "book", "book"]);
    assert!(kinds[..at].iter().chain(&kinds[at + 4..]).all(|k| k == "price_change"), "{kinds:?}");
    let market = crate::client::objects(&data[at])[0]["market"].clone();
    assert_eq!(crate::client::objects(&data[at + 4])[0]["market"], market, "the market of its message");
    let assets = twin.assets();
    let fine: Vec<_> = assets.iter().filter(|a| twin.tick_size(a) == Some(1_000)).collect();
    assert_eq!(fine.len(), 2);
    assert_eq!(client.replica.wrong(&twin, &assets), Vec::<String>::new());
    assert_eq!((client.replica.bad_tops, client.replica.early), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_is_cut() {
    let config = PolymarketTwinConfig { queue: 4, markets: 200, ..config(WireFaults::default()) };
    let twin = spawn(config);
    let assets = twin.assets();
    let mut socket = crate::client::Socket::open(&twin.market_ws_url).await;
    for _ in 0..200 {
        socket.say(crate::client::first_frame(&assets, false)).await;
        if twin.stats().overflows > 0 {
            break;
        }
    }
    while twin.stats().overflows == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    while let Heard::Text(_) = socket.hear().await {}
}
