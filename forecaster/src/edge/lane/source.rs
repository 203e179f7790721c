//! What a lane runs, seen from the lane: rows in, numbers out; it never knows which engine or process does it.

use std::sync::Arc;
use std::time::Duration;

use schemas::BundleId;

use crate::bundle::Bundle;
use crate::bundle::golden::Pair;
use crate::edge::engines::Engines;
use crate::edge::model::Model;
use crate::engine::{Device, LoadOptions, ProviderReport, RowIo, Session};
use crate::error::ForecasterError;

/// A loaded model that answers rows. One owner, one thread at a time.
pub trait Rows: Send {
    /// How many numbers one row has.
    fn width(&self) -> usize;

    /// How many numbers one answer has.
    fn answer_width(&self) -> usize;

    /// Most rows in one run.
    fn max_batch(&self) -> usize;

    /// Least and greatest legal answer.
    fn range(&self) -> [f64; 2];

    /// Where it runs.
    fn report(&self) -> &ProviderReport;

    /// Appends the answers of `n` rows (`rows.len() == n * width`, `1 ≤ n ≤ max_batch`), `n * answer_width` numbers.
    fn predict_into(&mut self, rows: &[f32], n: usize, out: &mut Vec<f32>) -> Result<(), ForecasterError>;
}

impl Rows for Model {
    fn width(&self) -> usize {
        Model::width(self)
    }
    fn answer_width(&self) -> usize {
        Model::answer_width(self)
    }
    fn max_batch(&self) -> usize {
        Model::max_batch(self)
    }
    fn range(&self) -> [f64; 2] {
        Model::range(self)
    }
    fn report(&self) -> &ProviderReport {
        Model::report(self)
    }
    fn predict_into(&mut self, rows: &[f32], n: usize, out: &mut Vec<f32>) -> Result<(), ForecasterError> {
        Model::predict_into(self, rows, n, out)
    }
}

/// Where a version of a model can be loaded from, again and again: at the start, after a panic, on a reload.
pub trait Source: Send + Sync {
    /// The version's name; every answer carries it.
    fn id(&self) -> BundleId;

    /// Loads it for the calling thread.
    fn load(&self) -> Result<Box<dyn Rows>, ForecasterError>;

    /// What it takes and gives, for people; two versions that differ in it cannot replace each other.
    fn takes(&self) -> String;

    /// Row and answer pairs that the loaded model must reproduce; none if there is nothing to compare with.
    fn golden(&self) -> &[Pair];

    /// How long a batch may take.
    fn deadline(&self) -> Duration;
}

/// A bundle in the engines of this process.
pub struct BundleSource {
    engines: Engines,
    bundle: Arc<Bundle>,
    device: Device,
}

impl BundleSource {
    /// A bundle that is loaded on a device.
    pub fn new(engines: &Engines, bundle: Arc<Bundle>, device: Device) -> Self {
        Self { engines: engines.clone(), bundle, device }
    }
}

impl Source for BundleSource {
    fn id(&self) -> BundleId {
        self.bundle.id()
    }

    fn load(&self) -> Result<Box<dyn Rows>, ForecasterError> {
        let model = self.engines.load(&self.bundle, self.device)?;
        if model.takes_rows() {
            return Ok(Box::new(model));
        }
        Err(ForecasterError::Run(
            "the bundle takes no feature rows; `oraculo model predict` runs it with whole tensors".to_owned(),
        ))
    }

    fn takes(&self) -> String {
        let manifest = self.bundle.manifest();
        let set = manifest.feature_set().map_or("nothing", |set| set.name);
        format!("takes rows of {set} and answers {}", manifest.answer().kind.name())
    }

    fn golden(&self) -> &[Pair] {
        self.bundle.golden().pairs()
    }

    fn deadline(&self) -> Duration {
        Duration::from_millis(u64::from(self.bundle.manifest().limits.deadline_ms))
    }
}

/// A bare ONNX file without a bundle around it, for benchmarks and tools: rows go in as they are.
pub struct BareSource<F> {
    /// Its name.
    pub id: BundleId,
    /// How rows go in and out.
    pub rows: RowIo,
    /// Most rows in one run.
    pub max_batch: usize,
    /// How long a batch may take.
    pub deadline: Duration,
    /// Loads a session with the options it is given.
    pub open: F,
}

/// A bare session.
struct Bare {
    session: Box<dyn Session>,
    width: usize,
    answer_width: usize,
    max_batch: usize,
}

impl<F> Source for BareSource<F>
where
    F: Fn(&LoadOptions) -> Result<Box<dyn Session>, ForecasterError> + Send + Sync,
{
    fn id(&self) -> BundleId {
        self.id
    }

    fn load(&self) -> Result<Box<dyn Rows>, ForecasterError> {
        let rows = Some(self.rows.clone());
        let options = LoadOptions { rows, max_batch: self.max_batch, ..LoadOptions::default() };
        Ok(Box::new(Bare {
            session: (self.open)(&options)?,
            width: self.rows.row_width(),
            answer_width: self.rows.answer_width,
            max_batch: self.max_batch,
        }))
    }

    fn takes(&self) -> String {
        format!("takes {} numbers and answers {}", self.rows.row_width(), self.rows.answer_width)
    }

    fn golden(&self) -> &[Pair] {
        &[]
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }
}

impl Rows for Bare {
    fn width(&self) -> usize {
        self.width
    }
    fn answer_width(&self) -> usize {
        self.answer_width
    }
    fn max_batch(&self) -> usize {
        self.max_batch
    }
    fn range(&self) -> [f64; 2] {
        [f64::from(f32::MIN), f64::from(f32::MAX)]
    }
    fn report(&self) -> &ProviderReport {
        self.session.report()
    }
    fn predict_into(&mut self, rows: &[f32], n: usize, out: &mut Vec<f32>) -> Result<(), ForecasterError> {
        self.session.run_rows(rows, n, out)
    }
}
