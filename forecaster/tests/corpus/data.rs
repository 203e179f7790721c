//! Tensors that point outside the file or lie about their size; it never names a file that exists for a secret's sake.
//!
//! CVE-2022-25882 (`../` in external data), CVE-2024-27318 (absolute and encoded paths), CVE-2025-51480 (paths on
//! writing), CVE-2026-27489 (links), CVE-2026-34445 (memory taken by the entries themselves).

use forecaster::Check;

use super::onnx::{Msg, node, tensor, value_info};
use super::{Hostile, file, graph_attribute, refused, tensor_attribute};

fn entry(key: &str, value: &str) -> Msg {
    Msg::default().text(1, key).text(2, value)
}

/// Weights whose data is said to be at `location`.
fn outside(location: &str) -> Msg {
    tensor("w", &[10, 1], &[]).msg(13, &entry("location", location)).int(14, 1)
}

fn inside() -> Msg {
    tensor("w", &[10, 1], &[1.0; 10])
}

fn initializer(t: Msg) -> Vec<u8> {
    file(|f| f.initializers[0] = t)
}

/// The model with an attribute on its first node.
fn attribute(a: &Msg) -> Vec<u8> {
    file(|f| f.nodes[0] = f.nodes[0].clone().msg(5, a))
}

/// A `then_branch` inside a `then_branch`, `depth` times, with `inner` at the bottom.
fn nested(depth: usize, inner: Msg) -> Msg {
    (0..depth).fold(inner, |graph, _| {
        Msg::default().msg(1, &node("If", &["c"], &["x"]).msg(5, &graph_attribute("then_branch", &graph)))
    })
}

pub(super) fn all() -> Vec<Hostile> {
    let mut all = external();
    all.extend(lies());
    all
}

/// External data in every place and form.
fn external() -> Vec<Hostile> {
    let many = (0..10_000).fold(inside(), |t, i| t.msg(13, &entry(&format!("k{i}"), "v")));
    let sparse = |field| Msg::default().msg(field, &outside("x"));
    let place = |name: &str, field, m: &Msg| attribute(&Msg::default().text(1, name).msg(field, m));
    let function = Msg::default()
        .text(1, "F")
        .msg(7, &node("Constant", &[], &["x"]).msg(5, &tensor_attribute("value", &outside("x"))))
        .text(10, "own");
    let training = Msg::default().msg(1, &Msg::default().msg(5, &outside("x")));
    let check = Check::ExternalData;
    vec![
        refused("external_parent_folder", check, initializer(outside("../secret"))),
        refused("external_absolute_path", check, initializer(outside("/etc/passwd"))),
        refused("external_device", check, initializer(outside("/dev/zero"))),
        refused("external_link_in_bundle", check, initializer(outside("link-to-secret"))),
        refused("external_encoded_dots", check, initializer(outside("%2e%2e/secret"))),
        refused("external_in_memory_marker", check, initializer(outside("*/_ORT_MEM_ADDR_/*"))),
        refused("external_flag_only", check, initializer(inside().int(14, 1))),
        refused("external_flag_of_another_value", check, initializer(inside().int(14, 2))),
        refused("external_entries_only", check, initializer(inside().msg(13, &entry("location", "x")))),
        refused("external_ten_thousand_entries", check, initializer(many)),
        refused("external_in_attribute", check, place("value", 5, &outside("x"))),
        refused("external_in_list_of_tensors", check, place("values", 10, &outside("x"))),
        refused("external_in_sparse_values", check, place("sparse_value", 22, &sparse(1))),
        refused("external_in_sparse_indices", check, place("sparse_values", 23, &sparse(2))),
        refused(
            "external_in_sparse_initializer",
            check,
            file(|f| f.graph_extra = Msg::default().msg(15, &sparse(1))),
        ),
        refused(
            "external_in_deep_subgraph",
            check,
            file(|f| f.graph_extra = nested(6, Msg::default().msg(5, &outside("x")))),
        ),
        refused("external_in_function", check, file(|f| f.model_extra = Msg::default().msg(25, &function))),
        refused(
            "external_in_training_graph",
            check,
            file(|f| f.model_extra = Msg::default().msg(20, &training)),
        ),
    ]
}

/// Dimensions, types and names that do not fit the data.
fn lies() -> Vec<Hostile> {
    let check = Check::TensorData;
    let dims = |dims: &[u64]| initializer(tensor("w", dims, &[1.0; 10]));
    let typed = |kind: u64| {
        let zeros = vec![0; 40];
        Msg::default().int(1, 10).int(1, 1).int(2, kind).text(8, "w").bytes(9, &zeros)
    };
    let floats = |n: usize| (0..n).flat_map(|_| 1.0_f32.to_le_bytes()).collect::<Vec<u8>>();
    let head = || Msg::default().int(1, 10).int(1, 1).int(2, 1).text(8, "w");
    let words = Msg::default().int(1, 1).int(2, 8).bytes(6, b"text").text(8, "w");
    vec![
        refused("dims_larger_than_data", check, dims(&[1_000_000, 1_000])),
        refused("dims_smaller_than_data", check, dims(&[1, 1])),
        refused("dims_negative", check, dims(&[u64::MAX, 10])),
        refused("dims_overflow", check, dims(&[1 << 62, 1 << 62])),
        refused("dims_overflow_to_fit", check, dims(&[1 << 63, 2, 10])),
        refused("dims_of_nothing", check, initializer(tensor("w", &[10, 1], &[]))),
        refused("packed_floats_too_few", check, initializer(head().bytes(4, &floats(9)))),
        refused("packed_floats_torn", check, initializer(head().bytes(4, &floats(10)[..39]))),
        refused("raw_and_typed_data", check, initializer(inside().bytes(4, &floats(10)))),
        refused("data_of_another_type", check, initializer(head().bytes(7, &[1; 10]))),
        refused("type_undefined", check, initializer(typed(0))),
        refused("type_unknown", check, initializer(typed(99))),
        refused("text_initializer", Check::Strings, initializer(words)),
        refused("text_input", Check::Strings, file(|f| f.inputs.push(value_info("t", 8, &[None])))),
    ]
}
