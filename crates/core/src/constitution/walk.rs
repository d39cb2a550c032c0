//! A walk through a condition before it is anybody's law: what it reads, how deep its loops are, what is wrong with it.

use super::facts;
use super::questions::{gate, gates};
use super::rulings::Point;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};

/// How deep loops may stand in one another.
const LOOPS_MAX: u32 = 2;
/// The names of types, for `type(x) == list`.
const TYPES: [&str; 9] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"];
/// How many names a question to `plan` takes.
const NAMES: usize = 2;

/// What conditions read: a bit for each field there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    fields: u64,
    /// Whether `plan` is asked questions.
    pub(super) questions: bool,
}

/// The name under which the fields of the steps of a plan are known; no variable.
pub(super) const STEP: &str = "step";

impl Reads {
    /// All there is.
    pub(super) fn everything() -> Self {
        Self { fields: u64::MAX, questions: true }
    }

    pub(super) fn has(self, variable: &str, field: &str) -> bool {
        self.fields & bit(variable, field) != 0
    }

    /// Whether anything of a variable is read.
    pub(super) fn any_of(self, variable: &str) -> bool {
        self.fields & whole(variable) != 0 || (variable == "plan" && self.questions)
    }

    /// The fields of a variable that are read.
    pub(super) fn of(self, variable: &str) -> impl Iterator<Item = &'static str> {
        let (first, fields) = place(variable);
        fields.iter().enumerate().filter(move |(n, _)| self.fields & (1 << (first + n)) != 0).map(|(_, field)| *field)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { fields: self.fields | other.fields, questions: self.questions || other.questions }
    }

    fn note(&mut self, variable: &str, field: &str) {
        self.fields |= bit(variable, field);
        if (variable, field) == ("plan", "steps") {
            self.fields |= whole(STEP);
        }
    }

    fn note_whole(&mut self, variable: &str) {
        self.fields |= whole(variable);
        if variable == "plan" {
            self.fields |= whole(STEP);
        }
    }
}

/// The first bit of a variable, and its fields in order.
fn place(variable: &str) -> (usize, &'static [&'static str]) {
    let mut first = 0;
    for (name, fields) in facts::FIELDS {
        if name == variable {
            return (first, fields);
        }
        first += fields.len();
    }
    (first, &[])
}

fn bit(variable: &str, field: &str) -> u64 {
    let (first, fields) = place(variable);
    fields.iter().position(|known| *known == field).map_or(0, |n| 1 << (first + n))
}

fn whole(variable: &str) -> u64 {
    let (first, fields) = place(variable);
    ((1 << fields.len()) - 1) << first
}

/// A walk through a condition: what it reads, how deep its loops are, what is wrong with it.
#[derive(Default)]
pub(super) struct Seen<'a> {
    at: &'a [Point],
    pub(super) reads: Reads,
    /// How deep its loops stand in one another.
    pub(super) loops: u32,
    /// The variables of the loops it is in, and whether each is a step of the plan.
    scope: Vec<(String, bool)>,
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
                Expr::Ident(name) => match self.in_scope(name) {
                    None => self.field(name, &select.field),
                    Some(true) => self.step_field(name, &select.field),
                    Some(false) => {}
                },
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
                // Of steps that are looked at one by one only what is looked at is needed.
                let steps = self.is_steps(&each.iter_range) && each.iter_var2.is_none();
                match steps {
                    true => {
                        self.variable("plan");
                        self.reads.fields |= bit("plan", "steps");
                    }
                    false => self.look(&each.iter_range, loops),
                }
                let before = self.scope.len();
                self.scope.push((each.iter_var.clone(), steps));
                self.scope.extend(std::iter::once(each.accu_var.clone()).chain(each.iter_var2.clone()).map(|name| (name, false)));
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

    /// Whether a name is that of a loop, and if so whether it stands for a step.
    fn in_scope(&self, name: &str) -> Option<bool> {
        self.scope.iter().rev().find(|(known, _)| known == name).map(|(_, step)| *step)
    }

    fn is_steps(&self, expr: &IdedExpr) -> bool {
        let Expr::Select(select) = &expr.expr else { return false };
        let plan = matches!(&select.operand.expr, Expr::Ident(name) if name == "plan" && self.in_scope(name).is_none());
        plan && !select.test && select.field == "steps"
    }

    fn step_field(&mut self, name: &str, field: &str) {
        if facts::STEP_FIELDS.contains(&field) {
            self.reads.note(STEP, field);
        } else {
            self.flaws.push(format!("reads {name}.{field}; a step has {}", facts::STEP_FIELDS.join(", ")));
        }
    }

    fn call(&mut self, call: &CallExpr, loops: u32) {
        let asks_plan = call.target.as_ref().is_some_and(|of| matches!(&of.expr, Expr::Ident(name) if name == "plan"));
        if asks_plan && self.in_scope("plan").is_none() {
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
            && self.in_scope(name).is_none()
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
        match self.in_scope(name) {
            Some(true) => return self.reads.note_whole(STEP),
            Some(false) => return,
            None if TYPES.contains(&name) => return,
            None => {}
        }
        if let Some(variable) = self.variable(name) {
            self.reads.note_whole(variable);
        }
    }

    fn field(&mut self, name: &str, field: &str) {
        let Some(variable) = self.variable(name) else { return };
        let known = facts::fields(variable);
        match known.iter().find(|known| **known == field) {
            Some(field) => self.reads.note(variable, field),
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
