//! C08: the graph takes and gives what the manifest says; it never trusts the declared shape of an actual answer.

use super::graph::{Declared, ModelFacts};
use crate::error::{Check, ForecasterError};
use crate::features::WIDTH;
use crate::manifest::Manifest;

/// ONNX's number for f32.
const FLOAT: u64 = 1;

/// Checks names, element types and shapes: `f32[batch, 10]` in, `f32[batch, 1]` out, nothing else.
pub(super) fn check(facts: &ModelFacts, manifest: &Manifest) -> Result<(), ForecasterError> {
    one(Check::Input, &facts.inputs, &manifest.input.name, WIDTH as u64)?;
    one(Check::Output, &facts.outputs, &manifest.output.name, 1)
}

fn one(check: Check, declared: &[Declared], name: &str, width: u64) -> Result<(), ForecasterError> {
    let want = format!("one `{name}` of f32[batch, {width}]");
    let fault =
        |found: String| Err(ForecasterError::check(check, format!("{found}, the manifest needs {want}")));
    let [only] = declared else {
        return fault(format!("the graph has {}", declared.len()));
    };
    if only.name != name {
        return fault(format!("the graph has `{}`", only.name));
    }
    if only.element != FLOAT {
        return fault(format!("`{name}` has element type {}", only.element));
    }
    match only.shape.as_deref() {
        Some([None, Some(w)]) if *w == width => Ok(()),
        other => fault(format!("`{name}` has shape {other:?}")),
    }
}
