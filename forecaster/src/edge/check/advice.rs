//! Where a finding usually comes from and what to do about it, for every check in one table; it never runs anything.

use serde::Serialize;

use crate::error::Check;

/// What people are told beside a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// The usual cause.
    pub cause: &'static str,
    /// What to do.
    pub cure: &'static str,
}

/// Cause and cure of a check.
pub const fn of(check: Check) -> Advice {
    let (cause, cure) = pair(check);
    Advice { cause, cure }
}

#[allow(clippy::match_same_arms, reason = "one line for each check")]
#[rustfmt::skip]
const fn pair(check: Check) -> (&'static str, &'static str) {
    match check {
        Check::Shape => ("the model gives another shape than the manifest says, often because the file's own declaration is wrong", "set `shape` in [[outputs]] to what the finding shows"),
        Check::Golden => ("the model, the normalisation or the choice of features is not the one that the golden answers were made with, or there are none", "make golden.json again with `oraculo model import` or the training kit, from the model you ship"),
        Check::Repeat => ("the graph draws random numbers or keeps something between runs", "export it for inference: no dropout, no sampling; declare states in [[state]]"),
        Check::BatchInvariance => ("an operator works across the batch (a mean, a softmax or a normalisation over dimension 0)", "make it work on each row alone and export again"),
        Check::ThreadInvariance => ("sums are taken in another order with more threads, and the model amplifies that", "train with smaller weights or more normalisation, or export in f64"),
        Check::NanPolicy => ("recurrent cells and trees turn NaN into plausible numbers", "nothing to do: rows that are not finite never reach the model; do not rely on NaN as a mark for missing values"),
        Check::Range => ("a logit where a probability is meant, weights that do not sum to one, quantiles that cross, or a constant answer", "set `transform`, sort the quantiles inside the graph, correct `range`, or look whether the weights were exported at all"),
        Check::Latency => ("the largest batch takes longer than `deadline_ms`", "lower `max_batch`, raise `deadline_ms`, or ship a smaller model"),
        Check::Load => ("the model takes more memory than `max_rss_mb`", "raise `max_rss_mb` or ship a smaller model"),
        Check::SecondEngine => ("an operator means different things to different engines, or the model stands on a numeric edge", "name the engine that the model was tested with in `engine`, and simplify the operator that differs"),
        Check::State => ("the output of a [[state]] has another shape or type than its input, or something is kept that is not declared", "pair every state input with the output that continues it"),
        Check::Providers => ("operators without a CUDA kernel, or no CUDA on this machine", "see the reason in the finding; `--device cuda` allows a part on the CPU, `oraculo gpu-check` shows the whole machine"),
        Check::DryRun => ("the feature set gives no row on these prices, or the model answers none", "check the topic and the feature set; give recorded prices with --data"),
        Check::File | Check::Archive => ("a file is missing, a link, or the archive is no plain tar", "write the bundle again with `oraculo model pack`"),
        Check::Size | Check::Nodes | Check::Memory => ("larger than the limits", "ship a smaller model"),
        Check::Sha256 => ("the model was changed after the manifest was written", "write the manifest again with `oraculo model import`"),
        Check::Protobuf | Check::Depth | Check::TensorData | Check::Names => ("the file is damaged or was not written by an exporter", "export it again"),
        Check::ExternalData => ("the exporter put weights into a second file", "`oraculo model import` puts them inside"),
        Check::Domain | Check::Operator | Check::Strings | Check::Loop | Check::Nesting => ("an operator that is not admitted", "replace it, or export with another target; `oraculo model show` lists the operators"),
        Check::Opset | Check::IrVersion => ("a version that is too old or too new, or not the manifest's", "export for opset 17 to 21 and name it in [model]"),
        Check::Trees => ("a converter wrote trees with loops, missing or doubled nodes, or lists of different lengths", "convert the model again with a newer converter"),
        Check::Folding => ("large computations on constants, which an engine does while it loads", "fold the constants before exporting"),
        Check::Input | Check::Output => ("names, types or ranks differ between manifest and graph", "compare with `oraculo model show`"),
        Check::GoldenForm => ("golden.json does not fit the manifest", "make it again with the training kit or `oraculo model import`"),
        Check::Signature => ("the bundle was changed after it was signed, or another key signed it", "sign it again with `oraculo model sign`"),
        Check::Import => ("the importer found something it cannot turn into a bundle", "see the finding"),
        Check::ManifestSyntax | Check::ManifestUnknownKey | Check::ManifestMissingKey | Check::ManifestType | Check::ManifestSchema
        | Check::ManifestName | Check::ManifestEngine | Check::ManifestModel | Check::ManifestFeatures | Check::ManifestNormalise
        | Check::ManifestOutput | Check::ManifestLimits | Check::ManifestInput | Check::ManifestState
            => ("forecaster.toml is not what this program reads", "correct the key that the finding names; docs/recipes/add-a-model.md lists them"),
    }
}
