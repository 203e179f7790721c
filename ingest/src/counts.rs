//! What a venue's machine saw, counted since its start; the numbers an import prints and an operator watches.

use minicbor::{Decode, Encode};

/// Counters of one machine. Every drop is in one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Counts {
    /// Frames and REST answers read.
    #[n(0)]
    pub frames: u64,
    /// Rows said.
    #[n(1)]
    pub rows: u64,
    /// Book changes applied (levels outside snapshots).
    #[n(2)]
    pub deltas: u64,
    /// Snapshots applied.
    #[n(3)]
    pub snapshots: u64,
    /// Gaps opened: one per book and loss.
    #[n(4)]
    pub gaps: u64,
    /// Messages older than the snapshot, dropped as the venue's rules ask.
    #[n(5)]
    pub stale_dropped: u64,
    /// Messages seen before, dropped.
    #[n(6)]
    pub duplicates: u64,
    /// Checksums or hashes that fit.
    #[n(7)]
    pub checksums_ok: u64,
    /// Checksums or hashes that did not.
    #[n(8)]
    pub checksums_bad: u64,
    /// Changes that would have made a level negative.
    #[n(9)]
    pub negative_levels: u64,
    /// Times a book was seen crossed.
    #[n(10)]
    pub crossed: u64,
    /// Executions seen, each id once: public trades and own fills.
    #[n(11)]
    pub fills: u64,
    /// Fees in fills that the schedule gives too.
    #[n(12)]
    pub fees_ok: u64,
    /// Fees in fills that it does not.
    #[n(13)]
    pub fees_bad: u64,
    /// The venue's best prices agreed with our book's.
    #[n(14)]
    pub tops_ok: u64,
    /// They did not.
    #[n(15)]
    pub tops_bad: u64,
    /// REST audits that agreed.
    #[n(16)]
    pub audits_ok: u64,
    /// REST audits that did not.
    #[n(17)]
    pub audits_bad: u64,
    /// Legal messages of no concern.
    #[n(18)]
    pub foreign: u64,
    /// Records of a connection or request that is no longer ours.
    #[n(19)]
    pub stray: u64,
    /// Frames and answers that could not be used; they stay in the archive.
    #[n(20)]
    pub quarantined: u64,
    /// Connections that failed or ended.
    #[n(21)]
    pub disconnects: u64,
    /// Requests without a usable answer.
    #[n(22)]
    pub failed_requests: u64,
    /// Error frames of the venue.
    #[n(23)]
    pub venue_errors: u64,
}

impl Counts {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            frames: self.frames + other.frames,
            rows: self.rows + other.rows,
            deltas: self.deltas + other.deltas,
            snapshots: self.snapshots + other.snapshots,
            gaps: self.gaps + other.gaps,
            stale_dropped: self.stale_dropped + other.stale_dropped,
            duplicates: self.duplicates + other.duplicates,
            checksums_ok: self.checksums_ok + other.checksums_ok,
            checksums_bad: self.checksums_bad + other.checksums_bad,
            negative_levels: self.negative_levels + other.negative_levels,
            crossed: self.crossed + other.crossed,
            fills: self.fills + other.fills,
            fees_ok: self.fees_ok + other.fees_ok,
            fees_bad: self.fees_bad + other.fees_bad,
            tops_ok: self.tops_ok + other.tops_ok,
            tops_bad: self.tops_bad + other.tops_bad,
            audits_ok: self.audits_ok + other.audits_ok,
            audits_bad: self.audits_bad + other.audits_bad,
            foreign: self.foreign + other.foreign,
            stray: self.stray + other.stray,
            quarantined: self.quarantined + other.quarantined,
            disconnects: self.disconnects + other.disconnects,
            failed_requests: self.failed_requests + other.failed_requests,
            venue_errors: self.venue_errors + other.venue_errors,
        }
    }
}
