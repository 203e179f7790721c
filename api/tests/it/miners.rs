//! What miners that run elsewhere read and send: order, catching up, gaps, slow readers, registration; nothing sealed.

use api::keys::Scope;
use api::{Board, BoardLimits, Cursor, Item};
use schemas::verdict::What;
use schemas::{
    IndexPrice, IndexTick, Intake, MarketEvent, Micros, Ppm, Price, Q32, Quote, Record, RejectCode, Score,
    ScoreStatus, Settlement, Timestamp, Verdict,
};
use serde_json::{Value, json};

use crate::rig::{Rig, T0, Trouble, market, miner_id, question, topic_id};
use crate::socket::Client;

fn tick(second: i64) -> Record<MarketEvent> {
    let at = Timestamp::from_secs(T0 + second);
    let value = IndexPrice::from_decimal(&format!("6330{}.125", second % 10)).unwrap();
    let tick = IndexTick { symbol: "btc/usd".into(), feed_at: at, value, server_at: None };
    Record { seq: second as u64, at: at.plus(1), body: MarketEvent::Tick(tick) }
}

fn said(seq: u64, body: Verdict) -> Record<Verdict> {
    Record { seq, at: Timestamp::from_secs(T0), body }
}

/// Writes on the board as the node does, then rings.
fn write(rig: &Rig, write: impl FnOnce(&mut Board)) {
    write(&mut rig.state.board.write().unwrap());
    rig.state.bell.send_modify(|rings| *rings += 1);
}

fn opened(rig: &Rig, slot: i64) {
    write(rig, |board| assert!(board.verdict(&said(1, Verdict::QuestionOpened(question(0, slot))))));
}

fn miner_key(rig: &Rig) -> String {
    rig.key_with("acme", &[Scope::MinerSubmit])
}

async fn connect(rig: &Rig, key: &str) -> Client {
    let mut client =
        Client::at(rig, "/v1/miner/ws", &[("authorization", &format!("Bearer {key}"))]).await.unwrap();
    let welcome = client.next().await.unwrap();
    assert_eq!((&welcome["t"], &welcome["network"]["hash"]), (&json!("welcome"), &json!("00".repeat(32))));
    client
}

async fn subscribe(client: &mut Client, channels: &[&str], after: Option<u64>) {
    let miner = miner_id(1).to_string();
    client
        .say(&json!({"t": "subscribe", "id": 3, "channels": channels, "miner": miner, "market_after": after}))
        .await;
    assert_eq!(client.next().await.unwrap()["t"], "subscribed");
}

#[tokio::test]
async fn a_question_comes_between_the_facts_before_and_after_it() {
    let rig = Rig::start();
    let key = miner_key(&rig);
    (1..=3).for_each(|s| write(&rig, |board| assert!(board.market(&tick(s)))));
    opened(&rig, 0);
    write(&rig, |board| assert!(board.market(&tick(4))));
    let mut client = connect(&rig, &key).await;
    subscribe(&mut client, &["questions", "market"], Some(1)).await;
    let mut order = Vec::new();
    for _ in 0..4 {
        let message = client.next().await.unwrap();
        let seq = if message["t"] == "market" {
            &message["fact"]["seq"]
        } else {
            &message["question"]["market_seq"]
        };
        order.push((message["t"].as_str().unwrap().to_owned(), seq.as_u64().unwrap()));
    }
    let want = [("market", 2), ("market", 3), ("question", 3), ("market", 4)];
    assert_eq!(order, want.map(|(t, s)| (t.to_owned(), s)));
    write(&rig, |board| assert!(board.market(&tick(5))));
    let live = client.next().await.unwrap();
    assert_eq!(
        live["fact"]["tick"],
        json!({"symbol": "btc/usd", "feed_at": "2026-06-08T00:00:05.000000000Z", "value": "63305.125"})
    );
    rig.stop().await;
}

#[tokio::test]
async fn rest_gives_the_same_with_everything_a_commitment_needs() {
    let rig = Rig::start();
    let key = miner_key(&rig);
    (1..=5).for_each(|s| write(&rig, |board| assert!(board.market(&tick(s)))));
    let quote = Quote { market: market(0), bid: Some(Price(510_000)), ask: None };
    write(&rig, |board| {
        board.market(&Record { seq: 9, at: Timestamp::from_secs(T0 + 9), body: MarketEvent::Quote(quote) });
    });
    opened(&rig, 0);
    let list = rig.json("/v1/questions?state=open", Some(&key)).await;
    let (q, want) = (&list["data"][0], question(0, 0));
    assert_eq!((&q["id"], &q["phase"]), (&json!(want.id.to_string()), &json!("commit")));
    assert_eq!(
        (&q["network"], &q["rules_hash"]),
        (&json!("00".repeat(32)), &json!(hex::encode(want.rules_hash)))
    );
    assert_eq!(
        (&q["reference_ppm"], &q["market_seq"], &q["seq"]),
        (&json!(want.reference.0), &json!(6), &json!(1))
    );
    let page = rig.json("/v1/market/btc%2Fusd/history?since=2&limit=2", Some(&key)).await;
    let seqs = |page: &Value| {
        page["data"].as_array().unwrap().iter().map(|f| f["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((seqs(&page), &page["next"], &page["has_more"]), (vec![3, 4], &json!(4), &json!(true)));
    let page = rig.json("/v1/market/btc%2Fusd/history?since=4", Some(&key)).await;
    assert_eq!((seqs(&page), &page["next"], &page["has_more"]), (vec![5, 6], &json!(6), &json!(false)));
    assert_eq!(page["data"][1]["quote"]["bid_micros"], 510_000);
    let other = rig.json("/v1/market/eth%2Fusd/history", Some(&key)).await;
    assert_eq!(seqs(&other), vec![6], "a quote belongs to no index");
    rig.house.clock.store(want.reveal_closes_at.0, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(rig.json("/v1/questions", Some(&key)).await["data"], json!([]));
    assert_eq!(rig.json("/v1/questions?state=recent", Some(&key)).await["data"][0]["phase"], "waiting");
    assert_eq!(rig.json("/v1/network", None).await["hash"], json!("00".repeat(32)));
    rig.stop().await;
}

#[tokio::test]
async fn the_scope_is_the_entitlement() {
    let rig = Rig::start();
    rig.customer("acme", 1_000_000, &[0]);
    let customer = rig.key_with("acme", &[Scope::SignalsRead, Scope::Stream, Scope::AccountRead]);
    for path in ["/v1/questions", "/v1/market/btc%2Fusd/history"] {
        let answer = rig.get(path, Some(&customer)).await;
        assert_eq!(answer.status(), 403, "{path}");
        assert_eq!(rig.get(path, None).await.status(), 401, "{path}");
    }
    let header = format!("Bearer {customer}");
    let refused = Client::at(&rig, "/v1/miner/ws", &[("authorization", &header)]).await.err().unwrap();
    assert_eq!((refused.0, &refused.1["code"]), (403, &json!("scope_missing")));
    let header = format!("Bearer {}", miner_key(&rig));
    let refused = Client::with(&rig, &[("authorization", &header)]).await.err().unwrap();
    assert_eq!((refused.0, &refused.1["code"]), (403, &json!("scope_missing")), "signals are not for miners");
    rig.stop().await;
}

#[tokio::test]
async fn a_miner_hears_what_was_said_about_it_and_nobody_hears_a_seal() {
    let rig = Rig::start();
    let key = miner_key(&rig);
    let mut client = connect(&rig, &key).await;
    subscribe(&mut client, &["miner"], None).await;
    let (id, q) = (miner_id(1), question(0, 0).id);
    let (miner, question) = (Some(id), Some(q));
    let score = Score {
        question: q,
        topic: topic_id(0),
        miner: id,
        status: ScoreStatus::Scored,
        p: Some(Ppm(1)),
        score: Q32::ONE,
        reference: Q32(0),
        up: Some(false),
    };
    let settled =
        Settlement { question: q, miner: id, at_risk: Micros(9), delta: Micros(2), stake_after: Micros(11) };
    let other = Verdict::Accepted { what: What::Commitment, miner: Some(miner_id(2)), question };
    for verdict in [
        other,
        Verdict::Accepted { what: What::Commitment, miner, question },
        Verdict::Rejected { what: What::Reveal, miner, question, code: RejectCode::RevealTooEarly },
        Verdict::Scored(score),
        Verdict::Settled(settled),
    ] {
        write(&rig, |board| assert!(board.verdict(&said(1, verdict))));
    }
    let mut heard = Vec::new();
    for _ in 0..4 {
        let verdict = client.next().await.unwrap()["verdict"].clone();
        assert_eq!(verdict["question"], json!(q.to_string()));
        heard.push(format!("{} {}", verdict["what"], verdict["code"]).replace('"', ""));
    }
    assert_eq!(
        heard,
        ["commitment accepted", "reveal reveal_too_early", "score scored", "settlement settled"]
    );
    rig.stop().await;
}

/// A reader that is behind the board's memory is told what it missed, and goes on with what is kept.
#[test]
fn a_board_is_bounded_and_says_what_is_gone() {
    let mut board = Board::new(BoardLimits { facts: 3, questions: 2, told: 1 });
    (1..=10).for_each(|s| assert!(board.market(&tick(s))));
    (0..4).for_each(|slot| assert!(board.verdict(&said(1, Verdict::QuestionOpened(question(0, slot))))));
    let mut cursor = Cursor { questions: Some(1), market: Some(1), told: None };
    let items = board.read(&mut cursor, 64);
    let gaps: Vec<(u64, u64)> = items
        .iter()
        .filter_map(|i| if let Item::Gap(_, from, to) = i { Some((*from, *to)) } else { None })
        .collect();
    assert_eq!(gaps, [(1, 2), (1, 7)]);
    assert_eq!((items.len(), cursor.questions, cursor.market), (7, Some(5), Some(11)));
    assert_eq!(board.read(&mut cursor, 64), vec![]);
    let mut ahead = Cursor { market: Some(99), ..Cursor::default() };
    assert_eq!(
        (board.read(&mut ahead, 64), ahead.market),
        (vec![], Some(11)),
        "a position of another history"
    );
    let saved = schemas::Snapshot::save(&board);
    assert_eq!(<Board as schemas::Snapshot>::load(&saved).unwrap(), board);
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_closed_and_may_come_back() {
    let rig = Rig::with(
        |limits| {
            limits.socket.queue = 1;
            limits.socket.stall_ms = 50;
        },
        |_| {},
        64,
    );
    let key = miner_key(&rig);
    let mut client = connect(&rig, &key).await;
    subscribe(&mut client, &["market"], None).await;
    write(&rig, |board| (1..=8_000).for_each(|s| assert!(board.market(&tick(s)))));
    while rig.metrics().slow_consumers() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let mut again = connect(&rig, &key).await;
    subscribe(&mut again, &["market"], Some(7_999)).await;
    assert_eq!(again.next().await.unwrap()["fact"]["seq"], 8_000);
    rig.stop().await;
}

#[tokio::test]
async fn what_is_no_subscription_is_refused_in_words() {
    let rig = Rig::start();
    let mut client = connect(&rig, &miner_key(&rig)).await;
    for (message, code) in [
        (json!({"t": "subscribe", "id": 1, "channels": []}), "validation_failed"),
        (json!({"t": "subscribe", "id": 1, "channels": ["miner"]}), "validation_failed"),
        (json!({"t": "subscribe", "id": 1, "channels": ["miner"], "miner": "me"}), "validation_failed"),
        (json!({"t": "subscribe", "id": 1, "channels": ["signals"]}), "validation_failed"),
        (json!({"t": "shout", "id": 1}), "validation_failed"),
    ] {
        client.say(&message).await;
        let answer = client.next().await.unwrap();
        assert_eq!((&answer["t"], &answer["code"]), (&json!("error"), &json!(code)), "{message}");
    }
    client.say(&json!({"t": "ping", "id": 8})).await;
    assert_eq!(client.next().await.unwrap()["id"], 8);
    rig.stop().await;
}

#[tokio::test]
async fn a_registration_names_the_keys_account_and_answers_with_the_validators_word() {
    let rig = Rig::start();
    let key = miner_key(&rig);
    let good = json!({"miner": "ab".repeat(32), "name": "alice", "kind": "model", "stake_micros": "1000", "signature": "cd".repeat(64)});
    let post = async |body: &Value| {
        let request = rig.http.post(rig.url("/v1/miner/registrations")).bearer_auth(&key).json(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, receipt) = post(&good).await;
    assert_eq!((status, receipt["seq"].is_u64()), (200, true), "{receipt}");
    let submitted = rig.house.ledger.lock().unwrap().submitted.pop().unwrap();
    let Intake::Miner(joined) = submitted else { panic!("{submitted:?}") };
    assert_eq!((joined.stake, joined.account.unwrap().0.as_str()), (Micros(1_000), "acme"));
    assert_eq!(joined.signature, Some([0xcd; 64]));
    for (field, value) in [
        ("miner", json!("AB".repeat(32))),
        ("signature", json!("cd")),
        ("stake_micros", json!("1e3")),
        ("stake_micros", json!("-1")),
        ("stake_micros", json!("+1")),
        ("stake_micros", json!(1000)),
        ("stake_micros", json!("99999999999999999999")),
        ("extra", json!(1)),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let (status, problem) = post(&bad).await;
        assert_eq!((status, &problem["code"]), (422, &json!("validation_failed")), "{field}: {problem}");
    }
    for (code, status) in [
        (RejectCode::CreditsExhausted, 402),
        (RejectCode::NameTaken, 409),
        (RejectCode::DuplicateMiner, 409),
        (RejectCode::BadSignature, 422),
    ] {
        rig.trouble(Some(Trouble::Reject(code)));
        let (got, problem) = post(&good).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code.code())));
    }
    rig.stop().await;
}
