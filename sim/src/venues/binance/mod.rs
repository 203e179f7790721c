//! Binance's wire forms and the true books of a made-up Binance; never a socket.
