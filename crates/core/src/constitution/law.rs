//! A document, compiled: its conditions checked against what there is to see, and found again by the words they compare.

use super::document::{Document, Flaw, Rule};
use super::facts;
use super::graph::Graph;
use super::rulings::{Judged, Point, Ruling, Said};
use crate::command::{CheckedPlan, Submission};
use crate::event::{RequestText, Submitted};
use crate::plan::{Plan, Problem, StepText};
use crate::spec::{GateKind, Risk};
use crate::time::Time;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};
use cel::extractors::This;
use cel::{Context, Env, ExecutionError, IdedExpr, Program};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

/// How deep loops may stand in one another.
const LOOPS_MAX: u32 = 2;
/// The most loop turns a condition may take; what could take more cannot be judged.
const TURNS_MAX: u64 = 100_000;
/// The names of types, for `type(x) == list`.
const TYPES: [&str; 9] = ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"];
/// How many names a question to `plan` takes.
const NAMES: usize = 2;

/// The functions of CEL and those on texts, made once.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    env.add_extension(cel::extensions::strings).expect("the functions on texts are declared once");
    Arc::new(env)
});

/// A constitution that can be asked.
#[derive(Debug)]
pub struct Law {
    document: Document,
    digest: Box<str>,
    rules: Vec<Compiled>,
    shelves: [Shelf; 2],
}

struct Compiled {
    rule: Rule,
    program: Program,
    loops: u32,
}

/// The same document says the same.
impl PartialEq for Law {
    fn eq(&self, other: &Self) -> bool {
        self.document == other.document
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rule.fmt(f)
    }
}

/// The rules of one point, by what has to be so for them to apply.
#[derive(Debug, Default)]
struct Shelf {
    /// Those that have to be asked each time.
    always: Vec<usize>,
    /// Those that compare a field of `task` with a word.
    by_word: BTreeMap<&'static str, HashMap<Box<str>, Vec<usize>>>,
    /// Those about plans that hold an action.
    by_action: HashMap<Box<str>, Vec<usize>>,
    /// Those about plans that act on the outside.
    if_acts: Vec<usize>,
    reads: Reads,
}

/// What conditions read.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    fields: BTreeSet<(&'static str, &'static str)>,
    /// Variables that are used whole.
    whole: BTreeSet<&'static str>,
    questions: bool,
}

impl Reads {
    pub(super) fn has(&self, variable: &'static str, field: &'static str) -> bool {
        self.whole.contains(variable) || self.fields.contains(&(variable, field))
    }

    fn any_of(&self, variable: &str) -> bool {
        self.whole.contains(variable)
            || self.fields.iter().any(|(of, _)| *of == variable)
            || (variable == "plan" && self.questions)
    }

    fn join(&mut self, other: Self) {
        self.fields.extend(other.fields);
        self.whole.extend(other.whole);
        self.questions |= other.questions;
    }
}

/// What has to be so for a condition to hold.
enum Key {
    Word(&'static str, Vec<Box<str>>),
    Action(Vec<Box<str>>),
    Acts,
}

impl Law {
    /// Reads and compiles a document.
    ///
    /// # Errors
    /// Everything wrong with it, each with its line: its form; a condition that is no CEL, sees what is not there, compares what cannot be
    /// compared, is not true or false, or could take too long.
    pub fn read(text: &str) -> Result<Self, Vec<Flaw>> {
        Self::compile(Document::read(text)?)
    }

    /// The law of a house that has none of its own.
    pub fn shipped() -> Arc<Self> {
        static SHIPPED: LazyLock<Arc<Law>> =
            LazyLock::new(|| Arc::new(Law::read(super::DEFAULT).expect("the shipped document is tested")));
        SHIPPED.clone()
    }

    /// Compiles a document.
    ///
    /// # Errors
    /// As [`Law::read`].
    pub fn compile(document: Document) -> Result<Self, Vec<Flaw>> {
        let mut flaws = Vec::new();
        let mut rules = Vec::new();
        let mut shelves = [Shelf::default(), Shelf::default()];
        for rule in document.rules() {
            let program = match ENV.compile(&rule.when) {
                Ok(program) => program,
                Err(error) => {
                    let error = error.to_string();
                    let what = error.lines().next().unwrap_or_default();
                    flaws.push(Flaw::new(rule.line, format!("`when` is no CEL expression: {what}")));
                    continue;
                }
            };
            let mut seen = Seen { at: &rule.at, ..Seen::default() };
            seen.look(program.expression(), 0);
            flaws.extend(seen.flaws.into_iter().map(|what| Flaw::new(rule.line, format!("`when` {what}"))));
            let n = rules.len();
            for (point, shelf) in Point::ALL.into_iter().zip(&mut shelves).filter(|(point, _)| rule.at.contains(point)) {
                shelf.reads.join(seen.reads.clone());
                shelf.file(n, program.expression(), point);
            }
            rules.push(Compiled { rule: rule.clone(), program, loops: seen.loops });
        }
        let digest = Sha256::digest(serde_json::to_vec(&document).expect("a document is plain data"));
        let digest = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
        let law = Self { document, digest, rules, shelves };
        if flaws.is_empty() {
            flaws.extend(law.trial());
        }
        if flaws.is_empty() { Ok(law) } else { Err(flaws) }
    }

    /// What people wrote.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Which document this is: the beginning of the SHA-256 of its meaning, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What the rules of one point say about a task, and about its plan where that is asked.
    pub fn judge(
        &self,
        point: Point,
        facts: &Submitted,
        text: &RequestText,
        plan: Option<(&Plan, &[StepText])>,
        now: Time,
    ) -> Judged {
        let shelf = &self.shelves[point as usize];
        let mut judged = Judged::default();
        let candidates = shelf.candidates(facts, plan.map(|(plan, _)| plan));
        if candidates.is_empty() {
            return judged;
        }
        let mut longest = 1;
        let mut context = Context::with_env(ENV.clone());
        let mut bind = |name: &str, value: Value| {
            longest = longest.max(longest_list(&value));
            context.add_variable(name.to_owned(), value).expect("JSON is what rules can see");
        };
        if shelf.reads.any_of("task") {
            bind("task", facts::task(facts, text, &shelf.reads));
        }
        if shelf.reads.any_of("now") {
            bind("now", facts::now(now));
        }
        if let Some((plan, texts)) = plan.filter(|_| shelf.reads.any_of("plan")) {
            bind("plan", facts::plan(plan, texts, &text.payload, &shelf.reads));
            if shelf.reads.questions {
                answer_questions(&mut context, Arc::new(Graph::of(plan)));
            }
        }
        for n in candidates {
            let Compiled { rule, program, loops } = &self.rules[n];
            let turns = longest.saturating_pow(*loops);
            let holds = match turns <= TURNS_MAX {
                true => program.execute(&context).map_err(|error| error.to_string()),
                false => Err(format!("it could take {turns} turns; allowed are {TURNS_MAX}")),
            };
            // What cannot be judged is refused: whoever leaves out what a rule looks at does not escape it.
            let (ruling, message) = match holds {
                Ok(cel::Value::Bool(false)) => continue,
                Ok(cel::Value::Bool(true)) => (rule.verdict, rule.message.as_str().into()),
                Ok(other) => {
                    (Ruling::Deny, format!("could not be judged: it is {:?}, not true or false", other.type_of()).into())
                }
                Err(why) => (Ruling::Deny, format!("could not be judged: {why}").into()),
            };
            judged.add(Said { rule: rule.id.as_str().into(), ruling, message, risk: rule.risk });
        }
        judged
    }

    /// Binds a submission that is otherwise in order: what the rules say about it and its plan is written into its facts; its risk rises to
    /// what they see, and where they want a review, or the risk does, it waits for one.
    ///
    /// # Errors
    /// Where they refuse it: each rule that does, with its message.
    pub fn bind(&self, submission: &mut Submission, now: Time) -> Result<(), Vec<Problem>> {
        let Submission { facts, text } = &*submission;
        let mut judged = self.judge(Point::Admission, facts, text, None, now);
        if let Some(plan) = facts::of(submission) {
            self.judge(Point::Plan, facts, text, Some(plan), now).said.into_iter().for_each(|said| judged.add(said));
        }
        let problems = denied(&judged);
        if !problems.is_empty() {
            return Err(problems);
        }
        let facts = &mut submission.facts;
        for said in judged.said.iter().filter(|said| said.risk.is_some_and(|risk| risk > Risk::Low)) {
            let risk = said.risk.unwrap_or_default();
            let why = format!("{}: {} ({})", risk.word(), said.message, said.rule).into();
            if !facts.risk_reasons.contains(&why) {
                facts.risk_reasons.push(why);
            }
        }
        facts.risk = facts.risk.max(judged.risk());
        if judged.ruling >= Ruling::Escalate || facts.risk >= Risk::High {
            facts.review_owed = true;
            facts.released = false;
        }
        facts.constitution = Some(self.digest.clone());
        facts.rulings = judged.said;
        Ok(())
    }

    /// What the rules say about a plan that is to take the place of another, and whether a person has to accept it first.
    ///
    /// # Errors
    /// Where they refuse it: each rule that does, with its message.
    pub(crate) fn judge_plan(
        &self,
        facts: &Submitted,
        text: &RequestText,
        plan: &CheckedPlan,
        now: Time,
    ) -> Result<Judged, Vec<Problem>> {
        let judged = self.judge(Point::Plan, facts, text, Some((&plan.plan, &plan.texts)), now);
        let problems = denied(&judged);
        if problems.is_empty() { Ok(judged) } else { Err(problems) }
    }

    /// Runs every condition once over a task and a plan of which nothing odd is said, to find what can never be judged. That a payload
    /// lacks a field is no flaw: payloads differ.
    fn trial(&self) -> Vec<Flaw> {
        let submission = super::document::sample();
        let Submission { facts, text } = &submission;
        let mut flaws = Vec::new();
        for point in Point::ALL {
            let plan = facts::of(&submission).filter(|_| point == Point::Plan);
            for Compiled { rule, program, .. } in self.rules.iter().filter(|compiled| compiled.rule.at.contains(&point)) {
                let mut context = Context::with_env(ENV.clone());
                let reads = Reads { whole: ["task", "plan", "now"].into(), ..Reads::default() };
                let mut bind = |name: &str, value: Value| {
                    context.add_variable(name.to_owned(), value).expect("JSON is what rules can see");
                };
                bind("task", facts::task(facts, text, &reads));
                bind("now", facts::now(Time(0)));
                if let Some((plan, texts)) = plan {
                    bind("plan", facts::plan(plan, texts, &text.payload, &reads));
                    answer_questions(&mut context, Arc::new(Graph::of(plan)));
                }
                let what = match program.execute(&context) {
                    Ok(cel::Value::Bool(_)) | Err(ExecutionError::NoSuchKey(_)) => continue,
                    Ok(other) => format!("is {:?}, not true or false", other.type_of()),
                    Err(error) => format!("cannot be judged: {error}"),
                };
                flaws.push(Flaw::new(rule.line, format!("`when` {what}")));
            }
        }
        flaws
    }
}

/// The rules that refuse, as problems.
pub(super) fn denied(judged: &Judged) -> Vec<Problem> {
    let refuses = judged.said.iter().filter(|said| said.ruling == Ruling::Deny);
    refuses.map(|said| Problem::new(format!("constitution {}", said.rule), &*said.message)).collect()
}

impl Shelf {
    /// Puts a rule where it is found by what has to be so for it to apply.
    fn file(&mut self, n: usize, when: &IdedExpr, point: Point) {
        let mut keys = Vec::new();
        conjuncts(when, &mut |part| keys.extend(key_of(part)));
        match keys.into_iter().next() {
            Some(Key::Word(field, words)) => {
                let shelf = self.by_word.entry(field).or_default();
                words.into_iter().for_each(|word| shelf.entry(word).or_default().push(n));
            }
            Some(Key::Action(actions)) if point == Point::Plan => {
                actions.into_iter().for_each(|action| self.by_action.entry(action).or_default().push(n));
            }
            Some(Key::Acts) if point == Point::Plan => self.if_acts.push(n),
            Some(Key::Action(_) | Key::Acts) | None => self.always.push(n),
        }
    }

    /// The rules that may apply, in the order of the document.
    fn candidates(&self, facts: &Submitted, plan: Option<&Plan>) -> Vec<usize> {
        let mut found = self.always.clone();
        for (field, shelf) in &self.by_word {
            found.extend(shelf.get(&*facts::key(facts, field)).into_iter().flatten());
        }
        if let Some(plan) = plan.filter(|_| !self.by_action.is_empty()) {
            found.extend(facts::actions(plan).filter_map(|action| self.by_action.get(action)).flatten());
        }
        if plan.is_some_and(facts::acts) {
            found.extend(&self.if_acts);
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// The parts of a condition that all have to hold.
fn conjuncts<'e>(expr: &'e IdedExpr, each: &mut impl FnMut(&'e Expr)) {
    match &expr.expr {
        Expr::Call(call) if call.func_name == operators::LOGICAL_AND => call.args.iter().for_each(|part| conjuncts(part, each)),
        other => each(other),
    }
}

/// What a part of a condition says has to be so, where that is a comparison with words.
fn key_of(part: &Expr) -> Option<Key> {
    let is_plan = |expr: &IdedExpr| matches!(&expr.expr, Expr::Ident(name) if name == "plan");
    let call = match part {
        Expr::Select(select) if !select.test && select.field == "acts" && is_plan(&select.operand) => return Some(Key::Acts),
        Expr::Call(call) => call,
        _ => return None,
    };
    if let ("does", Some(target), [actions]) = (call.func_name.as_str(), &call.target, &call.args[..])
        && is_plan(target)
    {
        return literals(actions).map(Key::Action);
    }
    let [left, right] = &call.args[..] else { return None };
    let field = |expr: &IdedExpr| match &expr.expr {
        Expr::Select(select) if !select.test && matches!(&select.operand.expr, Expr::Ident(name) if name == "task") => {
            facts::KEYS.into_iter().find(|key| *key == select.field)
        }
        _ => None,
    };
    match call.func_name.as_str() {
        operators::EQUALS => {
            let pair = field(left).zip(literal(right)).or_else(|| field(right).zip(literal(left)));
            pair.map(|(field, word)| Key::Word(field, vec![word]))
        }
        operators::IN => {
            if matches!(&right.expr, Expr::Select(of) if !of.test && of.field == "actions" && is_plan(&of.operand)) {
                return literal(left).map(|action| Key::Action(vec![action]));
            }
            field(left).zip(literals(right)).map(|(field, words)| Key::Word(field, words))
        }
        _ => None,
    }
}

fn literal(expr: &IdedExpr) -> Option<Box<str>> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().into()),
        _ => None,
    }
}

/// The texts of a list that holds nothing else.
fn literals(expr: &IdedExpr) -> Option<Vec<Box<str>>> {
    let Expr::List(list) = &expr.expr else { return None };
    list.elements.iter().map(literal).collect()
}

/// A walk through a condition: what it reads, how deep its loops are, what is wrong with it.
#[derive(Default)]
struct Seen<'a> {
    at: &'a [Point],
    reads: Reads,
    loops: u32,
    scope: Vec<String>,
    flaws: Vec<String>,
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
        let known: Vec<&'static str> = match variable {
            "task" => facts::TASK.into_iter().chain([facts::TITLE]).collect(),
            "plan" => facts::PLAN.into(),
            _ => facts::NOW.into(),
        };
        match known.iter().find(|known| **known == field) {
            Some(field) => {
                self.reads.fields.insert((variable, field));
            }
            None => self.flaws.push(format!("reads {variable}.{field}; known are {}", known.join(", "))),
        }
    }

    /// A variable that can be seen at all points the rule is asked at.
    fn variable(&mut self, name: &str) -> Option<&'static str> {
        let known = ["task", "plan", "now"].into_iter().find(|known| *known == name);
        match known {
            None => self.flaws.push(format!("refers to {name:?}; known are task, plan and now")),
            Some("plan") if self.at.contains(&Point::Admission) => {
                self.flaws.push("reads `plan`, which is there at the point plan alone".into());
            }
            Some(_) => {}
        }
        known
    }
}

fn answer_questions(context: &mut Context<'_, '_>, graph: Arc<Graph>) {
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

fn gate(word: &str) -> Option<GateKind> {
    GateKind::ALL.into_iter().find(|kind| kind.word() == word)
}

fn gates() -> String {
    GateKind::ALL.map(GateKind::word).join(", ")
}

/// The longest list or map in a value.
fn longest_list(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(items) => items.iter().map(longest_list).fold(items.len() as u64, u64::max),
        Value::Object(fields) => fields.values().map(longest_list).fold(fields.len() as u64, u64::max),
    }
}
