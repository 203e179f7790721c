//! Golden cases of whole tensors: what is taken, what is refused, and how far an engine's answer is from them.

use forecaster::bundle::BundleLimits;
use forecaster::bundle::golden::Case;
use forecaster::engine::{Data, Tensor};
use forecaster::{Bundle, Check};

use crate::corpus::onnx::{File, Msg, node, value_info};

const MANIFEST: &str = r#"
schema = 2
name = "sums"
version = "1.0.0"
kind = "model"
engine = "ort"

[model]
file = "model.onnx"
sha256 = "SHA256"
opset = 17
license = "MIT"

[normalise]
kind = "zscore"
mean = [1, 1]
scale = [2, 2]
clip = 100.0

[[inputs]]
name = "x"
dtype = "f32"
shape = ["batch", 2]
source = "caller"

[[inputs]]
name = "c"
dtype = "f32"
shape = [2]
source = "constant"
value = [1, 1]

[[outputs]]
name = "y"
kind = "raw"
shape = ["batch", 2]

[limits]
max_batch = 8
deadline_ms = 100
"#;

const CASE: &str = r#"{"inputs":[{"name":"x","shape":[1,2],"dtype":"f32","data":[3.0,5.0]}],
    "outputs":[{"name":"y","shape":[1,2],"dtype":"f32","data":[2.0,3.0]}]}"#;

/// `y = (x - 1) / 2 + c`.
fn model() -> Vec<u8> {
    File {
        ir: 8,
        opsets: vec![("", 17)],
        nodes: vec![node("Add", &["x", "c"], &["y"])],
        initializers: vec![],
        inputs: vec![value_info("x", 1, &[None, Some(2)]), value_info("c", 1, &[Some(2)])],
        outputs: vec![value_info("y", 1, &[None, Some(2)])],
        graph_extra: Msg::default(),
        model_extra: Msg::default(),
    }
    .bytes()
}

fn load(golden: &str) -> Result<Bundle, forecaster::ForecasterError> {
    let model = model();
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&model));
    Bundle::from_parts(&MANIFEST.replace("SHA256", &hash), model, Some(golden), &BundleLimits::default())
}

fn file(cases: &[&str]) -> String {
    format!(r#"{{"schema":2,"engine":"x","tolerance":1e-5,"cases":[{}]}}"#, cases.join(","))
}

#[test]
fn what_is_taken() {
    let three = |case: &str| file(&[CASE, CASE, case]);
    assert_eq!(load(&three(CASE)).unwrap().golden().cases().len(), 3);
    let with = |from: &str, to: &str| {
        assert!(CASE.contains(from), "{from}");
        three(&CASE.replacen(from, to, 1))
    };
    let bad = [
        file(&[CASE, CASE]),
        three(CASE).replace("\"schema\":2", "\"schema\":1"),
        three(CASE).replace("1e-5", "1e-4"),
        with("\"name\":\"x\"", "\"name\":\"z\""),
        with("\"shape\":[1,2]", "\"shape\":[2,1]"),
        with("\"shape\":[1,2]", "\"shape\":[3,2]"),
        with("\"shape\":[1,2]", "\"shape\":[18446744073709551615,2]"),
        with("\"dtype\":\"f32\"", "\"dtype\":\"f64\""),
        with("\"dtype\":\"f32\"", "\"dtype\":\"f16\""),
        with("[3.0,5.0]", "[3.0,1e39]"),
        with("\"inputs\":[{", "\"inputs\":[{\"name\":\"x\",\"shape\":[0,2],\"dtype\":\"f32\",\"data\":[]},{"),
        with(
            "\"inputs\":[{\"name\":\"x\",\"shape\":[1,2],\"dtype\":\"f32\",\"data\":[3.0,5.0]}]",
            "\"inputs\":[]",
        ),
        with("\"name\":\"y\"", "\"name\":\"q\""),
        with(
            "\"inputs\":[{",
            "\"inputs\":[{\"name\":\"c\",\"shape\":[2],\"dtype\":\"f32\",\"data\":[1.0,1.0]},{",
        ),
        three(CASE).replace("\"cases\"", "\"pairs\":[{\"input\":[1],\"output\":[1]}],\"cases\""),
    ];
    for text in bad {
        let error = load(&text).unwrap_err();
        assert_eq!(error.code(), Check::GoldenForm.code(), "{error}\n{text}");
    }
}

fn tensor(name: &str, shape: &[usize], data: Vec<f32>) -> Tensor {
    Tensor::new(name, shape.to_vec(), Data::F32(data)).unwrap()
}

#[test]
fn how_far_an_answer_is() {
    let case = Case { inputs: vec![], outputs: vec![tensor("y", &[1, 2], vec![2.0, 0.5])] };
    let far = |got: Tensor| case.difference(&[got]);
    assert_eq!(far(tensor("y", &[1, 2], vec![2.0, 0.5])), Ok(0.0));
    assert_eq!(far(tensor("y", &[1, 2], vec![3.0, 0.5])), Ok(0.5), "relative above one");
    assert_eq!(far(tensor("y", &[1, 2], vec![2.0, 0.75])), Ok(0.25));
    assert_eq!(far(tensor("y", &[1, 2], vec![f32::NAN, 0.5])), Ok(f64::INFINITY));
    assert!(far(tensor("z", &[1, 2], vec![2.0, 0.5])).is_err());
    assert!(far(tensor("y", &[2, 1], vec![2.0, 0.5])).is_err());
}

#[test]
fn a_run_gets_normalised_inputs_and_constants() {
    let bundle = load(&file(&[CASE, CASE, CASE])).unwrap();
    let inputs = bundle.golden().cases()[0].run_inputs(bundle.manifest());
    assert_eq!(inputs, [tensor("x", &[1, 2], vec![1.0, 2.0]), tensor("c", &[2], vec![1.0, 1.0])]);
    let Some(engines) = crate::support::engines() else { return };
    let mut model = engines.load(&bundle, forecaster::Device::Cpu).unwrap();
    let got = model.session().run(&inputs).unwrap();
    assert_eq!(bundle.golden().cases()[0].difference(&got), Ok(0.0));
}
