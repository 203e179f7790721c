//! What happens to a row before the model sees it; it never looks whether the numbers are sound.

use super::Manifest;

/// `clip((x - mean) / scale)` in f32, as the training kit applies it.
#[derive(Clone, Debug, PartialEq)]
pub struct Normaliser {
    mean: Vec<f32>,
    scale: Vec<f32>,
    clip: f32,
}

impl Normaliser {
    /// What a manifest says.
    pub(super) fn of(manifest: &Manifest) -> Self {
        let floats = |v: &Option<Vec<f64>>| v.iter().flatten().map(|x| *x as f32).collect::<Vec<_>>();
        let n = &manifest.normalise;
        Self {
            mean: floats(&n.mean),
            scale: floats(&n.scale),
            clip: n.clip.map_or(f32::INFINITY, |c| c as f32),
        }
    }

    /// Normalises one raw row in place; without mean and scale nothing changes. NaN stays NaN.
    pub fn apply(&self, row: &mut [f32]) {
        for ((x, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
            *x = ((*x - mean) / scale).clamp(-self.clip, self.clip);
        }
    }
}
