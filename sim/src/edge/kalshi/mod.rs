//! The twin of Kalshi over loopback: its exact protocol, and faults where a test asks for them.
