//! How much of a day each market's book was live, stale, resyncing or lost; folded from a tape, never claimed.
