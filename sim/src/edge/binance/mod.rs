//! The twin of Binance over loopback: its exact protocol, and faults where a test asks for them.
