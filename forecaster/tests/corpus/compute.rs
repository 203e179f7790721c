//! Small files that ask for much time or memory; what no static bound can tell is left for a worker to contain.
//!
//! ONNX Runtime folds constants while it loads a file, before any limit of a run applies: one 6000² `MatMul` took 7.5
//! seconds that nothing could stop.

use forecaster::Check;

use super::onnx::{Msg, node, tensor, tensor_i64, value_info};
use super::{Hostile, contained, graph_attribute, int, refused, tensor_attribute, text, with_side};

/// `ConstantOfShape` of f32 ones.
fn ones(shape: &str, out: &str) -> Msg {
    node("ConstantOfShape", &[shape], &[out]).msg(5, &tensor_attribute("value", &tensor("v", &[1], &[1.0])))
}

/// `z` is the mean of `from`.
fn mean(from: &str) -> Msg {
    node("ReduceMean", &[from], &["z"]).msg(5, &int("keepdims", 0))
}

/// A file of these nodes, which end in `last`, and these i64 initializers.
fn of(mut nodes: Vec<Msg>, last: &str, constants: &[(&str, &[i64])]) -> Vec<u8> {
    nodes.push(mean(last));
    let initializers = constants.iter().map(|(name, values)| tensor_i64(name, values)).collect();
    with_side(nodes, initializers).bytes()
}

pub(super) fn all() -> Vec<Hostile> {
    [memory(), folding(), loops(), at_run_time()].concat()
}

/// More memory than any model here needs, asked for with constants.
fn memory() -> Vec<Hostile> {
    let big: &[i64] = &[2_000_000_000];
    let m = Check::Memory;
    let features =
        |op: &str, constant: &[i64]| of(vec![node(op, &["features", "n"], &["b"])], "b", &[("n", constant)]);
    let pads = vec![node("Pad", &["features", "n"], &["b"])];
    let concat = vec![ones("n", "a"), node("Concat", &["a"; 64], &["b"]).msg(5, &int("axis", 0))];
    vec![
        refused("constant_of_shape_8_gb", m, of(vec![ones("n", "b")], "b", &[("n", big)])),
        refused(
            "constant_of_shape_overflow",
            m,
            of(vec![ones("n", "b")], "b", &[("n", &[1 << 40, 1 << 40])]),
        ),
        refused("expand_features_8_gb", m, features("Expand", &[200_000_000, 10])),
        refused("tile_features_8_gb", m, features("Tile", &[20_000_000, 10])),
        refused("pad_features_8_gb", m, of(pads, "b", &[("n", &[0, 0, 0, 2_000_000_000])])),
        refused("concat_of_constants", m, of(concat, "b", &[("n", &[30_000_000])])),
    ]
}

/// Constant subgraphs that an engine computes while it loads the file.
fn folding() -> Vec<Hostile> {
    let f = Check::Folding;
    let square: &[i64] = &[6000, 6000];
    let product = |op: &str| vec![ones("n", "a"), node(op, &["a", "a"], &["b"])];
    let einsum = vec![
        ones("n", "a"),
        node("Einsum", &["a", "a", "a"], &["b"]).msg(5, &text("equation", "ij,jk,kl->il")),
    ];
    let mut chain = vec![ones("n", "c0")];
    for i in 0..400 {
        chain.push(node("MatMul", &[&format!("c{i}"), &format!("c{i}")], &[&format!("c{}", i + 1)]));
    }
    let convolution = vec![ones("image", "a"), ones("kernel", "k"), node("Conv", &["a", "k"], &["b"])];
    let conv_shapes: &[(&str, &[i64])] = &[("image", &[1, 16, 512, 512]), ("kernel", &[64, 16, 31, 31])];
    let sums = {
        let mut nodes = vec![ones("n", "c0")];
        nodes.extend((0..2_000).map(|i| node("Exp", &[&format!("c{i}")], &[&format!("c{}", i + 1)])));
        nodes
    };
    vec![
        refused("fold_matmul_6000", f, of(product("MatMul"), "b", &[("n", square)])),
        refused("fold_gemm_6000", f, of(product("Gemm"), "b", &[("n", square)])),
        refused("fold_einsum", f, of(einsum, "b", &[("n", &[2000, 2000])])),
        refused("fold_chain_of_matmuls", f, of(chain, "c400", &[("n", &[500, 500])])),
        refused("fold_convolution", f, of(convolution, "b", conv_shapes)),
        refused("fold_long_chain", Check::Memory, of(sums, "c2000", &[("n", &[1_000_000])])),
        refused("range_of_a_billion", Check::Memory, range()),
        refused("fold_unknown_size", f, unknown_size()),
        refused("fold_growing_rank", f, growing_rank()),
    ]
}

/// `Range` over a billion numbers, folded at load.
fn range() -> Vec<u8> {
    let number = |name: &str, v: f32| tensor(name, &[], &[v]);
    let nodes = vec![node("Range", &["from", "to", "by"], &["b"]), mean("b")];
    with_side(nodes, vec![number("from", 0.0), number("to", 1e9), number("by", 1.0)]).bytes()
}

/// A thousand dimensions more with every node: what is known of them must not grow without bound.
fn growing_rank() -> Vec<u8> {
    let axes: Vec<i64> = (0..200).collect();
    let mut nodes = vec![ones("n", "c0")];
    for i in 0..500 {
        nodes.push(node("Unsqueeze", &[&format!("c{i}"), "axes"], &[&format!("c{}", i + 1)]));
    }
    of(nodes, "c500", &[("n", &[1]), ("axes", &axes)])
}

/// The size of a constant is computed by operators that no pre-scan follows.
fn unknown_size() -> Vec<u8> {
    let exp = node("Exp", &["e"], &["x"]);
    let cast = node("Cast", &["x"], &["n"]).msg(5, &int("to", 7));
    let nodes = vec![exp, cast, ones("n", "b"), mean("b")];
    with_side(nodes, vec![tensor("e", &[1], &[21.4])]).bytes()
}

/// The body of a loop that carries `y` on as `product(y)`.
fn body(step: &[Msg], out: &str) -> Msg {
    let head = [node("Identity", &["going"], &["goes_on"])];
    let g = head.iter().chain(step).fold(Msg::default(), |g, n| g.msg(1, n)).text(2, "body");
    [("round", 7, &[][..]), ("going", 9, &[]), ("y", 1, &[])]
        .into_iter()
        .fold(g, |g, (name, kind, dims)| g.msg(11, &value_info(name, kind, dims)))
        .msg(12, &value_info("goes_on", 9, &[]))
        .msg(12, &value_info(out, 1, &[]))
}

/// A `Loop` of `rounds` (empty: for ever) that carries the scalar `m`.
fn loop_of(rounds: &str, body: &Msg) -> Vec<Msg> {
    vec![
        node("ReduceMax", &["features"], &["m"]).msg(5, &int("keepdims", 0)),
        node("Loop", &[rounds, "yes", "m"], &["z"]).msg(5, &graph_attribute("body", body)),
    ]
}

fn scalar_i64(name: &str, v: i64) -> Msg {
    Msg::default().int(2, 7).text(8, name).bytes(9, &v.to_le_bytes())
}

fn yes() -> Msg {
    Msg::default().int(2, 9).text(8, "yes").bytes(9, &[1])
}

/// A loop that never ends.
fn endless() -> Vec<u8> {
    let step = body(&[node("Sin", &["y"], &["y2"])], "y2");
    with_side(loop_of("", &step), vec![yes()]).bytes()
}

/// Loops without a bound, or with a bound that is none.
fn loops() -> Vec<Hostile> {
    let l = Check::Loop;
    let step = || body(&[node("Sin", &["y"], &["y2"])], "y2");
    let rounds = |n: i64| with_side(loop_of("n", &step()), vec![yes(), scalar_i64("n", n)]).bytes();
    let computed = {
        let mut nodes = loop_of("n", &step());
        nodes.insert(1, node("Cast", &["m"], &["n"]).msg(5, &int("to", 7)));
        with_side(nodes, vec![yes()]).bytes()
    };
    let scan = vec![node("Scan", &["features"], &["z"]).msg(5, &graph_attribute("body", &Msg::default()))];
    vec![
        refused("loop_for_ever", l, endless()),
        refused("loop_of_2_to_the_62", l, rounds(1 << 62)),
        refused("loop_of_a_computed_number", l, computed),
        refused("loops_in_loops", l, loops_in_loops()),
        refused("scan", l, with_side(scan, vec![]).bytes()),
    ]
}

/// Four loops of a thousand rounds inside each other.
fn loops_in_loops() -> Vec<u8> {
    let mut step = node("Sin", &["y"], &["y2"]);
    for depth in 0..3 {
        let names = (format!("r{depth}"), format!("g{depth}"), format!("h{depth}"));
        let inner = Msg::default()
            .msg(1, &node("Identity", &[&names.1], &[&names.2]))
            .msg(1, &step)
            .text(2, "body")
            .msg(11, &value_info(&names.0, 7, &[]))
            .msg(11, &value_info(&names.1, 9, &[]))
            .msg(11, &value_info(if depth == 0 { "y" } else { step_input(depth) }, 1, &[]))
            .msg(12, &value_info(&names.2, 9, &[]))
            .msg(12, &value_info(step_output(depth), 1, &[]));
        step = node("Loop", &["n", "yes", step_input(depth + 1)], &[step_output(depth + 1)])
            .msg(5, &graph_attribute("body", &inner));
    }
    let last = body_named(&step, step_input(3), step_output(3));
    with_side(loop_of("n", &last), vec![yes(), scalar_i64("n", 1_000)]).bytes()
}

const fn step_input(depth: usize) -> &'static str {
    ["y", "ya", "yb", "yc"][depth]
}

const fn step_output(depth: usize) -> &'static str {
    ["y2", "ya2", "yb2", "yc2"][depth]
}

fn body_named(step: &Msg, input: &str, output: &str) -> Msg {
    Msg::default()
        .msg(1, &node("Identity", &["going"], &["goes_on"]))
        .msg(1, step)
        .text(2, "body")
        .msg(11, &value_info("round", 7, &[]))
        .msg(11, &value_info("going", 9, &[]))
        .msg(11, &value_info(input, 1, &[]))
        .msg(12, &value_info("goes_on", 9, &[]))
        .msg(12, &value_info(output, 1, &[]))
}

/// What depends on the numbers of a row cannot be known beforehand: a worker must contain it.
fn at_run_time() -> Vec<Hostile> {
    let largest = || node("ReduceMax", &["features"], &["m"]).msg(5, &int("keepdims", 0));
    vec![
        contained("memory_bomb_at_run_time", bomb_of(2.5e9)),
        contained("memory_bomb_of_a_terabyte", bomb_of(2.5e11)),
        contained("slow_chain_of_matmuls", slow(largest(), 60)),
        contained("slow_bounded_loop", slow_loop(&largest())),
        contained("memory_of_many_tensors", many_tensors(largest())),
    ]
}

/// `ConstantOfShape` of a size that is computed from the row: about `size` numbers whatever the row is.
fn bomb_of(size: f32) -> Vec<u8> {
    let nodes = vec![
        node("ReduceMax", &["features"], &["m"]).msg(5, &int("keepdims", 0)),
        node("Tanh", &["m"], &["t"]),
        node("Add", &["t", "size"], &["n"]),
        node("Cast", &["n"], &["i"]).msg(5, &int("to", 7)),
        node("Reshape", &["i", "one"], &["shape"]),
        ones("shape", "b"),
        mean("b"),
    ];
    with_side(nodes, vec![tensor("size", &[], &[size]), tensor_i64("one", &[1])]).bytes()
}

/// Products of 3000² matrices, each of them 54 billion operations, that no optimiser can fold.
fn slow(largest: Msg, rounds: usize) -> Vec<u8> {
    let mut nodes = vec![largest, node("Expand", &["m", "n"], &["c0"])];
    for i in 0..rounds {
        nodes.push(node("MatMul", &[&format!("c{i}"), "c0"], &[&format!("c{}", i + 1)]));
    }
    nodes.push(mean(&format!("c{rounds}")));
    with_side(nodes, vec![tensor_i64("n", &[3000, 3000])]).bytes()
}

/// A loop of a thousand admitted rounds, each a product of 1000² matrices.
fn slow_loop(largest: &Msg) -> Vec<u8> {
    let step = [
        node("Expand", &["y", "n"], &["e"]),
        node("MatMul", &["e", "e"], &["p"]),
        node("ReduceMean", &["p"], &["y2"]).msg(5, &int("keepdims", 0)),
    ];
    let nodes = vec![
        largest.clone(),
        node("Loop", &["rounds", "yes", "m"], &["z"]).msg(5, &graph_attribute("body", &body(&step, "y2"))),
    ];
    with_side(nodes, vec![yes(), scalar_i64("rounds", 1_000), tensor_i64("n", &[1000, 1000])]).bytes()
}

/// Sixty-four tensors of 60 MB that are all alive at once; each alone is within the bound.
fn many_tensors(largest: Msg) -> Vec<u8> {
    let mut nodes = vec![largest];
    let names: Vec<String> = (0..64).map(|i| format!("e{i}")).collect();
    for (i, name) in names.iter().enumerate() {
        nodes.push(node("Add", &["m", &format!("k{i}")], &[&format!("a{i}")]));
        nodes.push(node("Expand", &[&format!("a{i}"), "n"], &[name]));
    }
    // Each reads the first and the last, so none can be freed early.
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    nodes.push(node("Sum", &all, &["b"]));
    nodes.push(mean("b"));
    let mut initializers: Vec<Msg> = (0..64).map(|i| tensor(&format!("k{i}"), &[], &[i as f32])).collect();
    initializers.push(tensor_i64("n", &[15_000_000]));
    with_side(nodes, initializers).bytes()
}

/// What the miner's own machine lets pass and a worker process must stop.
pub(super) fn local() -> Vec<Hostile> {
    vec![
        contained("loop_for_ever", endless()),
        contained("fold_matmul_6000", {
            let nodes = vec![ones("n", "a"), node("MatMul", &["a", "a"], &["b"])];
            of(nodes, "b", &[("n", &[6000, 6000])])
        }),
        contained("constant_of_shape_8_gb", of(vec![ones("n", "b")], "b", &[("n", &[2_000_000_000])])),
    ]
}
