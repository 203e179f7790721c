//! Recordings made by others as raw records: the grammars of their files, never a guess about a missing time.
