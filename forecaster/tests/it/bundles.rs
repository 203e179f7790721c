//! Bundles that must be refused, each with its stable code, before any engine sees them.

use forecaster::bundle::{BundleLimits, ModelFacts};
use forecaster::{Bundle, Check, ForecasterError};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::onnx::{File, Msg, node, tensor, tensor_i64, value_info};

pub const MANIFEST: &str = r#"
schema = 2
name = "test"
version = "1.0.0"
kind = "model"
topic = "btc-usd.up-5m"
engine = "ort"

[model]
file = "model.onnx"
sha256 = "SHA256"
opset = 17
license = "MIT"

[features]
set = "updown-1"
names = ["log_moneyness", "tau_s", "vol_15m", "vol_60m", "ret_60s", "ret_300s", "ret_900s", "z_15m", "z_60m", "elapsed_s"]
lookback_s = 3600
missing = "reject"

[normalise]
kind = "none"

[[inputs]]
name = "features"
dtype = "f32"
shape = ["batch", 10]
source = "features"

[[outputs]]
name = "p_up"
kind = "probability"
shape = ["batch", 1]
range = [0.0, 1.0]

[limits]
max_batch = 64
deadline_ms = 200
"#;

const ZSCORE: &str =
    "kind = \"zscore\"\nmean = [0,0,0,0,0,0,0,0,0,0]\nscale = [1,1,1,1,1,1,1,1,1,1]\nclip = 8.0";

pub const WEIGHTS: [f32; 10] = [100.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0];

fn with_hash(manifest: &str, model: &[u8]) -> String {
    manifest.replace("SHA256", &hex::encode(Sha256::digest(model)))
}

/// A bundle of these parts, with the hash filled in.
pub fn bundle(manifest: &str, model: Vec<u8>, golden: Option<&str>) -> Result<Bundle, ForecasterError> {
    Bundle::from_parts(&with_hash(manifest, &model), model, golden, &BundleLimits::default())
}

fn code(result: Result<Bundle, ForecasterError>) -> &'static str {
    result.map_or_else(|e| e.code(), |_| "ok")
}

#[test]
fn a_sound_bundle_is_taken() {
    let sound = bundle(MANIFEST, File::linear(WEIGHTS).bytes(), None).unwrap();
    assert_eq!(sound.facts().nodes, 2);
    assert_eq!(sound.manifest().name, "test");
    let z = MANIFEST.replace("kind = \"none\"", ZSCORE);
    let mut row = [3.0, -20.0, 20.0, f32::NAN, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    bundle(&z, File::linear(WEIGHTS).bytes(), None).unwrap().manifest().normaliser().apply(&mut row);
    assert_eq!(row[..3], [3.0, -8.0, 8.0]);
    assert!(row[3].is_nan(), "NaN must not become a number");
}

#[test]
fn the_id_covers_meaning_and_not_spelling() {
    let model = File::linear(WEIGHTS).bytes();
    let id = |manifest: &str, model: &[u8]| bundle(manifest, model.to_vec(), None).unwrap().id();
    let base = id(MANIFEST, &model);
    assert_eq!(base, id(&format!("# a comment\n{MANIFEST}\n"), &model));
    assert_eq!(base, id(&MANIFEST.replace("range = [0.0, 1.0]", "range = [0, 1.0e0]"), &model));
    assert_ne!(base, id(&MANIFEST.replace("1.0.0", "1.0.1"), &model));
    assert_ne!(base, id(&MANIFEST.replace("max_batch = 64", "max_batch = 65"), &model));
    let mut other = WEIGHTS;
    other[0] += 1.0;
    assert_ne!(base, id(MANIFEST, &File::linear(other).bytes()));
}

#[test]
fn unsound_manifests() {
    let model = File::linear(WEIGHTS).bytes();
    let z = |from: &str, to: &str| MANIFEST.replace("kind = \"none\"", &ZSCORE.replace(from, to));
    let m = |from: &str, to: &str| {
        assert!(MANIFEST.contains(from), "{from}");
        MANIFEST.replacen(from, to, 1)
    };
    let cases: Vec<(String, Check)> = vec![
        (m("schema = 2", "schema ="), Check::ManifestSyntax),
        (m("schema = 2", "schema = 2\nhorizon = 60"), Check::ManifestUnknownKey),
        (m("deadline_ms = 200", "deadline_ms = 200\nmax_rss = 5"), Check::ManifestUnknownKey),
        (m("[normalise]", "[extra]\na = 1\n[normalise]"), Check::ManifestUnknownKey),
        (m("engine = \"ort\"\n", ""), Check::ManifestMissingKey),
        (m("opset = 17\n", ""), Check::ManifestMissingKey),
        (m("opset = 17", "opset = \"17\""), Check::ManifestType),
        (m("opset = 17", "opset = -17"), Check::ManifestType),
        (m("range = [0.0, 1.0]", "range = [0.0]"), Check::ManifestType),
        (m("kind = \"model\"", "kind = \"oracle\""), Check::ManifestType),
        (m("schema = 2", "schema = 1"), Check::ManifestSchema),
        (m("name = \"test\"", "name = \"Test Model\""), Check::ManifestName),
        (m("topic = \"btc-usd.up-5m\"", "topic = \"\""), Check::ManifestName),
        (m("1.0.0", "1.0"), Check::ManifestName),
        (m("engine = \"ort\"", "engine = \"tract\""), Check::ManifestEngine),
        (m("model.onnx", "../model.onnx"), Check::ManifestModel),
        (m("model.onnx", "model.bin"), Check::ManifestModel),
        (m("model.onnx", ".onnx"), Check::ManifestModel),
        (m("SHA256", "abc"), Check::ManifestModel),
        (m("license = \"MIT\"", "license = \"\""), Check::ManifestModel),
        (m("updown-1", "updown-2"), Check::ManifestFeatures),
        (m("dtype = \"f32\"", "dtype = \"f64\""), Check::Input),
        (m("\"tau_s\", \"vol_15m\"", "\"tau_s\", \"tau_s\""), Check::ManifestFeatures),
        (m(", \"elapsed_s\"", ""), Check::ManifestInput),
        (m("lookback_s = 3600", "lookback_s = 60"), Check::ManifestFeatures),
        (m("missing = \"reject\"", "missing = \"nan\""), Check::ManifestType),
        (m("kind = \"none\"", "kind = \"robust\""), Check::ManifestNormalise),
        (m("kind = \"none\"", "kind = \"none\"\nclip = 8.0"), Check::ManifestNormalise),
        (m("kind = \"none\"", "kind = \"zscore\""), Check::ManifestNormalise),
        (z("mean = [0,", "mean = ["), Check::ManifestNormalise),
        (z("scale = [1,", "scale = [1,1,"), Check::ManifestNormalise),
        (z("scale = [1,", "scale = [0,"), Check::ManifestNormalise),
        (z("scale = [1,", "scale = [-1,"), Check::ManifestNormalise),
        (z("scale = [1,", "scale = [1e-50,"), Check::ManifestNormalise),
        (z("scale = [1,", "scale = [inf,"), Check::ManifestNormalise),
        (z("mean = [0,", "mean = [nan,"), Check::ManifestNormalise),
        (z("clip = 8.0", "clip = 0.0"), Check::ManifestNormalise),
        (m("kind = \"probability\"", "kind = \"logit\""), Check::ManifestType),
        (m("range = [0.0, 1.0]", "range = [0.0, 1.5]"), Check::ManifestOutput),
        (m("range = [0.0, 1.0]", "range = [0.7, 0.3]"), Check::ManifestOutput),
        (m("range = [0.0, 1.0]", "range = [nan, 1.0]"), Check::ManifestOutput),
        (m("max_batch = 64", "max_batch = 0"), Check::ManifestLimits),
        (m("max_batch = 64", "max_batch = 1000000"), Check::ManifestLimits),
        (m("deadline_ms = 200", "deadline_ms = 0"), Check::ManifestLimits),
        (String::new(), Check::Size),
        ("#".repeat(300_000), Check::Size),
    ];
    for (manifest, want) in cases {
        assert_eq!(code(bundle(&manifest, model.clone(), None)), want.code(), "{manifest}");
    }
}

fn file(change: impl FnOnce(&mut File)) -> Vec<u8> {
    let mut f = File::linear(WEIGHTS);
    change(&mut f);
    f.bytes()
}

/// A graph attribute inside a graph attribute, `depth` times, with `inner` at the bottom.
fn nested(depth: usize, inner: Msg) -> Msg {
    (0..depth).fold(inner, |graph, _| {
        let attribute = Msg::default().text(1, "then_branch").msg(6, &graph);
        Msg::default().msg(1, &node("If", &["c"], &["x"]).msg(5, &attribute))
    })
}

fn external(t: Msg) -> Msg {
    t.msg(13, &Msg::default().text(1, "location").text(2, "/etc/passwd")).int(14, 1)
}

fn refused(cases: Vec<(&str, Vec<u8>)>, want: Check) {
    for (name, model) in cases {
        assert_eq!(code(bundle(MANIFEST, model, None)), want.code(), "{name}");
    }
}

#[test]
fn files_that_are_no_models() {
    let sound = File::linear(WEIGHTS);
    let second = Msg::default().msg(7, &sound.graph());
    let cases = vec![
        ("text", b"this is not a model".to_vec()),
        ("zeros", vec![0; 64]),
        ("group wire type", vec![0x0b, 0x0c]),
        ("endless number", vec![0xff; 32]),
        ("no graph", Msg::default().int(1, 8).0),
        ("two graphs", file(|f| f.model_extra = second)),
        ("graph is a number", Msg::default().int(1, 8).int(7, 1).0),
        ("ORT format", [&[0, 0, 0, 0][..], b"ORTM", &[0; 32]].concat()),
    ];
    refused(cases, Check::Protobuf);
    refused(vec![("empty", vec![])], Check::Size);
    refused(vec![("deep", file(|f| f.graph_extra = nested(40, Msg::default())))], Check::Depth);
    let other_hash = MANIFEST.replace("SHA256", &"0".repeat(64));
    let other = Bundle::from_parts(&other_hash, sound.bytes(), None, &BundleLimits::default());
    assert_eq!(code(other), "c01_sha256");
}

#[test]
fn data_outside_the_file() {
    let outside = || external(tensor("w", &[10, 1], &[]));
    let inside = || tensor("w", &[10, 1], &WEIGHTS);
    let entry = Msg::default().text(1, "location").text(2, "x");
    let sparse = |field: u64| Msg::default().msg(field, &outside());
    let graph = || Msg::default().msg(5, &outside());
    let initializer = |t: Msg| file(|f| f.initializers[0] = t);
    let extra = |m: Msg| file(|f| f.graph_extra = m);
    let attribute = |field: u64, m: &Msg| {
        let a = Msg::default().text(1, "value").msg(field, m);
        file(|f| f.nodes[0] = f.nodes[0].clone().msg(5, &a))
    };
    let cases = vec![
        ("initializer", initializer(outside())),
        ("only the location flag", initializer(inside().int(14, 1))),
        ("only the entries", initializer(inside().msg(13, &entry))),
        ("attribute", attribute(5, &outside())),
        ("list of tensors", attribute(10, &outside())),
        ("sparse attribute", attribute(22, &sparse(1))),
        ("list of sparse tensors", attribute(23, &sparse(2))),
        ("sparse initializer", extra(Msg::default().msg(15, &sparse(1)))),
        ("graph attribute", attribute(6, &graph())),
        ("list of graphs", attribute(11, &graph())),
        ("deep subgraph", extra(nested(3, graph()))),
    ];
    refused(cases, Check::ExternalData);
}

#[test]
fn operators_and_versions_that_are_not_admitted() {
    let with = |n: Msg| file(|f| f.nodes.push(n));
    let op = |name: &str| with(node(name, &["s"], &["b"]));
    let deep = nested(2, Msg::default().msg(1, &node("Bernoulli", &["s"], &["b"])));
    let training = Msg::default().msg(20, &Msg::default());
    let function = Msg::default().msg(25, &Msg::default().text(1, "F"));
    let operators = vec![
        ("random", op("RandomUniformLike")),
        ("unknown", op("Teleport")),
        ("no name", op("")),
        ("random in a subgraph", file(|f| f.graph_extra = deep)),
        ("training graph", file(|f| f.model_extra = training)),
        ("own function", file(|f| f.model_extra = function)),
    ];
    refused(operators, Check::Operator);
    let contrib = |name: &str, domain: &str| with(node(name, &["s"], &["b"]).text(7, domain));
    refused(vec![("another domain", contrib("Gelu", "com.example"))], Check::Domain);
    refused(vec![("contrib operator not listed", contrib("Tokenize", "com.microsoft"))], Check::Operator);
    // The miner's own machine runs contrib operators; an import that nothing uses does no harm.
    assert_eq!(code(bundle(MANIFEST, contrib("Gelu", "com.microsoft"), None)), "ok");
    assert_eq!(code(bundle(MANIFEST, file(|f| f.opsets.push(("com.microsoft", 1))), None)), "ok");
    let opsets = vec![
        ("another than named", file(|f| f.opsets = vec![("", 18)])),
        ("none", file(|f| f.opsets.clear())),
        ("two", file(|f| f.opsets.push(("ai.onnx", 17)))),
        ("new ml", file(|f| f.opsets.push(("ai.onnx.ml", 99)))),
    ];
    refused(opsets, Check::Opset);
    let old = MANIFEST.replace("opset = 17", "opset = 9");
    assert_eq!(code(bundle(&old, file(|f| f.opsets = vec![("", 9)]), None)), "c05_opset");
    refused(vec![("old", file(|f| f.ir = 3)), ("new", file(|f| f.ir = 99))], Check::IrVersion);
}

#[test]
fn graphs_that_do_not_fit_the_manifest() {
    let input = |name: &str, element: u64, dims: &[Option<u64>]| {
        let info = value_info(name, element, dims);
        file(|f| f.inputs[0] = info)
    };
    let output = |name: &str, element: u64, dims: &[Option<u64>]| {
        let info = value_info(name, element, dims);
        file(|f| f.outputs[0] = info)
    };
    let inputs = vec![
        ("name", input("x", 1, &[None, Some(10)])),
        ("width", input("features", 1, &[None, Some(9)])),
        ("rank", input("features", 1, &[None, Some(10), Some(1)])),
        ("type", input("features", 11, &[None, Some(10)])),
        ("fixed batch", input("features", 1, &[Some(2), Some(10)])),
        ("two", file(|f| f.inputs.push(value_info("state", 1, &[None])))),
        ("none", file(|f| f.inputs.clear())),
    ];
    refused(inputs, Check::Input);
    let outputs =
        vec![("name", output("y", 1, &[None, Some(1)])), ("type", output("p_up", 7, &[None, Some(1)]))];
    refused(outputs, Check::Output);
    // What a file leaves open or declares of its outputs' sizes is not judged here: C09 looks at what comes out.
    let open = vec![
        ("free width", input("features", 1, &[None, None])),
        ("another rank", output("p_up", 1, &[None])),
        ("another width", output("p_up", 1, &[None, Some(2)])),
        ("one more output", file(|f| f.outputs.push(value_info("label", 7, &[None])))),
    ];
    for (name, model) in open {
        assert_eq!(code(bundle(MANIFEST, model, None)), "ok", "{name}");
    }
}

#[test]
fn limits_hold() {
    let model = File::linear(WEIGHTS).bytes();
    let with = |limits: BundleLimits| {
        code(Bundle::from_parts(&with_hash(MANIFEST, &model), model.clone(), None, &limits))
    };
    let base = BundleLimits::default();
    assert_eq!(with(base), "ok");
    assert_eq!(with(BundleLimits { max_model_bytes: model.len() as u64, ..base }), "ok");
    assert_eq!(with(BundleLimits { max_model_bytes: model.len() as u64 - 1, ..base }), "c01_size");
    assert_eq!(with(BundleLimits { max_nodes: 2, ..base }), "ok");
    assert_eq!(with(BundleLimits { max_nodes: 1, ..base }), "c02_nodes");
    assert_eq!(with(BundleLimits { max_depth: 1, ..base }), "c02_depth");
    assert_eq!(with(BundleLimits { max_text_bytes: 100, ..base }), "c01_size");
}

#[test]
fn initializers_listed_as_inputs_are_no_inputs() {
    let listed = file(|f| f.inputs.push(value_info("w", 1, &[Some(10), Some(1)])));
    assert_eq!(code(bundle(MANIFEST, listed, None)), "ok");
    let with_axes = file(|f| f.initializers.push(tensor_i64("axes", &[1])));
    assert_eq!(code(bundle(MANIFEST, with_axes, None)), "ok");
}

#[test]
fn unsound_golden_pairs() {
    let model = File::linear(WEIGHTS).bytes();
    let row = "[0,1,2,3,4,5,6,7,8,9]";
    let pair = format!(r#"{{"input":{row},"output":[0.5]}}"#);
    let file = |pairs: &str| {
        format!(r#"{{"schema":1,"feature_set":"updown-1","engine":"x","tolerance":1e-5,"pairs":[{pairs}]}}"#)
    };
    let three = |odd: &str| file(&format!("{pair},{pair},{odd}"));
    let golden = |text: &str| code(bundle(MANIFEST, model.clone(), Some(text)));
    assert_eq!(golden(&three(&pair)), "ok");
    let bad = [
        "{".to_owned(),
        file(&format!("{pair},{pair}")),
        three(&pair.replace("[0,1,", "[1,")),
        three(&pair.replace("[0.5]", "[0.5,0.5]")),
        three(&pair.replace("[0.5]", "[1.5]")),
        three(&pair.replace("[0,1,", "[1e39,1,")),
        three(&pair.replace("\"input\"", "\"extra\":1,\"input\"")),
        three(&pair).replace("1e-5", "0.1"),
        three(&pair).replace("1e-5", "0"),
        three(&pair).replace("updown-1", "updown-2"),
        three(&pair).replace("\"schema\":1", "\"schema\":3"),
        three(&pair).replace("\"feature_set\":\"updown-1\",", ""),
    ];
    for text in bad {
        assert_eq!(golden(&text), "golden_form", "{text}");
    }
}

#[test]
fn folders_that_are_no_bundles() {
    let dir = tempfile::tempdir().unwrap();
    let model = File::linear(WEIGHTS).bytes();
    let put = |name: &str, content: &[u8]| std::fs::write(dir.path().join(name), content).unwrap();
    let load = || code(Bundle::load(dir.path()));
    assert_eq!(load(), "c01_file", "nothing there");
    put("forecaster.toml", with_hash(MANIFEST, &model).as_bytes());
    assert_eq!(load(), "c01_file", "no model");
    put("model.onnx", &model[..model.len() - 1]);
    assert_eq!(load(), "c01_sha256");
    put("model.onnx", &model);
    assert_eq!(load(), "ok");
    put("golden.json", b"\xff");
    assert_eq!(load(), "c01_file", "not UTF-8");
    put("golden.json", b"");
    assert_eq!(load(), "c01_size");
    std::fs::remove_file(dir.path().join("golden.json")).unwrap();
    std::fs::remove_file(dir.path().join("model.onnx")).unwrap();
    #[cfg(unix)]
    {
        put("elsewhere", &model);
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), dir.path().join("model.onnx")).unwrap();
        assert_eq!(load(), "c01_file", "a link");
    }
}

#[test]
fn codes_are_stable_and_distinct() {
    let mut codes: Vec<&str> = Check::ALL.iter().map(|c| c.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Check::ALL.len());
    assert!(codes.iter().all(|c| schemas::id::is_name(c)));
}

proptest! {
    #[test]
    fn the_scan_survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        // Whatever comes, an answer and no panic; what is found is bounded by what is there.
        if let Ok(facts) = ModelFacts::scan(&bytes, &BundleLimits::default()) {
            prop_assert!(facts.nodes as usize <= bytes.len());
        }
    }

    #[test]
    fn a_cut_model_is_never_taken(cut in 0_usize..230) {
        let model = File::linear(WEIGHTS).bytes();
        prop_assume!(cut < model.len());
        prop_assert!(bundle(MANIFEST, model[..cut].to_vec(), None).is_err());
    }

    #[test]
    fn external_data_is_found_at_any_depth(depth in 0_usize..18) {
        let graph = nested(depth, Msg::default().msg(5, &external(tensor("w", &[1], &[]))));
        let model = file(|f| f.graph_extra = graph);
        prop_assert_eq!(code(bundle(MANIFEST, model, None)), "c03_external_data");
    }
}
