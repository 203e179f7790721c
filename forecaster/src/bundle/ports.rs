//! C08: the graph takes and gives what the manifest says; it never trusts the declared shape of an actual answer.

use super::graph::{Declared, ModelFacts};
use crate::engine::{Dim, Dtype};
use crate::error::{Check, ForecasterError};
use crate::manifest::Manifest;

/// Checks names, element types and ranks, and that no input of the graph stays without numbers.
///
/// Sizes of outputs are not compared: real files declare them wrongly, so C09 looks at what comes out.
pub(super) fn check(facts: &ModelFacts, manifest: &Manifest) -> Result<(), ForecasterError> {
    for input in &manifest.inputs {
        let found = port(Check::Input, &facts.inputs, &input.name, input.dtype)?;
        let fits = |got: &Option<u64>, want: &Dim| match (got, want) {
            (Some(got), Dim::Fixed(want)) => *got == u64::from(*want),
            (None, _) => true,
            // A graph of one fixed row takes batches of one.
            (Some(got), Dim::Named(_)) => !want.is_batch() || *got == 1,
        };
        if let Some(shape) = &found.shape
            && (shape.len() != input.shape.len() || !shape.iter().zip(&input.shape).all(|(g, w)| fits(g, w)))
        {
            let detail = format!("`{}` has shape {shape:?}, the manifest says {:?}", input.name, input.shape);
            return Err(ForecasterError::check(Check::Input, detail));
        }
    }
    if let Some(left) = facts.inputs.iter().find(|i| manifest.inputs.iter().all(|m| m.name != i.name)) {
        let detail = format!("the graph also needs `{}`; list it in [[inputs]]", left.name);
        return Err(ForecasterError::check(Check::Input, detail));
    }
    for output in &manifest.outputs {
        port(Check::Output, &facts.outputs, &output.name, output.dtype)?;
    }
    for pair in &manifest.state {
        // What comes out goes in again, so it is of the input's type.
        let input = manifest.inputs.iter().find(|i| i.name == pair.input);
        let dtype = input.map_or(Dtype::F32, |i| i.dtype);
        port(Check::Output, &facts.outputs, &pair.output, dtype)?;
    }
    Ok(())
}

fn port<'a>(
    check: Check,
    declared: &'a [Declared],
    name: &str,
    dtype: Dtype,
) -> Result<&'a Declared, ForecasterError> {
    let fault = |detail: String| Err(ForecasterError::check(check, detail));
    let Some(found) = declared.iter().find(|d| d.name == name) else {
        let names: Vec<&str> = declared.iter().map(|d| d.name.as_str()).collect();
        return fault(format!("the graph has no `{name}`, but: {}", names.join(", ")));
    };
    if Dtype::from_onnx(found.element) != Some(dtype) {
        return fault(format!(
            "`{name}` has element type {}, the manifest says {}",
            found.element,
            dtype.name()
        ));
    }
    Ok(found)
}
