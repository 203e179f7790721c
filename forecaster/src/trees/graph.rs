//! Recognises a graph that is one tree ensemble with what converters put around it; it refuses everything else.
//!
//! Around the ensemble may stand nodes that leave the numbers alone (`Cast`, `Identity`, `Flatten`, `Reshape`) and,
//! behind it, `Mul` and `Div` by a number, `Sigmoid` and `Softmax`.

use super::ensemble::Ensemble;
use super::file::{File, Node};
use super::unsupported;
use crate::engine::{Data, Dtype};
use crate::error::ForecasterError;

/// The operators' domain.
const ML: &str = "ai.onnx.ml";

/// Which answer of the ensemble an output shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Scores,
    Label,
}

/// What happens to scores on their way out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// By a constant number.
    Mul(f32),
    Div(f32),
    Sigmoid,
    Softmax,
}

/// One output of the graph.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Output {
    pub(super) name: String,
    pub(super) answer: Answer,
    pub(super) steps: Vec<Step>,
    /// Shape of one row's answer.
    pub(super) tail: Vec<usize>,
    /// `None` for texts.
    pub(super) dtype: Option<Dtype>,
}

/// The whole graph.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) input: String,
    /// What the input is; other types than f32 are cast in the graph.
    pub(super) dtype: Dtype,
    pub(super) outputs: Vec<Output>,
    pub(super) ensemble: Ensemble,
}

impl Plan {
    /// Reads the graph between these inputs and outputs; an input is a name and a type.
    pub(super) fn read(
        model: &[u8],
        inputs: &[(String, Option<Dtype>)],
        outputs: &[String],
    ) -> Result<Self, ForecasterError> {
        let file = File::read(model)?;
        let mut trees = file.nodes.iter().filter(|n| n.domain == ML && n.op.starts_with("TreeEnsemble"));
        let (Some(node), None) = (trees.next(), trees.next()) else {
            return Err(unsupported("the graph is not one tree ensemble"));
        };
        let [(input, dtype)] = inputs else {
            return Err(unsupported(format!("{} inputs, not one", inputs.len())));
        };
        let dtype = dtype.ok_or_else(|| unsupported("the input is of a type no bundle may use"))?;
        let cast = front(&file, node, input)?;
        if dtype != Dtype::F32 && !cast {
            return Err(unsupported(format!("trees on {} without a cast to f32", dtype.name())));
        }
        known_attributes(node)?;
        let mut out = Self {
            input: input.clone(),
            dtype,
            outputs: Vec::with_capacity(outputs.len()),
            ensemble: Ensemble::read(node)?,
        };
        for name in outputs {
            let output = back(&file, node, name, &out.ensemble)?;
            out.outputs.push(output);
        }
        Ok(out)
    }
}

/// Attributes that would change the answer if they were not known here.
fn known_attributes(node: &Node<'_>) -> Result<(), ForecasterError> {
    let known = ["nodes_", "target_", "class_", "classlabels_", "base_values", "leaf_", "membership_values"];
    let exact = ["aggregate_function", "post_transform", "n_targets", "tree_roots"];
    let stranger =
        node.names().find(|name| !known.iter().any(|k| name.starts_with(k)) && !exact.contains(name));
    stranger.map_or(Ok(()), |name| Err(unsupported(format!("attribute `{name}`"))))
}

/// The node whose answer has this name.
fn producer<'f, 'a>(file: &'f File<'a>, name: &str) -> Result<&'f Node<'a>, ForecasterError> {
    let found = file.nodes.iter().find(|n| n.outputs.contains(&name));
    found.ok_or_else(|| unsupported(format!("nothing computes `{name}`")))
}

fn first_input<'a>(node: &Node<'a>) -> Result<&'a str, ForecasterError> {
    node.inputs.first().copied().ok_or_else(|| unsupported(format!("`{}` without input", node.op)))
}

/// Whether the node is of the default domain.
fn plain(node: &Node<'_>) -> bool {
    matches!(node.domain, "" | "ai.onnx")
}

/// From the ensemble back to the graph's input; says whether there is a cast to f32 on the way.
fn front(file: &File<'_>, ensemble: &Node<'_>, input: &str) -> Result<bool, ForecasterError> {
    let (mut name, mut cast) = (first_input(ensemble)?, false);
    for _ in 0..=file.nodes.len() {
        if name == input {
            return Ok(cast);
        }
        let node = producer(file, name)?;
        match node.op {
            _ if !plain(node) => return Err(unsupported(format!("`{}` before the trees", node.op))),
            "Identity" => {}
            "Cast" if node.int("to")? == Some(1) => cast = true,
            "Flatten" if node.int("axis")?.unwrap_or(1) == 1 => {}
            "Reshape" if matches!(dims(file, node)?[..], [-1 | 0, width] if width > 0 || width == -1) => {}
            other => return Err(unsupported(format!("`{other}` before the trees"))),
        }
        name = first_input(node)?;
    }
    Err(unsupported("the graph runs in a circle"))
}

/// From one of the graph's outputs back to the ensemble.
fn back(
    file: &File<'_>,
    ensemble: &Node<'_>,
    output: &str,
    trees: &Ensemble,
) -> Result<Output, ForecasterError> {
    let mut way = Vec::new();
    let mut name = output;
    let node = loop {
        let node = producer(file, name)?;
        if std::ptr::eq(node, ensemble) {
            break node;
        }
        if way.len() > file.nodes.len() || !plain(node) {
            return Err(unsupported(format!("`{}` behind the trees", node.op)));
        }
        way.push(node);
        name = carried(file, node)?;
    };
    let scores = trees.classes.is_none() || node.outputs.get(1) == Some(&name);
    let texts = trees.classes.as_ref().is_some_and(|c| c.texts);
    let mut out = Output {
        name: output.to_owned(),
        answer: if scores { Answer::Scores } else { Answer::Label },
        steps: Vec::new(),
        tail: if scores { vec![trees.targets] } else { Vec::new() },
        dtype: match (scores, texts) {
            (true, _) => Some(Dtype::F32),
            (false, false) => Some(Dtype::I64),
            (false, true) => None,
        },
    };
    for node in way.into_iter().rev() {
        step(file, node, &mut out)?;
    }
    Ok(out)
}

/// The input of a node behind the trees that carries the trees' answer; the other one of a product is a constant.
fn carried<'a>(file: &File<'_>, node: &Node<'a>) -> Result<&'a str, ForecasterError> {
    if node.op == "Mul"
        && let [a, b] = node.inputs[..]
    {
        return Ok(if file.constant(a)?.is_some() { b } else { a });
    }
    first_input(node)
}

/// What a node behind the trees does to an answer.
fn step(file: &File<'_>, node: &Node<'_>, out: &mut Output) -> Result<(), ForecasterError> {
    let refuse = || Err(unsupported(format!("`{}` behind the trees, in this form", node.op)));
    let width: usize = out.tail.iter().product();
    let scores = out.answer == Answer::Scores && out.dtype == Some(Dtype::F32);
    match node.op {
        "Identity" => {}
        "Cast" => match (node.int("to")?, out.dtype) {
            (Some(1), Some(_)) => out.dtype = Some(Dtype::F32),
            (Some(11), Some(_)) => out.dtype = Some(Dtype::F64),
            // Integers as integers, texts as texts.
            (Some(7), Some(Dtype::I64)) | (Some(8), None) => {}
            _ => return refuse(),
        },
        "Mul" | "Div" if scores => {
            let number = match node.op {
                "Mul" => node.inputs.iter().find(|name| matches!(file.constant(name), Ok(Some(_)))),
                _ => node.inputs.get(1),
            };
            match number.map(|name| file.constant(name)).transpose()?.flatten() {
                Some(Data::F32(v)) if v.len() == 1 && node.op == "Mul" => out.steps.push(Step::Mul(v[0])),
                Some(Data::F32(v)) if v.len() == 1 => out.steps.push(Step::Div(v[0])),
                _ => return refuse(),
            }
        }
        "Flatten" if node.int("axis")?.unwrap_or(1) == 1 => out.tail = vec![width],
        "Reshape" => match dims(file, node)?.split_first() {
            Some((-1 | 0, rest)) if rest.iter().all(|d| *d > 0) => {
                let tail: Vec<usize> = rest.iter().map(|d| *d as usize).collect();
                if tail.iter().product::<usize>() != width {
                    return refuse();
                }
                out.tail = tail;
            }
            _ => return refuse(),
        },
        "Sigmoid" if scores => out.steps.push(Step::Sigmoid),
        "Softmax" if scores && out.tail.len() == 1 && matches!(node.int("axis")?, None | Some(1 | -1)) => {
            out.steps.push(Step::Softmax);
        }
        _ => return refuse(),
    }
    Ok(())
}

/// The constant shape of a `Reshape`.
fn dims(file: &File<'_>, node: &Node<'_>) -> Result<Vec<i64>, ForecasterError> {
    let shape = node.inputs.get(1).map(|name| file.constant(name)).transpose()?.flatten();
    match shape {
        Some(Data::I64(dims)) if dims.len() <= 8 && dims.iter().all(|d| *d <= 1 << 32) => Ok(dims),
        _ => Err(unsupported("a `Reshape` to a shape that is not constant")),
    }
}
