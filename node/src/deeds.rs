//! Executes deeds: venue requests, inference, signatures, pushes. Never decides one.

use std::sync::Arc;

use api::Push;
use forecaster::edge::Lanes;
use forecaster::signer::MinerKey;
use ingest::edge::VenueEdge;
use schemas::inference::Answer;
use schemas::{BundleId, InferenceResult, Intake, Raw};
use tokio::sync::{broadcast, watch};

use crate::clock::Clock;
use crate::kernel::{Cmd, KernelHandle};
use crate::probe::Probe;
use crate::roles::desk::Waiting;
use crate::signing::ValidatorKey;
use crate::wire::Deed;

/// What a deed's answer says when the edge's queue is full.
const OVERLOADED: &str = "the venue's edge is overloaded";

/// A hosted miner's means to submit.
pub struct MinerHand {
    /// Its key.
    pub key: MinerKey,
    /// The bundle its reveals carry.
    pub bundle: BundleId,
}

/// Everything deeds need.
pub struct Deeds {
    /// The venue's sockets, where the feed is.
    pub venue: Option<VenueEdge>,
    /// The models, where miners are.
    pub lane: Option<Lanes>,
    /// Miners, by index in the plan.
    pub miners: Vec<MinerHand>,
    /// Validators, by index in the plan.
    pub validators: Vec<ValidatorKey>,
    /// Hash of the network's name, inside every commitment.
    pub network: [u8; 32],
    /// Where subscribers' sockets listen.
    pub pushes: broadcast::Sender<Arc<Push>>,
    /// Rings when the board has changed.
    pub bell: watch::Sender<u64>,
    /// Measures questions on their way, in benchmarks.
    pub probe: Option<Probe>,
    /// Whoever waits for verdicts of another process.
    pub answers: Arc<Waiting>,
    /// The way back to the kernel, for deeds that fail at once.
    pub kernel: KernelHandle,
}

impl Deeds {
    /// Executes one deed. What is signed here comes back to be submitted.
    pub fn execute(&mut self, deed: Deed, clock: &Clock) -> Option<Intake> {
        match deed {
            Deed::Feed(deed) => {
                self.feed(deed, clock);
                None
            }
            Deed::Infer(request) => {
                clock.enter();
                if let Some(probe) = &self.probe {
                    probe.asked(request.question);
                }
                let (miner, question, bundle) = (request.miner, request.question, request.bundle);
                let sent = match &self.lane {
                    Some(lane) => lane.submit(request).map_err(|e| e.code()),
                    None => Err("no_lane"),
                };
                if let Err(code) = sent {
                    let answer = Answer::Failed(code.to_owned());
                    self.back(Cmd::Inference(InferenceResult { miner, question, bundle, answer }), clock);
                }
                None
            }
            Deed::Commit { miner, question, forecast } => {
                let hand = &self.miners[miner];
                Some(Intake::Commitment(hand.key.commit(&self.network, hand.bundle, question, &forecast)))
            }
            Deed::Reveal { miner, question, forecast } => {
                let hand = &self.miners[miner];
                Some(Intake::Reveal(hand.key.reveal(&self.network, hand.bundle, question, &forecast)))
            }
            Deed::Report { validator, draft } => {
                Some(Intake::Report(self.validators[validator].report(draft)))
            }
            Deed::Vote { validator, epoch, root } => {
                Some(Intake::Vote(self.validators[validator].vote(epoch, root)))
            }
            Deed::Ring => {
                self.bell.send_modify(|rings| *rings += 1);
                None
            }
            Deed::Answer(verdict) => {
                self.answers.answer(*verdict);
                None
            }
            Deed::Push(push) => {
                if let (Some(probe), Push::Signal { signal }) = (&self.probe, &*push) {
                    probe.issued(signal.question);
                }
                // No subscriber is no error.
                let _ = self.pushes.send(push);
                None
            }
        }
    }

    /// In lockstep every deed is in flight until the record that answers it is applied; the twin leaves for texts.
    fn feed(&self, deed: ingest::Deed, clock: &Clock) {
        let answer = deed.refusal(OVERLOADED);
        clock.enter();
        if self.venue.as_ref().is_none_or(|venue| venue.deed(deed).is_err()) {
            match answer {
                Some(raw) => self.back(Cmd::Raw(raw), clock),
                None => clock.leave(1),
            }
        }
    }

    fn back(&self, cmd: Cmd, clock: &Clock) {
        if self.kernel.try_send(cmd).is_err() {
            tracing::error!("the kernel's queue is full; a failed deed could not be reported");
            clock.leave(1);
        }
    }
}

/// How many things in flight this raw record settles.
pub fn settled_by(raw: &Raw) -> u32 {
    u32::from(!matches!(raw, Raw::TimeAdvanced { .. }))
}
