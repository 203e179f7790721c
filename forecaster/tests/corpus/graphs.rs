//! Graphs whose operators, domains, names or nesting are not admitted; it never relies on an engine to notice.

use forecaster::Check;

use super::onnx::{File, Msg, node, tensor, tensor_i64, value_info};
use super::{Hostile, file, graph_attribute, int, refused, with_side};

/// The model with one more node.
fn with(n: Msg) -> Vec<u8> {
    file(|f| f.nodes.push(n))
}

fn op(name: &str) -> Vec<u8> {
    with(node(name, &["s"], &["b"]))
}

pub(super) fn all() -> Vec<Hostile> {
    let mut all = operators();
    all.extend(shapes_of_graphs());
    all
}

/// Operators and domains.
fn operators() -> Vec<Hostile> {
    let o = Check::Operator;
    let custom = |f: &mut File| {
        f.opsets.push(("custom.ops", 1));
        f.nodes.push(node("Exec", &["s"], &["b"]).text(7, "custom.ops"));
    };
    let contrib = |f: &mut File| {
        f.opsets.push(("com.microsoft", 1));
        f.nodes.push(node("Tokenizer", &["s"], &["b"]).text(7, "com.microsoft"));
    };
    let function = Msg::default().text(1, "F").msg(7, &node("Identity", &["a"], &["b"])).text(10, "own");
    let training = Msg::default().msg(1, &Msg::default());
    vec![
        refused("random_normal", o, with(node("RandomNormal", &[], &["b"]))),
        refused("random_uniform_like", o, op("RandomUniformLike")),
        refused("multinomial", o, op("Multinomial")),
        refused("bernoulli", o, op("Bernoulli")),
        refused("unknown_operator", o, op("Teleport")),
        refused("operator_without_name", o, op("")),
        refused("sequence_map", o, op("SequenceMap")),
        refused("text_operator", Check::Strings, op("StringConcat")),
        refused("regex_operator", Check::Strings, op("RegexFullMatch")),
        refused("custom_domain", Check::Domain, file(custom)),
        refused("contrib_operator_not_admitted", Check::Domain, file(contrib)),
        refused("opset_of_the_future", Check::Opset, file(|f| f.opsets = vec![("", 99)])),
        refused("opset_twice", Check::Opset, file(|f| f.opsets.push(("ai.onnx", 17)))),
        refused("ir_of_the_future", Check::IrVersion, file(|f| f.ir = 1000)),
        refused("own_function", o, file(|f| f.model_extra = Msg::default().msg(25, &function))),
        refused("training_graph", o, file(|f| f.model_extra = Msg::default().msg(20, &training))),
    ]
}

/// `If` in `If`, `depth` deep, every level computing.
fn ifs(depth: usize) -> Vec<u8> {
    let branch = |nodes: &[Msg], out: &str| {
        let g = nodes.iter().fold(Msg::default(), |g, n| g.msg(1, n)).text(2, "b");
        g.msg(12, &value_info(out, 1, &[]))
    };
    let (mut inner, mut name) = (node("Identity", &["m"], &["y0"]), "y0".to_owned());
    for level in 1..=depth {
        let other = format!("e{level}");
        let then = branch(&[inner], &name);
        let or_else = branch(&[node("Neg", &["m"], &[&other])], &other);
        name = format!("y{level}");
        inner = node("If", &["c"], &[&name])
            .msg(5, &graph_attribute("then_branch", &then))
            .msg(5, &graph_attribute("else_branch", &or_else));
    }
    let nodes = vec![
        node("ReduceMax", &["features"], &["m"]).msg(5, &int("keepdims", 0)),
        node("Less", &["m", "zero"], &["c"]),
        inner,
        node("Identity", &[&name], &["z"]),
    ];
    with_side(nodes, vec![tensor("zero", &[], &[0.0])]).bytes()
}

/// Names, sizes and nesting.
fn shapes_of_graphs() -> Vec<Hostile> {
    let n = Check::Names;
    let chain = (0..20_001).map(|i| node("Neg", &[&format!("n{i}")], &[&format!("n{}", i + 1)]));
    vec![
        refused("value_written_twice", n, with(node("Neg", &["s"], &["s"]))),
        refused("initializer_twice", n, file(|f| f.initializers.push(tensor("w", &[10, 1], &[0.0; 10])))),
        refused("initializer_overwritten", n, with(node("Neg", &["s"], &["w"]))),
        refused("input_overwritten", n, with(node("Neg", &["s"], &["features"]))),
        refused("initializer_without_name", n, file(|f| f.initializers.push(tensor("", &[1], &[0.0])))),
        refused(
            "attribute_twice",
            n,
            with(node("Softmax", &["s"], &["b"]).msg(5, &int("axis", 0)).msg(5, &int("axis", 1))),
        ),
        refused("cycle", n, file(|f| f.nodes[0] = node("Add", &["p_up", "features"], &["s"]))),
        refused("read_before_written", n, file(|f| f.nodes.swap(0, 1))),
        refused("reads_what_nobody_writes", n, with(node("Neg", &["nowhere"], &["b"]))),
        refused("input_twice", n, file(|f| f.inputs.push(f.inputs[0].clone()))),
        refused("nesting_of_ifs", Check::Nesting, ifs(12)),
        refused("nesting_of_messages", Check::Depth, ifs(40)),
        refused("many_nodes", Check::Nodes, file(|f| f.nodes.extend(chain))),
        refused("many_inputs_of_a_node", Check::Nodes, with(node("Sum", &["s"; 100_000], &["b"]))),
        refused("many_empty_names", Check::Nodes, with(Msg([0x0a, 0x00].repeat(2_000_000)))),
        refused("many_attributes", Check::Nodes, with(Msg([0x2a, 0x00].repeat(2_000_000)))),
        refused("many_outputs", Check::Nodes, file(|f| f.graph_extra = Msg([0x62, 0x00].repeat(600_000)))),
        refused(
            "many_operator_sets",
            Check::Opset,
            file(|f| f.model_extra = Msg([0x42, 0x00].repeat(1_000_000))),
        ),
        refused(
            "many_dimensions",
            Check::TensorData,
            file(|f| {
                f.initializers[0] = Msg::default().bytes(1, &vec![1; 10_000_000]).int(2, 1).text(8, "w");
            }),
        ),
        refused("another_input", Check::Input, file(|f| f.inputs.push(value_info("state", 1, &[None])))),
        refused("no_input", Check::Input, no_input()),
        refused("no_output", Check::Output, file(|f| f.outputs.clear())),
    ]
}

/// A graph that takes nothing: what it answers was decided when it was made.
fn no_input() -> Vec<u8> {
    file(|f| {
        f.inputs.clear();
        f.initializers.push(tensor("features", &[1, 10], &[0.0; 10]));
        f.initializers.push(tensor_i64("unused", &[1]));
    })
}
