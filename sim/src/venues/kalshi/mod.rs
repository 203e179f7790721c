//! Kalshi's wire forms and the true books of a made-up Kalshi; never a socket.
