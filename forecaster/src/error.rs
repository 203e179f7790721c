//! Everything that can go wrong in this crate, each with a stable code; it never turns an error into silence.

use std::fmt;
use std::path::PathBuf;

use schemas::inference::Answer;

macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident = $code:literal),* $(,)?) => {
        /// What a bundle is checked for. The texts never change; new ones are added at the end.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Check {
            $($(#[$doc])* $name,)*
        }

        impl Check {
            /// Every check, for documents and tests.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable text of the check.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }
        }
    };
}

checks! {
    /// A bundle file cannot be read, is a link, or is not a plain file.
    File = "c01_file",
    /// A bundle file is empty or larger than its limit.
    Size = "c01_size",
    /// The model's SHA-256 is not the manifest's.
    Sha256 = "c01_sha256",
    /// The model is not a well-formed ONNX protobuf.
    Protobuf = "c02_protobuf",
    /// Messages are nested deeper than the limit.
    Depth = "c02_depth",
    /// More graph nodes than the limit.
    Nodes = "c02_nodes",
    /// A tensor points outside the file.
    ExternalData = "c03_external_data",
    /// An operator domain that is not admitted.
    Domain = "c04_domain",
    /// The operator set is not the manifest's, or not supported.
    Opset = "c05_opset",
    /// The IR version is not supported.
    IrVersion = "c05_ir_version",
    /// An operator that is not admitted.
    Operator = "c06_operator",
    /// The graph's input is not what the manifest says.
    Input = "c08_input",
    /// The graph's output is not what the manifest says.
    Output = "c08_output",
    /// The model returned another shape than it declares.
    Shape = "c09_shape",
    /// A golden pair is not reproduced within 1e-5.
    Golden = "c10_golden",
    /// The same row gave two different answers.
    Repeat = "c11_repeat",
    /// A row's answer depends on its neighbours by more than 1e-5.
    BatchInvariance = "c12_batch_invariance",
    /// How the model answers NaN; reported, never a failure, because the input gate stands before it.
    NanPolicy = "c14_nan_policy",
    /// An answer is outside the manifest's range, or all answers are the same.
    Range = "c15_range",
    /// The largest batch takes longer than the manifest's deadline.
    Latency = "c16_latency",
    /// The manifest is not TOML.
    ManifestSyntax = "manifest_syntax",
    /// The manifest has a key nobody knows.
    ManifestUnknownKey = "manifest_unknown_key",
    /// The manifest lacks a key.
    ManifestMissingKey = "manifest_missing_key",
    /// A manifest value has the wrong type.
    ManifestType = "manifest_type",
    /// `schema` is not 2.
    ManifestSchema = "manifest_schema",
    /// `name`, `version` or `topic` is not a plain name.
    ManifestName = "manifest_name",
    /// `engine` is not one that is known.
    ManifestEngine = "manifest_engine",
    /// `[model]` names no plain `.onnx` file, hash or licence.
    ManifestModel = "manifest_model",
    /// `[features]` names no known set, a feature that is not of the set, or one twice.
    ManifestFeatures = "manifest_features",
    /// `[normalise]` has wrong lengths, a scale that is not positive, or numbers that are not finite.
    ManifestNormalise = "manifest_normalise",
    /// An `[[outputs]]` has a shape or range that does not fit what it means.
    ManifestOutput = "manifest_output",
    /// `[limits]` are zero or too large.
    ManifestLimits = "manifest_limits",
    /// `golden.json` does not have the golden form.
    GoldenForm = "golden_form",
    /// An `[[inputs]]` has a shape, source or value that does not fit.
    ManifestInput = "manifest_input",
    /// A `[[state]]` pairs what is not there.
    ManifestState = "manifest_state",
    /// A tree ensemble whose trees are no trees: loops, missing or doubled nodes, lists of different lengths.
    Trees = "c21_trees",
    /// The bundle's archive is no plain tar of plain files, each named once.
    Archive = "c01_archive",
    /// A tensor's dimensions do not fit its data, or its type is not known.
    TensorData = "c02_tensor",
    /// A value is written twice, read before it is written, or has no name.
    Names = "c02_names",
    /// Tensors or operators of text.
    Strings = "c06_strings",
    /// A loop without a constant bound on its rounds, or with too many.
    Loop = "c06_loop",
    /// Subgraphs inside subgraphs, deeper than the policy allows.
    Nesting = "c06_nesting",
    /// A tensor whose size is known beforehand needs more memory than the limit.
    Memory = "c07_memory",
    /// What an engine would compute while it loads the file is too much, or has no bound.
    Folding = "c07_folding",
    /// `signature.json` is no Ed25519 signature of this bundle.
    Signature = "bundle_signature",
    /// An import met something it cannot turn into a bundle.
    Import = "import",
    /// One thread and two give answers more than 1e-5 apart.
    ThreadInvariance = "c13_thread_invariance",
    /// Loading the model needs more memory than the manifest's limit.
    Load = "c17_load",
    /// Another engine answers otherwise by more than 1e-4.
    SecondEngine = "c18_second_engine",
    /// A state does not come back in the form in which it went in, or a reset does not reset it.
    State = "c19_state",
    /// Which execution provider ran how many nodes; fails when it is not the device that was asked for.
    Providers = "c20_providers",
    /// The dry run on recorded or simulated prices gave no score.
    DryRun = "dry_run",
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ForecasterError {
    /// A bundle failed a check.
    #[error("bundle refused ({check}): {detail}")]
    Bundle {
        /// Which check.
        check: Check,
        /// What was found.
        detail: String,
    },
    /// No ONNX Runtime library at any of the known places.
    #[error(
        "ONNX Runtime library not found; run `make ort` to fetch it, or pass `--ort-lib FILE` or set ORT_DYLIB_PATH (looked at: {})",
        list(looked_at)
    )]
    LibraryNotFound {
        /// Every place that was looked at, in order.
        looked_at: Vec<PathBuf>,
    },
    /// The library was found and cannot be used.
    #[error("ONNX Runtime library {} cannot be used: {reason}; run `make ort` to fetch the pinned one", path.display())]
    LibraryUnusable {
        /// Which file.
        path: PathBuf,
        /// Why, in the loader's words.
        reason: String,
    },
    /// Another library was loaded into this process before; there is one per process.
    #[error("this process already uses ONNX Runtime from {}, not {}", loaded.display(), asked.display())]
    LibraryFixed {
        /// The library in use.
        loaded: PathBuf,
        /// The library asked for.
        asked: PathBuf,
    },
    /// The execution provider that was demanded cannot be used.
    #[error("device `{device}` is not available: {reason}")]
    Device {
        /// The device policy.
        device: &'static str,
        /// Why, exactly.
        reason: String,
    },
    /// The engine that was asked for cannot be used.
    #[error("engine `{engine}` is not available: {reason}")]
    Engine {
        /// The engine.
        engine: &'static str,
        /// Why, exactly.
        reason: String,
    },
    /// ONNX Runtime refused the model.
    #[error("model does not load: {0}")]
    Session(String),
    /// ONNX Runtime failed while running the model.
    #[error("model does not run: {0}")]
    Run(String),
    /// A feature row has another length than the model's.
    #[error("a row has {got} features, the model takes {want}")]
    RowWidth {
        /// Length of the row.
        got: usize,
        /// Length the manifest names.
        want: usize,
    },
    /// A feature is NaN or infinite; the model is not asked.
    #[error("feature {index} is not finite")]
    InputNotFinite {
        /// Position in the row.
        index: usize,
    },
    /// The model answered NaN or infinity.
    #[error("the model's answer is not finite")]
    OutputNotFinite,
    /// The model's answer is outside its range.
    #[error("the model's answer is outside its range")]
    OutputRange,
    /// The lane's queue is full: the request was dropped and counted.
    #[error("the inference queue is full")]
    QueueFull,
    /// The lane has ended.
    #[error("the inference lane has stopped")]
    LaneStopped,
    /// The lane does not serve this bundle.
    #[error("no lane serves bundle {0}")]
    UnknownBundle(String),
    /// A key file cannot be read, written or trusted.
    #[error("key file {}: {reason}", path.display())]
    KeyFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong; never the secret.
        reason: String,
    },
    /// The operating system failed an edge.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The request cannot be answered before its deadline; it was refused at once.
    #[error("the answer would take {need_us} microseconds, the deadline is in {left_us}")]
    DeadlineUnreachable {
        /// Estimated time until the answer, from queue and calibrated cost.
        need_us: u64,
        /// Time left.
        left_us: u64,
    },
    /// The deadline passed while the request waited; the model was not asked.
    #[error("the deadline passed while the request waited")]
    DeadlinePassed,
    /// The model's code panicked; it was loaded anew and the batch has no answer.
    #[error("the model panicked: {0}")]
    ModelPanicked(String),
    /// The model could not be loaded anew after a panic; it is tried again from time to time.
    #[error("the model is down: {0}")]
    ModelDown(String),
    /// A new version takes or gives something else than the version it should replace.
    #[error("the new version does not fit the old one: it {new}, the old one {old}")]
    ReloadMismatch {
        /// What the old version takes and gives.
        old: String,
        /// What the new version takes and gives.
        new: String,
    },
    /// A model store does not hold what was asked for, or holds what it should not.
    #[error("model store {}: {reason}", path.display())]
    Store {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The model's answer is not a single probability, which is all that can be published here.
    #[error("the model answers {width} numbers, not one probability")]
    NotAProbability {
        /// How many numbers one answer has.
        width: usize,
    },
    /// The model's numbers are not what their kind says: they do not sum to one, do not ascend, have no weight.
    #[error("the model's answer is no {kind}: {detail}")]
    OutputForm {
        /// The kind of the output.
        kind: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// A tensor that a caller gave does not fit the manifest.
    #[error("input `{name}`: {detail}")]
    InputTensor {
        /// The input.
        name: String,
        /// What is wrong.
        detail: String,
    },
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl ForecasterError {
    /// The stable code of this error.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Bundle { check, .. } => check.code(),
            Self::LibraryNotFound { .. } => "ort_library_not_found",
            Self::LibraryUnusable { .. } => "ort_library_unusable",
            Self::LibraryFixed { .. } => "ort_library_fixed",
            Self::Device { .. } => "device_not_available",
            Self::Engine { .. } => "engine_not_available",
            Self::Session(_) => "session_refused",
            Self::Run(_) => "run_failed",
            Self::RowWidth { .. } => "row_width",
            Self::InputNotFinite { .. } => "input_not_finite",
            Self::OutputNotFinite => "output_not_finite",
            Self::OutputRange => "output_range",
            Self::QueueFull => "queue_full",
            Self::LaneStopped => "lane_stopped",
            Self::UnknownBundle(_) => "unknown_bundle",
            Self::KeyFile { .. } => "key_file",
            Self::Io { .. } => "io",
            Self::DeadlineUnreachable { .. } => "deadline_unreachable",
            Self::DeadlinePassed => "deadline_passed",
            Self::ModelPanicked(_) => "model_panicked",
            Self::ModelDown(_) => "model_down",
            Self::ReloadMismatch { .. } => "reload_mismatch",
            Self::Store { .. } => "model_store",
            Self::NotAProbability { .. } => "not_a_probability",
            Self::OutputForm { .. } => "output_form",
            Self::InputTensor { .. } => "input_tensor",
        }
    }

    /// This error as the answer to an inference request, so that the miner abstains instead of waiting.
    pub fn answer(&self) -> Answer {
        Answer::Failed(self.code().to_owned())
    }

    /// The same error for another of the callers whose rows were in one batch.
    pub(crate) fn relay(&self) -> Self {
        match self {
            Self::Bundle { check, detail } => Self::Bundle { check: *check, detail: detail.clone() },
            Self::DeadlinePassed => Self::DeadlinePassed,
            Self::LaneStopped => Self::LaneStopped,
            Self::ModelPanicked(text) => Self::ModelPanicked(text.clone()),
            Self::ModelDown(text) => Self::ModelDown(text.clone()),
            Self::NotAProbability { width } => Self::NotAProbability { width: *width },
            Self::RowWidth { got, want } => Self::RowWidth { got: *got, want: *want },
            Self::Run(text) => Self::Run(text.clone()),
            other => Self::Run(other.to_string()),
        }
    }

    /// A failed bundle check.
    pub(crate) fn check(check: Check, detail: impl Into<String>) -> Self {
        Self::Bundle { check, detail: detail.into() }
    }
}
