//! C08: the graph's inputs and outputs against a manifest of several inputs, types, constants and state.

use forecaster::Check;

use crate::corpus::onnx::{File, Msg, node, tensor, value_info};
use crate::support::bundle;

const MANIFEST: &str = r#"
schema = 2
name = "ports"
version = "1.0.0"
kind = "model"
engine = "ort"

[model]
file = "model.onnx"
sha256 = "SHA256"
opset = 17
license = "MIT"

[normalise]
kind = "none"

[[inputs]]
name = "x"
dtype = "f32"
shape = ["batch", 4]
source = "caller"

[[inputs]]
name = "mode"
dtype = "i64"
shape = []
source = "constant"
value = [16000]

[[inputs]]
name = "h"
dtype = "f32"
shape = ["batch", 4]
source = "state"

[[outputs]]
name = "y"
kind = "raw"
shape = ["batch", 4]

[[state]]
input = "h"
output = "hn"

[limits]
max_batch = 8
deadline_ms = 100
"#;

/// `y = x * mode`, `hn = h + x`.
fn file() -> File {
    File {
        ir: 8,
        opsets: vec![("", 17)],
        nodes: vec![
            node("Cast", &["mode"], &["m"]).msg(5, &Msg::default().text(1, "to").int(3, 1).int(20, 2)),
            node("Mul", &["x", "m"], &["y"]),
            node("Add", &["h", "x"], &["hn"]),
        ],
        initializers: vec![],
        inputs: vec![
            value_info("x", 1, &[None, Some(4)]),
            value_info("mode", 7, &[]),
            value_info("h", 1, &[None, Some(4)]),
        ],
        outputs: vec![value_info("y", 1, &[None, Some(4)]), value_info("hn", 1, &[None, Some(4)])],
        graph_extra: Msg::default(),
        model_extra: Msg::default(),
    }
}

fn code(change: impl FnOnce(&mut File)) -> &'static str {
    let mut f = file();
    change(&mut f);
    bundle(MANIFEST, &f.bytes()).map_or_else(|e| e.code(), |_| "ok")
}

#[test]
fn several_inputs_of_several_types() {
    let (i, o) = (Check::Input.code(), Check::Output.code());
    assert_eq!(code(|_| ()), "ok");
    // Types and ranks of each.
    assert_eq!(code(|f| f.inputs[0] = value_info("x", 11, &[None, Some(4)])), i);
    assert_eq!(
        code(|f| f.inputs[0] = value_info("x", 10, &[None, Some(4)])),
        i,
        "f16 is no type of a bundle"
    );
    assert_eq!(code(|f| f.inputs[1] = value_info("mode", 6, &[])), i);
    assert_eq!(code(|f| f.inputs[1] = value_info("mode", 7, &[Some(1)])), i);
    assert_eq!(code(|f| f.inputs[2] = value_info("h", 1, &[None, Some(4), Some(1)])), i);
    assert_eq!(code(|f| f.inputs[2] = value_info("h", 1, &[None, Some(5)])), i);
    // A graph of one row takes batches of one; of two it takes none.
    assert_eq!(code(|f| f.inputs[0] = value_info("x", 1, &[Some(1), Some(4)])), "ok");
    assert_eq!(code(|f| f.inputs[0] = value_info("x", 1, &[Some(2), Some(4)])), i);
    // One too few, one too many, another name; no tensor at all.
    assert_eq!(code(|f| drop(f.inputs.pop())), i);
    assert_eq!(code(|f| f.inputs.push(value_info("more", 1, &[None]))), i);
    assert_eq!(code(|f| f.inputs[0] = value_info("X", 1, &[None, Some(4)])), i);
    assert_eq!(code(|f| f.inputs[0] = Msg::default().text(1, "x")), i);
    // An initializer fills what nobody gives.
    let filled = |f: &mut File| {
        f.inputs.push(value_info("more", 1, &[Some(1)]));
        f.initializers.push(tensor("more", &[1], &[0.0]));
    };
    assert_eq!(code(filled), "ok");
    // Outputs and states.
    assert_eq!(code(|f| f.outputs[0] = value_info("y", 7, &[None, Some(4)])), o);
    assert_eq!(code(|f| f.outputs[0] = value_info("z", 1, &[None, Some(4)])), o);
    assert_eq!(code(|f| drop(f.outputs.pop())), o, "the state's output is gone");
    assert_eq!(
        code(|f| f.outputs[1] = value_info("hn", 11, &[None, Some(4)])),
        o,
        "another type than it goes in"
    );
    assert_eq!(code(|f| f.outputs[0] = value_info("y", 1, &[Some(1), Some(2), Some(3)])), "ok", "C09 looks");
}
