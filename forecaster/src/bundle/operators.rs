//! C04 to C06: which operator sets, format versions and operators are admitted; it never knows what they compute.
//!
//! To admit an operator add it to [`ADMITTED`], in order; if it makes a tensor whose size is not that of an input, add a
//! rule to `shapes` as well. Left out on purpose: `Random*`, `Multinomial` and `Bernoulli` answer differently each time,
//! operators on text have no use here. `Loop` and `Scan` may run for ever; `loops` says which are admitted.

use super::graph::ModelFacts;
use super::policy::Policy;
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
const CONTRIB: &str = "com.microsoft";

/// Admitted operators of `ai.onnx`, ascending.
#[rustfmt::skip]
pub const ADMITTED: &[&str] = &[
    "Abs", "Acos", "Acosh", "Add", "And", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh", "AveragePool",
    "BatchNormalization", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "CastLike",
    "Ceil", "Celu", "Clip", "Compress", "Concat", "Constant", "ConstantOfShape", "Conv", "ConvInteger",
    "ConvTranspose", "Cos", "Cosh", "CumSum", "DepthToSpace", "DequantizeLinear", "Div", "Dropout",
    "DynamicQuantizeLinear", "Einsum", "Elu", "Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "GRU",
    "Gather", "GatherElements", "GatherND", "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "Greater",
    "GreaterOrEqual", "GroupNormalization", "HardSigmoid", "HardSwish", "Hardmax", "Identity", "If",
    "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LSTM", "LayerNormalization", "LeakyRelu", "Less",
    "LessOrEqual", "Log", "LogSoftmax", "Loop", "LpNormalization", "MatMul", "MatMulInteger", "Max", "MaxPool",
    "Mean", "MeanVarianceNormalization", "Min", "Mish", "Mod", "Mul", "Neg", "NonZero", "Not", "OneHot", "Or",
    "PRelu", "Pad", "Pow", "QLinearConv", "QLinearMatMul", "QuantizeLinear", "RMSNormalization", "RNN", "Range",
    "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Resize", "ReverseSequence", "Round", "Scan",
    "ScatterElements", "ScatterND", "Selu", "Shape", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Size", "Slice",
    "Softmax", "Softplus", "Softsign", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tan", "Tanh",
    "ThresholdedRelu", "Tile", "TopK", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor",
];

/// Admitted operators of `ai.onnx.ml`, ascending.
#[rustfmt::skip]
pub const ADMITTED_ML: &[&str] = &[
    "ArrayFeatureExtractor", "Binarizer", "FeatureVectorizer", "Imputer", "LinearClassifier", "LinearRegressor",
    "Normalizer", "SVMClassifier", "SVMRegressor", "Scaler", "TreeEnsemble", "TreeEnsembleClassifier",
    "TreeEnsembleRegressor",
];

/// Operators of `ai.onnx.ml` that only the miner's own machine admits: they make maps and text.
#[rustfmt::skip]
pub const ADMITTED_ML_LOCAL: &[&str] = &[
    "LabelEncoder", "ZipMap",
];

/// Operators of `com.microsoft` that only the miner's own machine admits, ascending.
#[rustfmt::skip]
pub const ADMITTED_CONTRIB: &[&str] = &[
    "Attention", "BiasGelu", "BiasSoftmax", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "EmbedLayerNormalization",
    "FastGelu", "FusedConv", "FusedGemm", "FusedMatMul", "Gelu", "GroupQueryAttention", "MatMulIntegerToFloat",
    "MatMulNBits", "MultiHeadAttention", "NhwcMaxPool", "QAttention", "QGemm", "QLinearAdd", "QLinearAveragePool",
    "QLinearConcat", "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMul", "QLinearSigmoid", "QLinearSoftmax",
    "QuickGelu", "RotaryEmbedding", "SimplifiedLayerNormalization", "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
];

/// Operators on text: never admitted, with a code of their own.
#[rustfmt::skip]
pub const TEXT: &[&str] = &[
    "CategoryMapper", "DictVectorizer", "RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit",
    "TfIdfVectorizer",
];

/// Checks format version, operator sets and operators.
pub(super) fn check(facts: &ModelFacts, manifest: &Manifest, policy: Policy) -> Result<(), ForecasterError> {
    check_versions(facts)?;
    let named = u64::from(manifest.model.opset);
    match facts.opset() {
        Some(got) if got != named => Err(ForecasterError::check(
            Check::Opset,
            format!("the file imports opset {got}, the manifest says {named}"),
        )),
        _ => check_operators(facts, policy),
    }
}

/// C04 and C05: domains and versions that need no manifest.
pub(super) fn check_versions(facts: &ModelFacts) -> Result<(), ForecasterError> {
    if !IR_VERSIONS.contains(&facts.ir_version) {
        let (low, high) = (IR_VERSIONS.start(), IR_VERSIONS.end());
        let detail = format!("ir_version {} is not {low} to {high}", facts.ir_version);
        return Err(ForecasterError::check(Check::IrVersion, detail));
    }
    let fault = |detail: String| Err(ForecasterError::check(Check::Opset, detail));
    for (i, (domain, version)) in facts.opsets.iter().enumerate() {
        if facts.opsets[..i].iter().any(|(other, _)| other == domain) {
            let name = if domain.is_empty() { "ai.onnx" } else { domain };
            return fault(format!("{name} is imported twice"));
        }
        if domain == ML && *version > MAX_ML_OPSET {
            return fault(format!("{ML} {version} is newer than {MAX_ML_OPSET}"));
        }
    }
    match facts.opset() {
        None => fault("the file imports no ai.onnx operator set".to_owned()),
        Some(got) if !OPSETS.contains(&got) => {
            fault(format!("opset {got} is not {} to {}", OPSETS.start(), OPSETS.end()))
        }
        Some(_) => Ok(()),
    }
}

/// C04 and C06: operators, and what else a file may bring along.
pub(super) fn check_operators(facts: &ModelFacts, policy: Policy) -> Result<(), ForecasterError> {
    let fault = |check, detail: String| Err(ForecasterError::check(check, detail));
    if facts.training || facts.functions > 0 {
        return fault(
            Check::Operator,
            "training graphs and functions in the file are not admitted".to_owned(),
        );
    }
    for (domain, name) in &facts.operators {
        let lists: &[&[&str]] = match (domain.as_str(), policy) {
            ("", _) => &[ADMITTED],
            (ML, Policy::Hosted) => &[ADMITTED_ML],
            (ML, Policy::Local) => &[ADMITTED_ML, ADMITTED_ML_LOCAL],
            (CONTRIB, Policy::Local) => &[ADMITTED_CONTRIB],
            (other, _) => {
                return fault(
                    Check::Domain,
                    format!("operator `{other}::{name}` is of a domain not admitted"),
                );
            }
        };
        if TEXT.contains(&name.as_str()) {
            return fault(Check::Strings, format!("operator `{name}` works on text"));
        }
        if !lists.iter().any(|list| list.contains(&name.as_str())) {
            return fault(Check::Operator, format!("operator `{name}` is not admitted"));
        }
    }
    match &facts.strings {
        Some(what) if policy == Policy::Hosted => fault(Check::Strings, what.clone()),
        _ => Ok(()),
    }
}
