//! C04 to C06: which operator sets, format versions and operators are admitted; it never knows what they compute.
//!
//! To admit an operator add it to [`ADMITTED`], in order. Left out on purpose: loops (`Loop`, `Scan`) run for ever,
//! `Random*`, `Multinomial` and `Bernoulli` answer differently each time, string operators have no use here.

use super::graph::ModelFacts;
use crate::error::{Check, ForecasterError};
use crate::manifest::Manifest;

/// Oldest and newest `ai.onnx` operator set.
pub const OPSETS: std::ops::RangeInclusive<u64> = 11..=23;
/// Newest `ai.onnx.ml` operator set.
pub const MAX_ML_OPSET: u64 = 5;
/// Oldest and newest version of the ONNX format.
pub const IR_VERSIONS: std::ops::RangeInclusive<u64> = 4..=11;

/// Domains beside the default one.
const ML: &str = "ai.onnx.ml";

/// Admitted operators of `ai.onnx`, ascending.
#[rustfmt::skip]
pub const ADMITTED: &[&str] = &[
    "Abs", "Add", "And", "ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "Cast", "CastLike", "Ceil", "Clip",
    "Concat", "Constant", "ConstantOfShape", "Conv", "Cos", "CumSum", "DequantizeLinear", "Div", "Dropout",
    "DynamicQuantizeLinear", "Einsum", "Elu", "Equal", "Erf", "Exp", "Expand", "Flatten", "Floor", "GRU", "Gather",
    "GatherElements", "GatherND", "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "Greater", "GreaterOrEqual",
    "HardSigmoid", "HardSwish", "Identity", "If", "IsInf", "IsNaN", "LSTM", "LayerNormalization", "LeakyRelu", "Less",
    "LessOrEqual", "Log", "LogSoftmax", "MatMul", "MatMulInteger", "Max", "MaxPool", "Mean", "Min", "Mish", "Mod", "Mul",
    "Neg", "Not", "OneHot", "Or", "PRelu", "Pad", "Pow", "QLinearMatMul", "QuantizeLinear", "RNN", "Range", "Reciprocal",
    "ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum",
    "ReduceSumSquare", "Relu", "Reshape", "Round", "ScatterElements", "ScatterND", "Selu", "Shape", "Sigmoid", "Sign",
    "Sin", "Size", "Slice", "Softmax", "Softplus", "Softsign", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh",
    "ThresholdedRelu", "Tile", "TopK", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor",
];

/// Admitted operators of `ai.onnx.ml`, ascending.
#[rustfmt::skip]
pub const ADMITTED_ML: &[&str] = &[
    "ArrayFeatureExtractor", "Binarizer", "FeatureVectorizer", "Imputer", "LinearClassifier", "LinearRegressor",
    "Normalizer", "SVMClassifier", "SVMRegressor", "Scaler", "TreeEnsemble", "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
];

/// Checks format version, operator sets and operators.
pub fn check(facts: &ModelFacts, manifest: &Manifest) -> Result<(), ForecasterError> {
    if !IR_VERSIONS.contains(&facts.ir_version) {
        let (low, high) = (IR_VERSIONS.start(), IR_VERSIONS.end());
        let detail = format!("ir_version {} is not {low} to {high}", facts.ir_version);
        return Err(ForecasterError::check(Check::IrVersion, detail));
    }
    check_opsets(facts, u64::from(manifest.model.opset))?;
    for (domain, name) in &facts.operators {
        let admitted = match domain.as_str() {
            "" => ADMITTED,
            ML => ADMITTED_ML,
            other => return Err(foreign(other)),
        };
        if !admitted.contains(&name.as_str()) {
            let detail = format!("operator `{name}` is not admitted");
            return Err(ForecasterError::check(Check::Operator, detail));
        }
    }
    Ok(())
}

fn check_opsets(facts: &ModelFacts, named: u64) -> Result<(), ForecasterError> {
    let fault = |detail: String| Err(ForecasterError::check(Check::Opset, detail));
    let mut main = None;
    for (domain, version) in &facts.opsets {
        match domain.as_str() {
            "" if main.is_some() => return fault("ai.onnx is imported twice".to_owned()),
            "" => main = Some(*version),
            ML if *version > MAX_ML_OPSET => {
                return fault(format!("{ML} {version} is newer than {MAX_ML_OPSET}"));
            }
            ML => {}
            other => return Err(foreign(other)),
        }
    }
    match main {
        None => fault("the file imports no ai.onnx operator set".to_owned()),
        Some(got) if got != named => {
            fault(format!("the file imports opset {got}, the manifest says {named}"))
        }
        Some(got) if !OPSETS.contains(&got) => {
            fault(format!("opset {got} is not {} to {}", OPSETS.start(), OPSETS.end()))
        }
        Some(_) => Ok(()),
    }
}

fn foreign(domain: &str) -> ForecasterError {
    ForecasterError::check(Check::Domain, format!("operator domain `{domain}` is not admitted"))
}
