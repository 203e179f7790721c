//! Runs a model on made-up inputs to learn what really comes out; the inputs follow from a seed, never from chance.

use super::plan::{PlanDim, PlanInput};
use crate::engine::{Data, Dtype, Session, Tensor};
use crate::error::{Check, ForecasterError};

/// Sizes that are tried for free dimensions, one after the other.
const SIZES: [usize; 8] = [64, 32, 512, 16, 128, 256, 8, 1];
/// Numbers that are tried for an integer that sets a mode.
const MODES: [i64; 4] = [1, 0, 16_000, 8_000];
/// The same for one that is called a rate.
const RATES: [i64; 4] = [16_000, 8_000, 1, 0];
/// Most numbers of one probe input, so that a declared size takes no memory of ours.
const MAX_NUMBERS: usize = 1 << 24;

/// What the caller said and what a search found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Setting {
    /// Rows.
    pub(super) batch: usize,
    /// Size of every free dimension that is not in `dims`.
    pub(super) free: usize,
    /// Sizes of free dimensions by name.
    pub(super) dims: Vec<(String, usize)>,
    /// Values of constant inputs by name.
    pub(super) constants: Vec<(String, f64)>,
}

impl Setting {
    /// The size of one dimension.
    fn size(&self, dim: &PlanDim) -> usize {
        match dim {
            PlanDim::Fixed(n) => *n as usize,
            PlanDim::Batch => self.batch,
            PlanDim::Free(name) => {
                self.dims.iter().find(|(n, _)| n == name).map_or(self.free, |(_, size)| *size)
            }
        }
    }

    /// Inputs of this setting; another seed gives other numbers. States are zeros, constants what they are.
    pub(super) fn inputs(&self, plan: &[PlanInput], seed: u64) -> Result<Vec<Tensor>, ForecasterError> {
        plan.iter().enumerate().map(|(i, input)| self.input(input, seed * 1000 + i as u64)).collect()
    }

    fn input(&self, input: &PlanInput, seed: u64) -> Result<Tensor, ForecasterError> {
        let shape: Vec<usize> = input.dims.iter().map(|d| self.size(d)).collect();
        let count = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= MAX_NUMBERS);
        let Some(count) = count else {
            let detail = format!("input `{}` of shape {shape:?} is too large to try", input.name);
            return Err(ForecasterError::check(Check::Import, detail));
        };
        let constant = self.constants.iter().find(|(name, _)| *name == input.name).map(|(_, v)| *v);
        let zero = input.next.is_some();
        let number = |i: usize| match constant {
            Some(value) => value,
            None if zero => 0.0,
            // Sixty-fourths between -1 and 1: exact in every float type, and short in a file.
            None => (draw(seed, i as u64) % 129) as f64 / 64.0 - 1.0,
        };
        // Integers are indices as often as not: small ones are within every table.
        let whole = |i: usize| match constant {
            Some(value) => value as i64,
            None if zero => 0,
            None => (draw(seed, i as u64) % 8) as i64,
        };
        let data = match input.dtype {
            Dtype::F32 => Data::F32((0..count).map(|i| number(i) as f32).collect()),
            Dtype::F64 => Data::F64((0..count).map(number).collect()),
            Dtype::I32 => Data::I32((0..count).map(|i| whole(i) as i32).collect()),
            Dtype::I64 => Data::I64((0..count).map(whole).collect()),
            Dtype::U8 => Data::U8((0..count).map(|i| whole(i) as u8).collect()),
            Dtype::Bool => Data::Bool((0..count).map(|i| whole(i) % 2 == 1).collect()),
        };
        Ok(Tensor { name: input.name.clone(), shape, data })
    }
}

/// SplitMix64 of a place in a stream.
pub(super) const fn draw(seed: u64, at: u64) -> u64 {
    let x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(at.wrapping_mul(0xd1b5_4a32_d192_ed03));
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Finds a setting with which the model runs one row: what the caller said, and for the rest the first that works.
pub(super) fn search(
    session: &mut dyn Session,
    plan: &[PlanInput],
    said: &Setting,
) -> Result<Setting, ForecasterError> {
    let named = |name: &str| said.constants.iter().any(|(n, _)| n == name);
    let modes: Vec<&PlanInput> = plan.iter().filter(|i| i.is_mode() && !named(&i.name)).collect();
    let unsaid = |d: &PlanDim| matches!(d, PlanDim::Free(n) if said.dims.iter().all(|(name, _)| name != n));
    let free = plan.iter().flat_map(|i| &i.dims).any(unsaid);
    let mut last = None;
    for m in 0..if modes.is_empty() { 1 } else { MODES.len() } {
        for size in SIZES.iter().take(if free { SIZES.len() } else { 1 }) {
            let mut setting = Setting { batch: 1, free: *size, ..said.clone() };
            setting.constants.extend(modes.iter().map(|i| (i.name.clone(), mode(&i.name, m))));
            match session.run(&setting.inputs(plan, 0)?) {
                Ok(_) => return Ok(setting),
                Err(error) => last = Some(error),
            }
        }
    }
    let why = last.map(|e| e.to_string()).unwrap_or_default();
    let detail =
        format!("no probe input runs; name sizes with --dim and modes with --constant. The last try: {why}");
    Err(ForecasterError::check(Check::Import, detail))
}

/// The m-th number to try for a mode.
fn mode(name: &str, m: usize) -> f64 {
    let name = name.to_lowercase();
    let list = if name == "sr" || name.contains("rate") { RATES } else { MODES };
    list[m] as f64
}

/// What really comes out in three settings: as found, with two rows, with free dimensions twice as long.
pub(super) struct Learnt {
    /// As found.
    pub(super) base: Vec<Tensor>,
    /// With two rows; why not if it fails.
    pub(super) double: Result<Vec<Tensor>, ForecasterError>,
    /// With longer free dimensions; `None` when there are none or it fails.
    pub(super) longer: Option<Vec<Tensor>>,
}

/// Runs the three settings.
pub(super) fn learn(
    session: &mut dyn Session,
    plan: &[PlanInput],
    setting: &Setting,
) -> Result<Learnt, ForecasterError> {
    let base = session.run(&setting.inputs(plan, 0)?)?;
    let two = Setting { batch: 2, ..setting.clone() };
    let double = session.run(&two.inputs(plan, 0)?);
    let dims = setting.dims.iter().map(|(name, size)| (name.clone(), size * 2)).collect();
    let long = Setting { free: setting.free * 2, dims, ..setting.clone() };
    let has_free = plan.iter().flat_map(|i| &i.dims).any(|d| matches!(d, PlanDim::Free(_)));
    let longer = if has_free { session.run(&long.inputs(plan, 0)?).ok() } else { None };
    Ok(Learnt { base, double, longer })
}

impl Learnt {
    /// The shape of an output as it really is: what grows with the rows is the batch, what grows with the free dimensions
    /// is free.
    pub(super) fn shape(&self, output: &Tensor, plan: &[PlanInput], setting: &Setting) -> Vec<PlanDim> {
        let of = |tensors: &[Tensor], i: usize| {
            let other = tensors.iter().find(|t| t.name == output.name)?;
            (other.shape.len() == output.shape.len()).then(|| other.shape[i])
        };
        let batched = plan.iter().flat_map(|i| &i.dims).any(|d| *d == PlanDim::Batch);
        let dim = |(i, size): (usize, &usize)| {
            match &self.double {
                Ok(two) if batched => match of(two, i) {
                    Some(n) if *size == 1 && n == 2 => return PlanDim::Batch,
                    Some(n) if n == *size => {}
                    _ => return PlanDim::Free(format!("{}_{i}", output.name)),
                },
                // What a batch would do is not known: a leading one is taken for it.
                Err(_) if batched && i == 0 && *size == 1 => return PlanDim::Batch,
                _ => {}
            }
            let same = self.longer.as_deref().is_none_or(|longer| of(longer, i) == Some(*size));
            if same {
                return PlanDim::Fixed(u32::try_from(*size).unwrap_or(u32::MAX));
            }
            let twin = plan
                .iter()
                .flat_map(|p| &p.dims)
                .find(|d| matches!(d, PlanDim::Free(_)) && setting.size(d) == *size);
            twin.cloned().unwrap_or_else(|| PlanDim::Free(format!("{}_{i}", output.name)))
        };
        output.shape.iter().enumerate().map(dim).collect()
    }
}
