//! C02: every value has one name and one writer, and is written before it is read; it never looks at what a node does.

use std::collections::BTreeSet;

use super::onnx::{Graph, Node};
use crate::error::{Check, ForecasterError};

/// Checks a graph and its subgraphs.
///
/// A subgraph sees the names around it, as far as they are written before its node.
pub(super) fn check(graph: &Graph<'_>) -> Result<(), ForecasterError> {
    let mut scopes = Vec::new();
    scope(graph, &mut scopes)
}

/// One graph: what it writes is visible to its own nodes and their subgraphs.
fn scope<'a>(graph: &'a Graph<'a>, scopes: &mut Vec<BTreeSet<&'a str>>) -> Result<(), ForecasterError> {
    let mut given = BTreeSet::new();
    for input in &graph.inputs {
        once(&mut given, &input.name, "an input")?;
    }
    let mut constants = BTreeSet::new();
    let sparse = graph.sparse.iter().map(|(name, _)| *name);
    for name in graph.initializers.iter().map(|t| t.name).chain(sparse) {
        // An initializer may be listed among the inputs, but not twice among the initializers.
        once(&mut constants, name, "an initializer")?;
    }
    given.extend(constants);
    scopes.push(given);
    for node in &graph.nodes {
        self::node(node, scopes)?;
    }
    let own = scopes.pop().unwrap_or_default();
    for output in &graph.outputs {
        let known = own.contains(output.name.as_str()) || visible(scopes, &output.name);
        if !known {
            return fault(format!("output `{}` is never written", output.name));
        }
    }
    Ok(())
}

fn node<'a>(node: &'a Node<'a>, scopes: &mut Vec<BTreeSet<&'a str>>) -> Result<(), ForecasterError> {
    if let Some(input) = node.inputs.iter().find(|i| !i.is_empty() && !visible(scopes, i)) {
        return fault(format!("a `{}` reads `{input}`, which nothing before it writes", node.op));
    }
    let mut attributes = BTreeSet::new();
    for attribute in &node.attributes {
        once(&mut attributes, attribute.name, "an attribute")?;
    }
    for graph in node.graphs() {
        scope(graph, scopes)?;
    }
    let own = scopes.last_mut().expect("a node is in a graph, which has pushed its scope");
    for output in node.outputs.iter().filter(|o| !o.is_empty()) {
        once(own, output, "a value")?;
    }
    Ok(())
}

fn visible(scopes: &[BTreeSet<&str>], name: &str) -> bool {
    scopes.iter().any(|scope| scope.contains(name))
}

fn once<'a>(names: &mut BTreeSet<&'a str>, name: &'a str, what: &str) -> Result<(), ForecasterError> {
    if name.is_empty() {
        return fault(format!("{what} has no name"));
    }
    if names.insert(name) { Ok(()) } else { fault(format!("{what} `{name}` is there twice")) }
}

fn fault(detail: String) -> Result<(), ForecasterError> {
    Err(ForecasterError::check(Check::Names, detail))
}
