//! Reads a scaler, mean and scale of each column, from npz or JSON; it never runs a pickle.

use std::io::Cursor;
use std::path::Path;

use npyz::npz::NpzArchive;

use super::super::bundle_dir;
use crate::error::{Check, ForecasterError};

/// Largest scaler file.
const MAX_BYTES: u64 = 16 << 20;
/// Most columns.
const MAX_COLUMNS: u64 = 65_536;
/// Names of the centre, most usual first; a trailing `_` is scikit-learn's.
const CENTRES: [&str; 6] = ["mean", "mean_", "center", "center_", "mu", "median"];
/// Names of the scale.
const SCALES: [&str; 8] = ["scale", "scale_", "std", "std_", "sigma", "stddev", "iqr", "standard_deviation"];

/// Mean and scale of each column.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    /// Which names they had in the file.
    pub keys: (String, String),
    /// Centres.
    pub mean: Vec<f64>,
    /// Scales; those that were zero are one, as scikit-learn has it.
    pub scale: Vec<f64>,
    /// How many scales were zero.
    pub zeros: usize,
}

impl Scaler {
    /// Reads a scaler's file: `.json` is an object of lists, everything else npz.
    pub fn read(path: &Path) -> Result<Self, ForecasterError> {
        let bytes = bundle_dir::bytes(path, MAX_BYTES)?;
        let fault = |detail: String| {
            ForecasterError::check(Check::Import, format!("scaler {}: {detail}", path.display()))
        };
        let json = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
        let lists = if json { of_json(&bytes) } else { of_npz(&bytes) }.map_err(fault)?;
        let pick = |names: &[&str], what: &str| {
            let found = names.iter().find_map(|n| lists.iter().find(|(key, _)| key.eq_ignore_ascii_case(n)));
            found.cloned().ok_or_else(|| {
                let keys: Vec<&str> = lists.iter().map(|(key, _)| key.as_str()).collect();
                fault(format!("no {what} ({}) among: {}", names.join(", "), keys.join(", ")))
            })
        };
        let ((mean_key, mean), (scale_key, mut scale)) = (pick(&CENTRES, "mean")?, pick(&SCALES, "scale")?);
        if mean.len() != scale.len() || mean.is_empty() {
            return Err(fault(format!("{} means and {} scales", mean.len(), scale.len())));
        }
        let zeros = scale.iter().filter(|s| **s == 0.0).count();
        scale.iter_mut().filter(|s| **s == 0.0).for_each(|s| *s = 1.0);
        Ok(Self { keys: (mean_key, scale_key), mean, scale, zeros })
    }
}

/// The lists of numbers in an object.
fn of_json(bytes: &[u8]) -> Result<Vec<(String, Vec<f64>)>, String> {
    let value: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let list = |v: serde_json::Value| serde_json::from_value::<Vec<f64>>(v).ok();
    Ok(value.into_iter().filter_map(|(key, v)| Some((key, list(v)?))).collect())
}

/// The arrays of floats in an archive of arrays.
fn of_npz(bytes: &[u8]) -> Result<Vec<(String, Vec<f64>)>, String> {
    let mut archive = NpzArchive::new(Cursor::new(bytes)).map_err(|e| e.to_string())?;
    let names: Vec<String> = archive.array_names().map(str::to_owned).collect();
    let mut out = Vec::new();
    for name in names.into_iter().take(64) {
        let Some(array) = archive.by_name(&name).map_err(|e| e.to_string())? else { continue };
        // The header says how long it is, whatever the archive's compression makes of it.
        if array.len() > MAX_COLUMNS {
            continue;
        }
        let array = match array.try_data::<f64>() {
            Ok(doubles) => {
                out.push((name, doubles.collect::<Result<Vec<f64>, _>>().map_err(|e| e.to_string())?));
                continue;
            }
            Err(array) => array,
        };
        if let Ok(floats) = array.try_data::<f32>() {
            let floats = floats.map(|x| x.map(f64::from)).collect::<Result<Vec<f64>, _>>();
            out.push((name, floats.map_err(|e| e.to_string())?));
        }
    }
    Ok(out)
}
