//! Every rule of a manifest that `tests/it/bundles.rs` does not state: several inputs, state, constants, kinds of output.

use forecaster::{Check, Manifest};

/// A manifest of three inputs with state, for no topic.
const FULL: &str = r#"
schema = 2
name = "full"
version = "1.0.0"
kind = "model"
engine = "auto"

[model]
file = "model.onnx"
sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
opset = 17
license = "MIT"

[normalise]
kind = "none"

[[inputs]]
name = "x"
dtype = "f32"
shape = ["batch", "steps", 4]
source = "caller"

[[inputs]]
name = "mode"
dtype = "i64"
shape = [2]
source = "constant"
value = [3, 4]

[[inputs]]
name = "h"
dtype = "f32"
shape = [1, "batch", 8]
source = "state"

[[outputs]]
name = "y"
kind = "raw"
shape = ["batch", 2]

[[state]]
input = "h"
output = "hn"

[limits]
max_batch = 8
deadline_ms = 100
"#;

/// Rows of two features and a topic.
const ROWS: &str = r#"
schema = 2
name = "rows"
version = "1.0.0"
kind = "model"
topic = "btc-usd.up-5m"
engine = "auto"

[model]
file = "model.onnx"
sha256 = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
opset = 17
license = "MIT"

[features]
set = "updown-1"
names = ["tau_s", "vol_15m"]
lookback_s = 3600

[normalise]
kind = "none"

[[inputs]]
name = "x"
dtype = "f32"
shape = ["batch", 2]
source = "features"

[[outputs]]
name = "y"
kind = "KIND"
shape = SHAPE
RANGE

[limits]
max_batch = 8
deadline_ms = 100
"#;

fn rows(kind: &str, shape: &str, rest: &str) -> String {
    ROWS.replace("KIND", kind).replace("SHAPE", shape).replace("RANGE", rest)
}

fn up() -> String {
    rows("probability", "[\"batch\", 1]", "range = [0, 1]")
}

/// The text with one thing changed.
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

fn verdict(text: &str) -> &'static str {
    Manifest::parse(text).map_or_else(|e| e.code(), |_| "ok")
}

fn check(cases: &[(String, &str)]) {
    for (text, want) in cases {
        let got = Manifest::parse(text);
        let detail = got.as_ref().err().map(ToString::to_string);
        assert_eq!(got.map_or_else(|e| e.code(), |_| "ok"), *want, "{detail:?}\n{text}");
    }
}

#[test]
fn sound_ones() {
    for text in [FULL.to_owned(), up()] {
        let manifest = Manifest::parse(&text).unwrap();
        assert_eq!(Manifest::parse(&manifest.to_toml()).unwrap(), manifest, "what is written is read back");
    }
    let manifest = Manifest::parse(&up()).unwrap();
    assert_eq!(manifest.columns(), [1, 2], "the model sees the second and third feature of the set");
    let io = manifest.row_io().unwrap();
    assert_eq!((io.row_width(), io.answer_width), (2, 1));
}

#[test]
fn model_and_identity() {
    let long = format!("{}.onnx", "m".repeat(60));
    let c = |from: &str, to: &str, want: Check| (with(FULL, from, to), want.code());
    check(&[
        c("file = \"model.onnx\"", &format!("file = \"{long}\""), Check::ManifestModel),
        c("file = \"model.onnx\"", "file = \"a/model.onnx\"", Check::ManifestModel),
        c("file = \"model.onnx\"", "file = \".hidden.onnx\"", Check::ManifestModel),
        c("sha256 = \"aa", "sha256 = \"AA", Check::ManifestModel),
        c("license = \"MIT\"", &format!("license = \"{}\"", "x".repeat(129)), Check::ManifestModel),
        c("version = \"1.0.0\"", "version = \"1.0.x\"", Check::ManifestName),
        c("version = \"1.0.0\"", "version = \"1.0.1234567890\"", Check::ManifestName),
        c("name = \"full\"", "name = \"\"", Check::ManifestName),
        c("max_batch = 8", "max_batch = 4097", Check::ManifestLimits),
        c("deadline_ms = 100", "deadline_ms = 60001", Check::ManifestLimits),
        c("deadline_ms = 100", "deadline_ms = 100\nmax_rss_mb = 8", Check::ManifestLimits),
        c("deadline_ms = 100", "deadline_ms = 100\nmax_rss_mb = 65537", Check::ManifestLimits),
    ]);
}

#[test]
fn inputs() {
    let i = Check::ManifestInput;
    let c = |from: &str, to: &str| (with(FULL, from, to), i.code());
    let r = |from: &str, to: &str| (with(&up(), from, to), i.code());
    let one =
        |n: i32| format!("[[inputs]]\nname = \"i{n}\"\ndtype = \"f32\"\nshape = [1]\nsource = \"caller\"\n");
    let more = (0..62).map(one).collect::<Vec<_>>().concat();
    check(&[
        c("name = \"mode\"", "name = \"x\""),
        c("name = \"x\"", "name = \"\""),
        c("name = \"x\"", &format!("name = \"{}\"", "x".repeat(257))),
        (format!("{FULL}{more}"), i.code()),
        // Constants.
        c("value = [3, 4]", ""),
        c("value = [3, 4]", "value = [3]"),
        c("value = [3, 4]", "value = [3, 4.5]"),
        c("value = [3, 4]", "value = [3, 1e300]"),
        c("value = [3, 4]", "value = [3, nan]"),
        c("shape = [2]", "shape = [\"batch\"]"),
        c("dtype = \"i64\"", "dtype = \"bool\""),
        c("source = \"caller\"", "source = \"caller\"\nvalue = [1]"),
        // Features.
        c("source = \"caller\"", "source = \"features\""),
        r("source = \"features\"", "source = \"caller\""),
        r("[\"batch\", 2]", "[\"batch\", 3]"),
        r("[\"batch\", 2]", "[1, 2]"),
        r("[\"batch\", 2]", "[\"batch\", \"n\"]"),
        r(
            "[[outputs]]",
            "[[inputs]]\nname = \"z\"\ndtype = \"f32\"\nshape = [\"batch\", 2]\nsource = \"features\"\n[[outputs]]",
        ),
    ]);
    let none = with(
        &up(),
        "[[inputs]]\nname = \"x\"\ndtype = \"f32\"\nshape = [\"batch\", 2]\nsource = \"features\"\n",
        "",
    );
    assert_eq!(verdict(&none), "manifest_missing_key");
    let none = none.replace("schema = 2", "schema = 2\ninputs = []");
    assert_eq!(verdict(&none), i.code());
    // A row may have any shape of as many numbers.
    assert_eq!(verdict(&with(&up(), "[\"batch\", 2]", "[\"batch\", 1, 2]")), "ok");
    assert_eq!(verdict(&with(FULL, "value = [3, 4]", "value = [-9007199254740992, 4]")), "ok");
}

#[test]
fn features() {
    let f = Check::ManifestFeatures.code();
    check(&[
        (with(&up(), "\"tau_s\", \"vol_15m\"", ""), f),
        (with(&up(), "\"tau_s\"", "\"vol_15m\""), f),
        (with(&up(), "\"tau_s\"", "\"tau\""), f),
        (with(&up(), "updown-1", "updown-0"), f),
        (with(&up(), "lookback_s = 3600", "lookback_s = 3601"), f),
    ]);
}

#[test]
fn normalisation() {
    let n = Check::ManifestNormalise.code();
    let of = |text: &str, body: &str| with(text, "kind = \"none\"", body);
    let four = "kind = \"zscore\"\nmean = [0, 0, 0, 0]\nscale = [1, 1, 1, 2]\nclip = 5.0";
    let two = "kind = \"robust\"\nmean = [0, 0]\nscale = [1, 1]\nclip = 5.0";
    check(&[
        (of(&up(), two), "ok"),
        (of(&up(), four), n),
        // Without features it is about the last dimension of what the caller gives.
        (of(FULL, four), "ok"),
        (of(FULL, two), n),
        (of(FULL, "kind = \"minmax\""), n),
        (of(FULL, "kind = \"none\"\nmean = [0]"), n),
        (with(&of(FULL, four), "[\"batch\", \"steps\", 4]", "[\"batch\", \"steps\", \"four\"]"), n),
    ]);
    let manifest = Manifest::parse(&of(FULL, four)).unwrap();
    let data = forecaster::engine::Data::F32(vec![1.0, 2.0, 30.0, 4.0, 1.0, 1.0, 1.0, 1.0]);
    let mut inputs = [forecaster::engine::Tensor::new("x", vec![1, 2, 4], data).unwrap()];
    manifest.normalise_inputs(&mut inputs);
    let want = forecaster::engine::Data::F32(vec![1.0, 2.0, 5.0, 2.0, 1.0, 1.0, 1.0, 0.5]);
    assert_eq!(inputs[0].data, want);
}

#[test]
fn outputs() {
    let o = Check::ManifestOutput.code();
    let p = |shape: &str, rest: &str| rows("probability", shape, rest);
    check(&[
        (p("[\"batch\"]", "range = [0, 1]"), "ok"),
        (p("[\"batch\", 1]", ""), o),
        (p("[\"batch\", 1]", "range = [-0.1, 1]"), o),
        (p("[\"batch\", 1]", "range = [0, 1.1]"), o),
        (p("[\"batch\", 1]", "range = [0.5, 0.5]"), o),
        (p("[\"batch\", 1]", "range = [0, inf]"), o),
        (p("[\"batch\", 2]", "range = [0, 1]"), o),
        (p("[1, 1]", "range = [0, 1]"), o),
        (p("[\"batch\", 2]", "range = [0, 1]\ncolumn = 1"), "ok"),
        (p("[\"batch\", 2]", "range = [0, 1]\ncolumn = 2"), o),
        (rows("categorical", "[\"batch\", 3]", ""), "ok"),
        (rows("categorical", "[\"batch\", 1]", ""), o),
        (rows("categorical", "[\"batch\", 3]", "column = 0"), o),
        (rows("quantiles", "[\"batch\", 99]", ""), "ok"),
        (rows("quantiles", "[\"batch\", 9]", ""), o),
        (rows("mixture", "[\"batch\", 6]", ""), "ok"),
        (rows("mixture", "[\"batch\", 7]", ""), o),
        (rows("paths", "[\"batch\", 10, 4]", ""), "ok"),
        (rows("paths", "[\"batch\", 10]", ""), o),
        // A topic needs a forecast made of rows alone.
        (rows("raw", "[\"batch\", 1]", ""), o),
        (rows("paths", "[\"batch\", \"paths\", 4]", ""), o),
        (with(FULL, "kind = \"model\"", "kind = \"model\"\ntopic = \"btc-usd.up-5m\""), o),
        (with(FULL, "name = \"y\"", "name = \"\""), o),
        (format!("{FULL}\n[[outputs]]\nname = \"y\"\nkind = \"raw\"\nshape = [1]\n"), o),
        (with(FULL, "kind = \"raw\"", "kind = \"raw\"\nrange = [2, 1]"), o),
    ]);
}

#[test]
fn state() {
    let s = Check::ManifestState.code();
    let more = "\n[[state]]\ninput = \"h\"\noutput = \"hn\"\n";
    let second =
        "\n[[inputs]]\nname = \"c\"\ndtype = \"f32\"\nshape = [1, \"batch\", 8]\nsource = \"state\"\n";
    check(&[
        (with(FULL, "input = \"h\"", "input = \"x\""), s),
        (with(FULL, "input = \"h\"", "input = \"nobody\""), s),
        (with(FULL, "[[state]]\ninput = \"h\"\noutput = \"hn\"\n", ""), s),
        (format!("{FULL}{more}"), s),
        // As many pairs as states, but one state has two and the other none.
        (format!("{FULL}{second}{more}"), s),
    ]);
}
