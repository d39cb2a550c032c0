//! What may be asked of `plan` as a function.

use super::graph::Graph;
use crate::spec::GateKind;
use cel::extractors::This;
use cel::{Context, ExecutionError};
use std::sync::Arc;

/// Lets rules ask them.
pub(super) fn answer_questions(context: &mut Context<'_, '_>, graph: Arc<Graph>) {
    type Name = Arc<String>;
    let (before, reaches, does) = (graph.clone(), graph.clone(), graph.clone());
    let declared = "no function of CEL has this name";
    context.add_function("before", move |_: This<cel::Value>, a: Name, b: Name| before.before(&a, &b)).expect(declared);
    context.add_function("reaches", move |_: This<cel::Value>, a: Name, b: Name| reaches.reaches(&a, &b)).expect(declared);
    let does = move |_: This<cel::Value>, actions: Arc<Vec<cel::Value>>| {
        actions.iter().any(|action| matches!(action, cel::Value::String(name) if does.does(name)))
    };
    context.add_function("does", does).expect(declared);
    let gated = move |_: This<cel::Value>, action: Name, kind: Name| -> Result<bool, ExecutionError> {
        let unknown = || ExecutionError::function_error("gated", format!("{kind:?} is no gate; allowed are {}", gates()));
        Ok(graph.gated(&action, gate(&kind).ok_or_else(unknown)?))
    };
    context.add_function("gated", gated).expect(declared);
}

pub(super) fn gate(word: &str) -> Option<GateKind> {
    GateKind::ALL.into_iter().find(|kind| kind.word() == word)
}

pub(super) fn gates() -> String {
    GateKind::ALL.map(GateKind::word).join(", ")
}
