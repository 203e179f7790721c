//! C06 and C07: nesting, rounds of loops, memory and work that are known before anything runs; it never runs a node.
//!
//! ONNX Runtime computes everything that depends on constants alone while it loads a file, where no limit of a run can
//! stop it (one product of 6000² matrices took seven seconds). So the shapes of constants are followed here, and the
//! operations on them are summed. What depends on the rows is left to the worker process that runs the model.

use std::collections::BTreeMap;

use super::fact::Fact;
use super::graph::ModelFacts;
use super::onnx::{Graph, Model, Node};
use super::policy::Policy;
use super::{shapes, values};
use crate::error::{Check, ForecasterError};

/// Operators that run their subgraphs more than once.
const LOOPS: [&str; 2] = ["Loop", "Scan"];
/// Operators of about five times the work of an addition.
const COSTLY: &[&str] =
    &["Erf", "Exp", "Gelu", "Log", "Mish", "Pow", "Sigmoid", "Softmax", "Softplus", "Tanh"];

/// Follows the shapes of a whole file under a policy; what was found is added to the facts.
pub(super) fn check(model: &mut Model<'_>, policy: Policy, max_bytes: u64) -> Result<(), ForecasterError> {
    let mut walk =
        Walk { policy, max_bytes, kept: 0, rounds: 1, facts: &mut model.facts, scopes: Vec::new() };
    walk.graph(&model.graph, 0, Vec::new())
}

struct Walk<'a, 'f> {
    policy: Policy,
    /// Most bytes of one tensor, and of all constants.
    max_bytes: u64,
    /// Bytes of constants so far.
    kept: u64,
    /// Rounds of all loops around this graph, multiplied.
    rounds: u64,
    facts: &'f mut ModelFacts,
    scopes: Vec<BTreeMap<&'a str, Fact>>,
}

impl<'a> Walk<'a, '_> {
    /// One graph whose inputs are `inputs` as far as they are known.
    fn graph(
        &mut self,
        graph: &'a Graph<'a>,
        nesting: u32,
        inputs: Vec<Fact>,
    ) -> Result<(), ForecasterError> {
        self.facts.nesting = self.facts.nesting.max(nesting);
        if nesting > self.policy.max_nesting() {
            let detail = format!("subgraphs inside each other, more than {}", self.policy.max_nesting());
            return Err(ForecasterError::check(Check::Nesting, detail));
        }
        let mut scope = BTreeMap::new();
        let mut inputs = inputs.into_iter();
        for input in &graph.inputs {
            let declared = Fact { dims: input.shape.clone(), ..Fact::default() };
            scope.insert(input.name.as_str(), inputs.next().unwrap_or(declared));
        }
        for tensor in &graph.initializers {
            scope.insert(tensor.name, Fact::of(tensor));
        }
        for (name, dims) in &graph.sparse {
            let dense = Fact::shaped(dims.iter().map(|d| Some(*d)).collect(), 64);
            self.remember("sparse initializer", &Fact { constant: true, ..dense.clone() }, 0)?;
            scope.insert(name, Fact { constant: true, ..dense });
        }
        self.scopes.push(scope);
        for node in &graph.nodes {
            self.node(node, nesting)?;
        }
        self.scopes.pop();
        Ok(())
    }

    fn node(&mut self, node: &'a Node<'a>, nesting: u32) -> Result<(), ForecasterError> {
        let inputs: Vec<Fact> = node.inputs.iter().map(|name| self.value(name)).collect();
        if node.graphs().next().is_some() || LOOPS.contains(&node.op) {
            self.subgraphs(node, &inputs, nesting)?;
            // Engines do not fold what holds a subgraph, and what it gives depends on what is taken.
            self.outputs(node, &[]);
            return Ok(());
        }
        let made = shapes::infer(node, &inputs);
        // `Shape` of fixed dimensions is constant, whatever the numbers are.
        let constant = inputs.iter().all(|f| f.constant)
            || made.outputs.first().is_some_and(|f| f.constant && f.values.is_some());
        let mut outputs = made.outputs;
        outputs.resize(node.outputs.len(), Fact::default());
        if let Some(first) = outputs.first_mut() {
            first.values = if constant { values::follow(node, &inputs, first) } else { None };
        }
        for fact in &mut outputs {
            fact.constant = constant;
        }
        let touched = inputs.iter().chain(&outputs).map(|f| f.most().unwrap_or(0));
        let touched = touched.fold(0, u64::saturating_add);
        let work =
            made.work.saturating_add(touched.saturating_mul(1 + 4 * u64::from(COSTLY.contains(&node.op))));
        for (i, fact) in outputs.iter().enumerate() {
            self.remember(node.op, fact, if i == 0 { work } else { 0 })?;
        }
        self.outputs(node, &outputs);
        Ok(())
    }

    /// C07: adds a value's memory and work, and refuses too much of either.
    fn remember(&mut self, what: &str, fact: &Fact, work: u64) -> Result<(), ForecasterError> {
        let hosted = self.policy == Policy::Hosted;
        let bytes = |n: u64| n.saturating_mul(u64::from(fact.bits)) / 8;
        let least = bytes(fact.least());
        if hosted && least > self.max_bytes {
            let detail = format!("`{what}` makes {least} bytes, allowed are {}", self.max_bytes);
            return Err(ForecasterError::check(Check::Memory, detail));
        }
        if !fact.constant {
            return Ok(());
        }
        let Some(most) = fact.most() else {
            let detail = format!("`{what}` makes a constant whose size cannot be told beforehand");
            self.facts.unbounded.get_or_insert_with(|| detail.clone());
            return if hosted { Err(ForecasterError::check(Check::Folding, detail)) } else { Ok(()) };
        };
        self.facts.folding = self.facts.folding.saturating_add(work);
        if self.policy.max_folding().is_some_and(|limit| self.facts.folding > limit) {
            let detail = format!(
                "constants take {} operations up to `{what}`; compute them before the export",
                self.facts.folding
            );
            return Err(ForecasterError::check(Check::Folding, detail));
        }
        self.kept = self.kept.saturating_add(bytes(most));
        if hosted && self.kept > self.max_bytes {
            let detail = format!("constants take {} bytes, allowed are {}", self.kept, self.max_bytes);
            return Err(ForecasterError::check(Check::Memory, detail));
        }
        Ok(())
    }

    /// `If`, `Loop` and `Scan`: their graphs, with the rounds they run.
    fn subgraphs(
        &mut self,
        node: &'a Node<'a>,
        inputs: &[Fact],
        nesting: u32,
    ) -> Result<(), ForecasterError> {
        let around = self.rounds;
        let mut given = Vec::new();
        if LOOPS.contains(&node.op) {
            let rounds = rounds(node, inputs);
            let all = rounds.map(|n| self.rounds.saturating_mul(n.max(1)));
            if let Some(limit) = self.policy.max_rounds()
                && all.is_none_or(|n| n > limit)
            {
                let detail = match rounds {
                    None => format!("a `{}` whose number of rounds is no constant", node.op),
                    Some(_) => {
                        format!("a `{}` of more than {limit} rounds, those around it counted", node.op)
                    }
                };
                return Err(ForecasterError::check(Check::Loop, detail));
            }
            self.rounds = all.unwrap_or(u64::MAX);
            // What a round is given changes with every round.
            let of = |graph: &Graph<'_>| vec![Fact::default(); graph.inputs.len()];
            given = node.graphs().next().map(of).unwrap_or_default();
        }
        for graph in node.graphs() {
            self.graph(graph, nesting + 1, given.clone())?;
        }
        self.rounds = around;
        Ok(())
    }

    fn outputs(&mut self, node: &'a Node<'a>, facts: &[Fact]) {
        let scope = self.scopes.last_mut().expect("a node is in a graph, which has pushed its scope");
        for (i, name) in node.outputs.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            scope.insert(name, facts.get(i).cloned().unwrap_or_default());
        }
    }

    /// What is known of a value; an input left out is an empty constant.
    fn value(&self, name: &str) -> Fact {
        if name.is_empty() {
            return Fact { constant: true, ..Fact::shaped(vec![Some(0)], 8) };
        }
        self.scopes.iter().rev().find_map(|scope| scope.get(name)).cloned().unwrap_or_default()
    }
}

/// How often a loop goes round at most.
fn rounds(node: &Node<'_>, inputs: &[Fact]) -> Option<u64> {
    match node.op {
        "Loop" => {
            let most = *inputs.first()?.values.as_ref()?.first()?;
            Some(super::fact::size(most))
        }
        _ => {
            // A scan goes along the first dimension of what it scans, unless it says otherwise.
            let scanned = usize::try_from(node.int("num_scan_inputs")?).ok()?;
            let fact = inputs.get(inputs.len().checked_sub(scanned)?)?;
            let at = node.ints("scan_input_axes").and_then(|a| a.first().copied()).unwrap_or(0);
            *fact.dims.as_ref()?.get(super::fact::axis(at, fact.rank()?)?)?
        }
    }
}
