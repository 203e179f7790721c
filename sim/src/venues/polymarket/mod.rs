//! Polymarket's wire forms and the true books of a made-up Polymarket; never a socket.
