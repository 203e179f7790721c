//! JSON forms that strangers send and receive, with their schema; never used between our own parts.
