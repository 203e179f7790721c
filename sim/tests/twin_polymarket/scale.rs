//! Ten thousand assets over more than fifty connections; says how long it took and asserts only that it is right.

use std::time::Instant;

use sim::edge::polymarket::PolymarketTwinConfig;

use crate::client::{Client, Replica, Socket, first_frame, spawn};

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_assets_over_fifty_connections() {
    let began = Instant::now();
    let twin = spawn(PolymarketTwinConfig { markets: 5_000, ..Default::default() });
    let assets = twin.assets();
    assert_eq!(assets.len(), 10_000);
    let made = began.elapsed();
    let mut clients = Vec::new();
    for shard in assets.chunks(190) {
        let mut socket = Socket::open(&twin.market_ws_url).await;
        socket.say(first_frame(shard, false)).await;
        clients.push((shard.to_vec(), Client { socket, replica: Replica::default(), heard: Vec::new() }));
    }
    assert!(clients.len() > 50);
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|(shard, mut client)| {
            tokio::spawn(async move {
                client.catch_up().await;
                (shard, client)
            })
        })
        .collect();
    let mut clients = Vec::new();
    for task in tasks {
        clients.push(task.await.unwrap());
    }
    let live = began.elapsed();
    twin.step(5_000).await;
    assert!(twin.quiesce().await);
    let stepped = began.elapsed();
    for (shard, client) in &mut clients {
        client.catch_up().await;
        assert_eq!(client.replica.wrong(&twin, shard), Vec::<String>::new());
        assert_eq!((client.replica.bad_hashes, client.replica.bad_tops), (0, 0));
    }
    eprintln!("made {made:?}, all books read and verified by {live:?}, 5,000 messages more by {stepped:?}");
}
