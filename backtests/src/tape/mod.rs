//! The tape as hive-partitioned Parquet, and recorded Parquet as canonical JSON lines; derived from raw, never its source.
//!
//! `venue=V/type=T/date=D/part-0000.parquet`, where D is the UTC day of the receive time, or of the venue's time for a
//! recording that has no receive times. Equal tapes give equal files, byte for byte.

mod columns;
mod hive;
mod lines;

pub use hive::{HiveFile, HiveSummary, HiveWriter, write_hive};
pub use lines::{ParquetLines, read_l2_rows, read_quote_rows};
