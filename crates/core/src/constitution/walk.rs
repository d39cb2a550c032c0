//! A walk through a condition before it is anybody's law: what it reads, how deep its loops are, what is wrong with it.

use super::facts;
use super::questions::{gate, gates};
use super::rulings::Point;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};
use std::collections::BTreeSet;

/// How deep loops may stand in one another.
const LOOPS_MAX: u32 = 2;
/// The names of types, for `type(x) == list`.
const TYPES: [&str; 9] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"];
/// How many names a question to `plan` takes.
const NAMES: usize = 2;

/// What conditions read.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    fields: BTreeSet<(&'static str, &'static str)>,
    /// Variables that are used whole.
    whole: BTreeSet<&'static str>,
    /// Whether `plan` is asked questions.
    pub(super) questions: bool,
}

impl Reads {
    /// All there is.
    pub(super) fn everything() -> Self {
        Self { whole: facts::VARIABLES.map(|(name, _)| name).into(), questions: true, ..Self::default() }
    }

    pub(super) fn has(&self, variable: &'static str, field: &'static str) -> bool {
        self.whole.contains(variable) || self.fields.contains(&(variable, field))
    }

    /// Whether anything of a variable is read.
    pub(super) fn any_of(&self, variable: &str) -> bool {
        self.whole.contains(variable)
            || self.fields.iter().any(|(of, _)| *of == variable)
            || (variable == "plan" && self.questions)
    }

    pub(super) fn join(&mut self, other: Self) {
        self.fields.extend(other.fields);
        self.whole.extend(other.whole);
        self.questions |= other.questions;
    }
}

/// A walk through a condition: what it reads, how deep its loops are, what is wrong with it.
#[derive(Default)]
pub(super) struct Seen<'a> {
    at: &'a [Point],
    pub(super) reads: Reads,
    /// How deep its loops stand in one another.
    pub(super) loops: u32,
    scope: Vec<String>,
    pub(super) flaws: Vec<String>,
}

/// Walks through the condition of a rule that is asked at these points.
pub(super) fn walk<'a>(condition: &IdedExpr, at: &'a [Point]) -> Seen<'a> {
    let mut seen = Seen { at, ..Seen::default() };
    seen.look(condition, 0);
    seen
}

impl Seen<'_> {
    fn look(&mut self, expr: &IdedExpr, loops: u32) {
        match &expr.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(name) if !self.scope.contains(name) => self.field(name, &select.field),
                _ => self.look(&select.operand, loops),
            },
            Expr::Call(call) => self.call(call, loops),
            Expr::List(list) => list.elements.iter().for_each(|part| self.look(part, loops)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let cel::common::ast::EntryExpr::MapEntry(entry) = &entry.expr {
                        self.look(&entry.key, loops);
                        self.look(&entry.value, loops);
                    }
                }
            }
            Expr::Struct(made) => self.flaws.push(format!("makes a {}; rules only look", made.type_name)),
            Expr::Comprehension(each) => {
                self.look(&each.iter_range, loops);
                let before = self.scope.len();
                self.scope.extend([each.iter_var.clone(), each.accu_var.clone()].into_iter().chain(each.iter_var2.clone()));
                self.loops = self.loops.max(loops + 1);
                if loops + 1 > LOOPS_MAX {
                    self.flaws.push(format!("has loops more than {LOOPS_MAX} deep"));
                }
                for part in [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result] {
                    self.look(part, loops + 1);
                }
                self.scope.truncate(before);
            }
        }
    }

    fn call(&mut self, call: &CallExpr, loops: u32) {
        let asks_plan = call.target.as_ref().is_some_and(|of| matches!(&of.expr, Expr::Ident(name) if name == "plan"));
        if asks_plan && !self.scope.iter().any(|name| name == "plan") {
            match facts::QUESTIONS.contains(&call.func_name.as_str()) {
                true => self.question(call),
                false => self.flaws.push(format!(
                    "asks plan.{}; known are {}",
                    call.func_name,
                    facts::QUESTIONS.map(|known| format!("plan.{known}")).join(", ")
                )),
            }
        } else {
            call.target.iter().for_each(|target| self.look(target, loops));
        }
        if call.func_name == operators::INDEX
            && let [of, by] = &call.args[..]
            && let (Expr::Ident(name), Some(field)) = (&of.expr, literal(by))
            && !self.scope.contains(name)
        {
            return self.field(name, &field);
        }
        call.args.iter().for_each(|part| self.look(part, loops));
    }

    fn question(&mut self, call: &CallExpr) {
        self.variable("plan");
        self.reads.questions = true;
        match (call.func_name.as_str(), &call.args[..]) {
            ("does", [actions]) if literals(actions).is_some() => {}
            ("does", _) => self.flaws.push("asks plan.does; it takes a list of names: plan.does([\"email.send\"])".into()),
            (_, args) if args.len() == NAMES => {}
            (other, _) => self.flaws.push(format!("asks plan.{other}, which takes two names")),
        }
        if call.func_name == "gated"
            && let Some(kind) = call.args.get(1).and_then(literal)
            && gate(&kind).is_none()
        {
            self.flaws.push(format!("plan.gated: {kind:?} is no gate; allowed are {}", gates()));
        }
    }

    /// A variable used whole.
    fn name(&mut self, name: &str) {
        if self.scope.iter().any(|known| known == name) || TYPES.contains(&name) {
            return;
        }
        if let Some(variable) = self.variable(name) {
            self.reads.whole.insert(variable);
        }
    }

    fn field(&mut self, name: &str, field: &str) {
        let Some(variable) = self.variable(name) else { return };
        let known = facts::fields(variable);
        match known.iter().find(|known| **known == field) {
            Some(field) => {
                self.reads.fields.insert((variable, field));
            }
            None => self.flaws.push(format!("reads {variable}.{field}; known are {}", known.join(", "))),
        }
    }

    /// A variable that can be seen at all points the rule is asked at.
    fn variable(&mut self, name: &str) -> Option<&'static str> {
        let Some((known, seen_at)) = facts::VARIABLES.into_iter().find(|(known, _)| *known == name) else {
            let all = facts::VARIABLES.map(|(known, _)| known).join(", ");
            self.flaws.push(format!("refers to {name:?}; known are {all}"));
            return None;
        };
        if self.at.iter().any(|point| !seen_at.contains(point)) {
            let places = seen_at.iter().map(|point| point.word()).collect::<Vec<_>>().join(" and ");
            self.flaws.push(format!("reads `{known}`, which is there at {places} alone"));
        }
        Some(known)
    }
}

pub(super) fn literal(expr: &IdedExpr) -> Option<Box<str>> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().into()),
        _ => None,
    }
}

/// The texts of a list that holds nothing else.
pub(super) fn literals(expr: &IdedExpr) -> Option<Vec<Box<str>>> {
    let Expr::List(list) = &expr.expr else { return None };
    list.elements.iter().map(literal).collect()
}
