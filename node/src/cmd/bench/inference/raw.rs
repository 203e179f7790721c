//! ONNX Runtime's C interface with nothing of ours around it: the floor that our own call is measured against.

use anyhow::{Context as _, Result};
use forecaster::edge::Engines;
use forecaster::edge::raw_ort::{RawRunner, raw_runner};

use super::workloads::Workload;

/// One model at one batch size.
pub(super) struct Raw(RawRunner);

impl Raw {
    pub(super) fn open(engines: &Engines, workload: &Workload, batch: usize) -> Result<Self> {
        let rows = workload.batch(0, batch);
        let runner = raw_runner(engines, &workload.model, &workload.io, rows, batch);
        Ok(Self(runner.with_context(|| format!("{} in the C interface", workload.name))?))
    }

    /// Puts the rows in place and calls `Run`.
    pub(super) fn run(&mut self, rows: &[f32]) -> Result<()> {
        self.0.set_rows(rows);
        Ok(self.0.run()?)
    }
}
