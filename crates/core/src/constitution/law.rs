//! A document, compiled: its conditions checked against what there is to see, and found again by the words they compare.

mod transform;

pub(crate) use transform::Transformed;

use super::amendment::Paper;
use super::document::{Document, Flaw, Rule};
use super::facts::{self, About, Act, Who};
use super::graph::Graph;
use super::questions::answer_questions;
use super::rulings::{Judged, Point, Ruling, Said};
use super::walk::{Reads, literal, literals, walk};
use crate::command::{CheckedPlan, Submission};
use crate::event::{RequestText, Submitted};
use crate::expr::as_cel;
use crate::id::AgentId;
use crate::plan::Problem;
use crate::spec::Risk;
use crate::time::Time;
use crate::work::Success;
use cel::common::ast::{Expr, operators};
use cel::{Context, Env, ExecutionError, IdedExpr, Program};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

/// The most loop turns a condition may take before the queue, in the thread of whoever asks; what could take more cannot be judged.
const TURNS_MAX: u64 = 100_000;
/// The most where the writer waits for it.
const TURNS_MAX_WITHIN: u64 = 10_000;

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
    /// As it was written, where it was.
    text: Option<Arc<str>>,
    digest: Box<str>,
    rules: Vec<Compiled>,
    /// Whether any of them has actions done otherwise.
    transforms: bool,
    /// Whether any of them says who may do what.
    chooses: bool,
    shelves: [Shelf; Point::ALL.len()],
}

struct Compiled {
    rule: Rule,
    /// Its condition: the beginning of the SHA-256 of its text.
    when: Box<str>,
    program: Program,
    reads: Reads,
    loops: u32,
    /// The parameters it sets, in order of their names.
    set: Vec<(Box<str>, Program)>,
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
    /// Those about an action, or plans that hold it.
    by_action: HashMap<Box<str>, Vec<usize>>,
    /// Those about what acts on the outside.
    if_acts: Vec<usize>,
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
        Ok(Self { text: Some(text.into()), ..Self::compile(Document::read(text)?)? })
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
        let mut shelves: [Shelf; Point::ALL.len()] = Default::default();
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
            let mut seen = walk(program.expression(), &rule.at);
            flaws.extend(seen.flaws.drain(..).map(|what| Flaw::new(rule.line, format!("`when` {what}"))));
            let set = transform::compile(rule, &mut seen, &mut flaws);
            // What a person is asked about, and what is changed, is the action, whoever does it.
            let chooses = matches!(rule.verdict, Ruling::Allow | Ruling::Warn | Ruling::Deny) && rule.risk.is_none();
            if seen.reads.any_of("agent") && rule.at.contains(&Point::Action) && !chooses {
                let what = "reads `agent`; at action such a rule says ALLOW, WARN or DENY and sees no risk: people approve of what is done, whoever does it";
                flaws.push(Flaw::new(rule.line, format!("`when` {what}")));
            }
            let n = rules.len();
            for (point, shelf) in Point::ALL.into_iter().zip(&mut shelves).filter(|(point, _)| rule.at.contains(point)) {
                shelf.file(n, program.expression(), point);
            }
            rules.push(Compiled {
                rule: rule.clone(),
                when: beginning(&rule.when),
                program,
                reads: seen.reads,
                loops: seen.loops,
                set,
            });
        }
        let digest = beginning(serde_json::to_vec(&document).expect("a document is plain data"));
        let transforms = rules.iter().any(|compiled| !compiled.set.is_empty());
        let chooses = rules.iter().any(|c| c.reads.any_of("agent") && c.rule.at.contains(&Point::Action));
        let law = Self { document, text: None, digest, rules, transforms, chooses, shelves };
        if flaws.is_empty() {
            flaws.extend(law.trial());
        }
        if flaws.is_empty() { Ok(law) } else { Err(flaws) }
    }

    /// The document as it was written, where it was read from a text.
    pub fn paper(&self) -> Option<Paper> {
        let Document { name, amendments, .. } = &self.document;
        let terms = amendments.clone().unwrap_or_default();
        Some(Paper { digest: self.digest.clone(), name: name.as_str().into(), terms, text: self.text.clone()? })
    }

    /// What people wrote.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// Which document this is: the beginning of the SHA-256 of its meaning, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether it has rules at a point at all.
    pub(crate) fn speaks_at(&self, point: Point) -> bool {
        let Shelf { always, by_word, by_action, if_acts } = &self.shelves[point as usize];
        !(always.is_empty() && by_word.is_empty() && by_action.is_empty() && if_acts.is_empty())
    }

    /// Whether any rule of a point may apply to this.
    pub(crate) fn concerns(&self, point: Point, about: &About<'_>) -> bool {
        !self.shelves[point as usize].candidates(about).is_empty()
    }

    /// Whether a rule of a point that may apply to this wants a person to look.
    pub(crate) fn may_ask(&self, point: Point, about: &About<'_>) -> bool {
        self.shelves[point as usize].candidates(about).into_iter().any(|n| self.rules[n].rule.verdict == Ruling::Escalate)
    }

    /// Whether any rule of a point reads a field of a variable.
    pub(crate) fn reads(&self, point: Point, variable: &'static str, field: &'static str) -> bool {
        self.rules.iter().any(|compiled| compiled.rule.at.contains(&point) && compiled.reads.has(variable, field))
    }

    /// What the rules of one point say. Those about agents are asked where an agent is known.
    pub fn judge(&self, point: Point, about: &About<'_>) -> Judged {
        self.judge_by(point, about, |reads| about.agent.is_some() || !reads.any_of("agent"))
    }

    /// What the rules about agents say about one who would do something.
    pub(crate) fn judge_who(&self, about: &About<'_>) -> Judged {
        self.judge_by(Point::Action, about, |reads| reads.any_of("agent"))
    }

    /// Whether any rule says who may do what.
    pub fn chooses_agents(&self) -> bool {
        self.chooses
    }

    fn judge_by(&self, point: Point, about: &About<'_>, asked: impl Fn(Reads) -> bool) -> Judged {
        let shelf = &self.shelves[point as usize];
        let mut judged = Judged::default();
        let mut candidates = shelf.candidates(about);
        candidates.retain(|n| asked(self.rules[*n].reads));
        if candidates.is_empty() {
            return judged;
        }
        let reads = candidates.iter().fold(Reads::default(), |reads, n| reads.and(self.rules[*n].reads));
        let (context, longest) = seen(about, reads);
        let turns_max = match point {
            Point::Admission | Point::Plan => TURNS_MAX,
            Point::Action | Point::Result => TURNS_MAX_WITHIN,
        };
        for n in candidates {
            let Compiled { rule, when, program, loops, reads: _, set: _ } = &self.rules[n];
            let turns = longest.saturating_pow(*loops);
            let holds = match turns <= turns_max {
                true => program.execute(&context).map_err(|error| error.to_string()),
                false => Err(format!("it could take {turns} turns; allowed are {turns_max}")),
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
            judged.add(Said { rule: rule.id.as_str().into(), ruling, message, risk: rule.risk, when: when.clone() });
        }
        judged
    }

    /// Binds a submission that is otherwise in order: what the rules say about it and its plan is written into its facts; its risk rises to
    /// what they see, and where they want a review, or the risk does, it waits for one.
    ///
    /// # Errors
    /// Where they refuse it: each rule that does, with its message.
    pub fn bind(&self, submission: &mut Submission, now: Time) -> Result<(), Vec<Problem>> {
        let about = About { plan: facts::of(submission), ..About::the_task(&submission.facts, &submission.text, now) };
        let mut judged = self.judge(Point::Admission, &about);
        if about.plan.is_some() {
            self.judge(Point::Plan, &about).said.into_iter().for_each(|said| judged.add(said));
        }
        let problems = denied(&judged);
        if !problems.is_empty() {
            return Err(problems);
        }
        let facts = &mut submission.facts;
        for said in judged.said.iter().filter(|said| said.risk.is_some_and(|risk| risk > Risk::Low)) {
            let why = said.sees_risk();
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
        let plan = Some((&plan.plan, &plan.texts[..]));
        let judged = self.judge(Point::Plan, &About { plan, ..About::the_task(facts, text, now) });
        let problems = denied(&judged);
        if problems.is_empty() { Ok(judged) } else { Err(problems) }
    }

    /// Runs every condition once over a task of which nothing odd is said, to find what can never be judged. That a payload, a parameter or
    /// an output lacks a field is no flaw: they differ.
    fn trial(&self) -> Vec<Flaw> {
        let submission = super::document::sample();
        let (plan, result) =
            (facts::of(&submission), Success { output: Value::Object(Default::default()), ..Success::default() });
        let params = Default::default();
        let act = Act {
            path: "1",
            id: None,
            name: "shell.run",
            capabilities: &[],
            params: &params,
            acts: true,
            model: None,
            undoes: false,
        };
        let about = About { plan, ..About::the_task(&submission.facts, &submission.text, Time(0)) };
        let agent = Some(Who { id: AgentId::new(0, [0; 10]), said: None });
        let about = About { action: Some(&act), agent, result: Some(&result), ..about };
        let (context, _) = seen(&about, Reads::everything());
        let mut flaws = Vec::new();
        for Compiled { rule, program, set, .. } in &self.rules {
            for (name, made) in set {
                match made.execute(&context) {
                    Ok(_) | Err(ExecutionError::NoSuchKey(_)) => {}
                    Err(error) => flaws.push(Flaw::new(rule.line, format!("`set.{name}` cannot be made: {error}"))),
                }
            }
            let what = match program.execute(&context) {
                Ok(cel::Value::Bool(_)) | Err(ExecutionError::NoSuchKey(_)) => continue,
                Ok(other) => format!("is {:?}, not true or false", other.type_of()),
                Err(error) => format!("cannot be judged: {error}"),
            };
            flaws.push(Flaw::new(rule.line, format!("`when` {what}")));
        }
        flaws
    }
}

/// What conditions that read this much can see, and how long the longest list in it is.
fn seen(about: &About<'_>, reads: Reads) -> (Context<'static, 'static>, u64) {
    let mut longest = 1;
    let mut context = Context::with_env(ENV.clone());
    let mut bind = |name: &str, value: Value| {
        longest = longest.max(longest_list(&value));
        context.add_variable_from_value(name, as_cel(value));
    };
    if reads.any_of("task") {
        bind("task", facts::task(about.facts, about.text, reads));
    }
    if reads.any_of("now") {
        bind("now", facts::now(about.now));
    }
    if let Some(act) = about.action.filter(|_| reads.any_of("action")) {
        bind("action", facts::action(act, reads));
    }
    if let Some(who) = about.agent.filter(|_| reads.any_of("agent")) {
        bind("agent", facts::agent(&who, reads));
    }
    if let Some(success) = about.result.filter(|_| reads.any_of("result")) {
        bind("result", facts::result(success, reads));
    }
    if let Some((plan, texts)) = about.plan.filter(|_| reads.any_of("plan")) {
        bind("plan", facts::plan(plan, texts, &about.text.payload, reads));
        if reads.questions {
            answer_questions(&mut context, Arc::new(Graph::of(plan)));
        }
    }
    (context, longest)
}

/// The beginning of the SHA-256 of something, in hexadecimal.
fn beginning(of: impl AsRef<[u8]>) -> Box<str> {
    Sha256::digest(of)[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
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
            Some(Key::Action(actions)) if point != Point::Admission => {
                actions.into_iter().for_each(|action| self.by_action.entry(action).or_default().push(n));
            }
            Some(Key::Acts) if point != Point::Admission => self.if_acts.push(n),
            Some(Key::Action(_) | Key::Acts) | None => self.always.push(n),
        }
    }

    /// The rules that may apply, in the order of the document.
    fn candidates(&self, about: &About<'_>) -> Vec<usize> {
        let mut found = self.always.clone();
        for (field, shelf) in &self.by_word {
            found.extend(shelf.get(&*facts::key(about.facts, field)).into_iter().flatten());
        }
        match (about.action, about.plan) {
            (Some(act), _) => {
                found.extend(self.by_action.get(act.name).into_iter().flatten());
                found.extend(self.if_acts.iter().filter(|_| act.acts));
            }
            (None, Some((plan, _))) => {
                if !self.by_action.is_empty() {
                    found.extend(facts::actions(plan).filter_map(|action| self.by_action.get(action)).flatten());
                }
                found.extend(self.if_acts.iter().filter(|_| facts::acts(plan)));
            }
            (None, None) => {}
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
    let is = |expr: &IdedExpr, variable: &str| matches!(&expr.expr, Expr::Ident(name) if name == variable);
    let call = match part {
        Expr::Select(select) if !select.test && select.field == "acts" => {
            return (is(&select.operand, "plan") || is(&select.operand, "action")).then_some(Key::Acts);
        }
        Expr::Call(call) => call,
        _ => return None,
    };
    if let ("does", Some(target), [actions]) = (call.func_name.as_str(), &call.target, &call.args[..])
        && is(target, "plan")
    {
        return literals(actions).map(Key::Action);
    }
    let [left, right] = &call.args[..] else { return None };
    let field = |expr: &IdedExpr| match &expr.expr {
        Expr::Select(select) if !select.test && is(&select.operand, "task") => {
            facts::KEYS.into_iter().find(|key| *key == select.field)
        }
        _ => None,
    };
    let names_action = |expr: &IdedExpr| match &expr.expr {
        Expr::Select(select) => !select.test && select.field == "name" && is(&select.operand, "action"),
        _ => false,
    };
    match call.func_name.as_str() {
        operators::EQUALS if names_action(left) => literal(right).map(|name| Key::Action(vec![name])),
        operators::EQUALS if names_action(right) => literal(left).map(|name| Key::Action(vec![name])),
        operators::EQUALS => {
            let pair = field(left).zip(literal(right)).or_else(|| field(right).zip(literal(left)));
            pair.map(|(field, word)| Key::Word(field, vec![word]))
        }
        operators::IN if names_action(left) => literals(right).map(Key::Action),
        operators::IN => {
            if matches!(&right.expr, Expr::Select(of) if !of.test && of.field == "actions" && is(&of.operand, "plan")) {
                return literal(left).map(|action| Key::Action(vec![action]));
            }
            field(left).zip(literals(right)).map(|(field, words)| Key::Word(field, words))
        }
        _ => None,
    }
}

/// The longest list or map in a value.
fn longest_list(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(items) => items.iter().map(longest_list).fold(items.len() as u64, u64::max),
        Value::Object(fields) => fields.values().map(longest_list).fold(fields.len() as u64, u64::max),
    }
}
