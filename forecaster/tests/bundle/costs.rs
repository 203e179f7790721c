//! C06 and C07 at their edges: what is just within a bound passes, one more does not; sound models are not refused.

use forecaster::bundle::Policy;
use forecaster::{Bundle, Check};

use crate::corpus::manifest;
use crate::corpus::onnx::{File, Msg, node, tensor, tensor_i64, value_info};
use crate::support::bundle_as;

fn int(name: &str, value: i64) -> Msg {
    Msg::default().text(1, name).int(3, value as u64).int(20, 2)
}

/// `z`, the mean of `from`, is added to the sound model.
fn with(nodes: Vec<Msg>, from: &str, initializers: Vec<Msg>) -> Vec<u8> {
    let mut f = File::linear([1.0; 10]);
    f.nodes = nodes;
    f.nodes.push(node("ReduceMean", &[from], &["z"]).msg(5, &int("keepdims", 0)));
    f.nodes.push(node("MatMul", &["features", "w"], &["s"]));
    f.nodes.push(node("Add", &["s", "z"], &["sz"]));
    f.nodes.push(node("Sigmoid", &["sz"], &["p_up"]));
    f.initializers.extend(initializers);
    f.bytes()
}

fn hosted(model: &[u8]) -> Result<Bundle, forecaster::ForecasterError> {
    bundle_as(Policy::Hosted, &manifest(model), model)
}

fn check(model: &[u8], want: &str, what: &str) {
    let got = hosted(model);
    let detail = got.as_ref().err().map(ToString::to_string);
    assert_eq!(got.map_or_else(|e| e.code(), |_| "ok"), want, "{what}: {detail:?}");
}

#[test]
fn products_of_constants() {
    let square = |n: i64| {
        let nodes = vec![node("ConstantOfShape", &["n"], &["a"]), node("MatMul", &["a", "a"], &["b"])];
        with(nodes, "b", vec![tensor_i64("n", &[n, n])])
    };
    // 2 n³ operations: 900³ is 1.5e9, 1100³ is 2.7e9, allowed are 2e9.
    check(&square(900), "ok", "900");
    check(&square(1100), Check::Folding.code(), "1100");
    let done = hosted(&square(900)).unwrap();
    assert!(done.facts().folding > 1_400_000_000 && done.facts().unbounded.is_none());
}

#[test]
fn shapes_are_followed_to_the_bomb() {
    let big = Check::Memory.code();
    let fill = || node("ConstantOfShape", &["n"], &["b"]);
    let i64s = tensor_i64;
    // The size is put together by the operators that exporters use.
    let product = vec![node("Mul", &["p", "q"], &["n"]), fill()];
    check(&with(product, "b", vec![i64s("p", &[100_000]), i64s("q", &[100_000])]), big, "a product");
    let joined = vec![node("Concat", &["p", "q"], &["n"]).msg(5, &int("axis", 0)), fill()];
    check(&with(joined, "b", vec![i64s("p", &[100_000]), i64s("q", &[100_000])]), big, "a concatenation");
    let picked = vec![node("Gather", &["p", "q"], &["n"]), fill()];
    check(&with(picked, "b", vec![i64s("p", &[1, 1 << 33]), i64s("q", &[-1])]), big, "a choice");
    let of_shape = vec![
        node("ConstantOfShape", &["p"], &["a"]),
        node("Shape", &["a"], &["sh"]),
        node("Mul", &["sh", "sh"], &["n"]),
        fill(),
    ];
    check(&with(of_shape, "b", vec![i64s("p", &[200_000])]), big, "the shape of a constant");
    let cut = vec![node("Slice", &["p", "from", "to"], &["n"]), fill()];
    let parts = vec![i64s("p", &[7, 1 << 33, 7]), i64s("from", &[1]), i64s("to", &[2])];
    check(&with(cut, "b", parts), big, "a slice");
    let resized = vec![node("ConstantOfShape", &["n"], &["a"]), node("Resize", &["a", "", "by"], &["b"])];
    let by = tensor("by", &[4], &[1.0, 1.0, 1e5, 1e5]);
    check(&with(resized, "b", vec![i64s("n", &[1, 1, 8, 8]), by]), big, "a resize");
    let hot = vec![node("OneHot", &["n", "depth", "pair"], &["b"])];
    let depth = i64s("depth", &[1 << 33]);
    check(&with(hot, "b", vec![i64s("n", &[1]), depth, tensor("pair", &[2], &[0.0, 1.0])]), big, "one hot");
}

#[test]
fn constants_in_subgraphs_count() {
    let branch = |nodes: &[Msg], out: &str| {
        let g = nodes.iter().fold(Msg::default(), |g, n| g.msg(1, n)).text(2, "b");
        g.msg(12, &value_info(out, 1, &[]))
    };
    let graph = |name: &str, g: &Msg| Msg::default().text(1, name).msg(6, g).int(20, 5);
    let heavy = [
        node("ConstantOfShape", &["n"], &["a"]),
        node("MatMul", &["a", "a"], &["aa"]),
        node("ReduceMean", &["aa"], &["t"]).msg(5, &int("keepdims", 0)),
    ];
    let model = |n: i64| {
        let choice = node("If", &["c"], &["y"])
            .msg(5, &graph("then_branch", &branch(&heavy, "t")))
            .msg(5, &graph("else_branch", &branch(&[node("Neg", &["m"], &["e"])], "e")));
        let nodes = vec![
            node("ReduceMax", &["features"], &["m"]).msg(5, &int("keepdims", 0)),
            node("Less", &["m", "zero"], &["c"]),
            choice,
        ];
        with(nodes, "y", vec![tensor("zero", &[], &[0.0]), tensor_i64("n", &[n, n])])
    };
    check(&model(100), "ok", "a light branch");
    check(&model(3000), Check::Folding.code(), "a heavy branch");
}

#[test]
fn what_the_rows_decide_is_not_refused() {
    // The shape of the rows, as exporters write it.
    let nodes = vec![
        node("Shape", &["features"], &["sh"]),
        node("Gather", &["sh", "first"], &["n"]),
        node("Concat", &["n", "five"], &["to"]).msg(5, &int("axis", 0)),
        node("ConstantOfShape", &["to"], &["b"]),
    ];
    check(
        &with(nodes, "b", vec![tensor_i64("first", &[0]), tensor_i64("five", &[5])]),
        "ok",
        "zeros of the batch",
    );
    let nodes = vec![node("Reshape", &["features", "to"], &["b"])];
    check(&with(nodes, "b", vec![tensor_i64("to", &[0, 2, -1])]), "ok", "a reshape");
    // The same row many times: at least as much as is repeated.
    let tiled =
        |n: i64| with(vec![node("Tile", &["features", "n"], &["b"])], "b", vec![tensor_i64("n", &[n, 1])]);
    check(&tiled(1000), "ok", "a small tile");
    check(&tiled(1 << 30), Check::Memory.code(), "a huge tile");
}

#[test]
fn the_shipped_models_pass_as_hosted() {
    let models = std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models"));
    for name in ["closed-form", "logistic", "gbt", "mlp", "poor"] {
        let got =
            Bundle::load_as(Policy::Hosted, &models.join(name), &forecaster::bundle::BundleLimits::default());
        assert!(got.is_ok(), "{name}: {got:?}");
    }
}
