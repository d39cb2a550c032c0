//! Examples of what a constitution should say, kept beside it: a request, and the ruling that is expected.

use super::document::Flaw;
use super::facts::{About, Act, Who};
use super::law::Law;
use super::rulings::{Judged, Point, Ruling};
use crate::agent::Registration;
use crate::id::AgentId;
use crate::plan::{Does, Problem};
use crate::policy::Policy;
use crate::request;
use crate::spec::Request;
use crate::time::{Time, WireTime};
use crate::work::Success;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The most cases in one file.
const CASES_MAX: usize = 10_000;
/// The largest file of them, in bytes.
const BYTES_MAX: usize = 16 << 20;

/// One example.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// What is submitted.
    pub request: Box<Request>,
    /// The instant of it; the beginning of 1970 where it is not said.
    pub now: Time,
    /// The point it is about; all, and then the strictest ruling counts, where it is not said. Actions are judged with their parameters as
    /// they stand.
    pub at: Option<Point>,
    /// Who does its steps; where it is not said, no rule about agents is asked.
    pub agent: Option<Registration>,
    /// What each of its steps reports, for the point `result`.
    pub result: Option<Success>,
    /// What is expected.
    pub expect: Ruling,
    /// Whether a mere warning counts as ALLOW: labels of other systems know no warnings.
    pub lenient: bool,
    /// The rules that are expected to speak, in order; any where it is not said.
    pub by: Option<Vec<String>>,
}

/// Why a case does not hold.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CaseFailed {
    /// Its request is none.
    #[error("its request is refused before any rule is asked: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NoRequest(Vec<Problem>),
    /// Another ruling came.
    #[error("expected {}, came {} by {}", .expected.word(), .came.ruling.word(), spoke(.came))]
    Other {
        /// What was expected.
        expected: Ruling,
        /// What came.
        came: Judged,
    },
    /// The ruling came from other rules.
    #[error("expected {} by {}, came by {}", .came.ruling.word(), .expected.join(", "), spoke(.came))]
    ByOthers {
        /// The rules that were expected.
        expected: Vec<String>,
        /// What came.
        came: Judged,
    },
}

fn spoke(judged: &Judged) -> String {
    match &judged.said[..] {
        [] => "no rule".into(),
        said => said.iter().map(|said| format!("{} ({})", said.rule, said.message)).collect::<Vec<_>>().join(", "),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    at: Option<Point>,
    #[serde(default)]
    request: Option<Request>,
    #[serde(default)]
    now: Option<WireTime>,
    #[serde(default)]
    agent: Option<Registration>,
    #[serde(default)]
    result: Option<Success>,
    #[serde(default)]
    expect: Option<Ruling>,
    #[serde(default)]
    by: Option<Vec<String>>,
    /// Labelled actions of Agentium (ORIGINS §1).
    #[serde(default)]
    action: Option<String>,
    #[serde(default)]
    context: Map<String, Value>,
    #[serde(default)]
    expected: Option<Label>,
    #[serde(default, rename = "rationale")]
    _rationale: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Label {
    Allow,
    VoteRequired,
    Block,
}

impl Label {
    fn ruling(self) -> Ruling {
        match self {
            Self::Allow => Ruling::Allow,
            Self::VoteRequired => Ruling::Escalate,
            Self::Block => Ruling::Deny,
        }
    }
}

/// Reads a list of cases, YAML or JSON. Labelled actions of Agentium are read as tasks of one step.
///
/// # Errors
/// What is wrong, with its line.
pub fn cases(text: &str) -> Result<Vec<Case>, Flaw> {
    if text.len() > BYTES_MAX {
        return Err(Flaw { line: 0, message: format!("has {} bytes; allowed are {BYTES_MAX}", text.len()) });
    }
    let options = serde_saphyr::options! { strict_booleans: true };
    let written: Vec<Written> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let told = error.without_snippet().to_string();
        let message = told.split(" at line ").next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Flaw { line: error.location().map_or(0, |at| at.line()), message }
    })?;
    if written.len() > CASES_MAX {
        return Err(Flaw { line: 0, message: format!("has {} cases; allowed are {CASES_MAX}", written.len()) });
    }
    written.into_iter().map(Written::read).collect()
}

impl Written {
    fn read(self) -> Result<Case, Flaw> {
        let wrong = |what: &str| Flaw { line: 0, message: format!("case {:?}: {what}", self.name) };
        let (lenient, expect) = match (self.expect, self.expected) {
            (Some(ruling), None) => (false, ruling),
            (None, Some(label)) => (true, label.ruling()),
            _ => return Err(wrong("say what is expected under `expect`: ALLOW, WARN, TRANSFORM, ESCALATE or DENY")),
        };
        let request = match (self.request, self.action) {
            (Some(request), None) => request,
            (None, Some(action)) => {
                let step = json!({"action": action, "params": self.context});
                serde_json::from_value(json!({"title": self.name, "plan": {"steps": [step]}})).expect("it is a request")
            }
            _ => return Err(wrong("say what is submitted under `request`")),
        };
        let now = self.now.map_or(Time(0), |now| now.0);
        Ok(Case {
            name: self.name,
            request: Box::new(request),
            now,
            at: self.at,
            agent: self.agent,
            result: self.result,
            expect,
            lenient,
            by: self.by,
        })
    }
}

impl Law {
    /// Whether a case holds.
    ///
    /// # Errors
    /// How it does not.
    pub fn test(&self, case: &Case) -> Result<Judged, CaseFailed> {
        let submission = request::check(&case.request, case.now, &Policy::without_law()).map_err(CaseFailed::NoRequest)?;
        let plan = super::facts::of(&submission);
        let agent = case.agent.as_ref().map(|said| Who { id: AgentId::new(0, [0; 10]), said: Some(said) });
        let about = About { agent, ..About::the_task(&submission.facts, &submission.text, case.now) };
        let mut came = Judged::default();
        let mut add = |judged: Judged| judged.said.into_iter().for_each(|said| came.add(said));
        for point in Point::ALL.into_iter().filter(|point| case.at.is_none_or(|at| at == *point)) {
            match (point, plan) {
                (Point::Admission, _) => add(self.judge(point, &about)),
                (Point::Plan, Some(_)) => add(self.judge(point, &About { plan, ..about })),
                // Each step is judged; its result, where the case has one.
                (Point::Action | Point::Result, Some((plan, texts))) => {
                    let result = case.result.as_ref().filter(|_| point == Point::Result);
                    for (step, words) in plan.steps.iter().zip(texts).filter(|(step, _)| step.does() == Does::Work) {
                        let params = match (words.takes_payload, &about.text.payload) {
                            (true, Value::Object(payload)) => payload,
                            _ => &words.params,
                        };
                        let act = Act {
                            path: &step.path,
                            id: step.key.as_deref(),
                            name: &step.action,
                            capabilities: &step.capabilities,
                            params,
                            acts: step.acts,
                            model: step.model.as_deref(),
                            undoes: false,
                        };
                        let about = About { action: Some(&act), result, ..about };
                        if point == Point::Action || result.is_some() {
                            add(self.judge(point, &about));
                        }
                        // What comes of it is judged in the place of what was planned.
                        match self.transform(&about).map(|made| made.map(|made| made.over(params))) {
                            _ if point != Point::Action => {}
                            Ok(None) => {}
                            Ok(Some(params)) => {
                                let act = Act { params: &params, ..act };
                                add(self.judge(point, &About { action: Some(&act), ..about }));
                            }
                            Err(said) => add(Judged { ruling: said.ruling, said: vec![said] }),
                        }
                    }
                }
                (Point::Plan | Point::Action | Point::Result, None) => {}
            }
        }
        let as_expected =
            came.ruling == case.expect || (case.lenient && case.expect == Ruling::Allow && came.ruling == Ruling::Warn);
        if !as_expected {
            return Err(CaseFailed::Other { expected: case.expect, came });
        }
        if let Some(expected) =
            case.by.as_ref().filter(|by| !by.iter().map(String::as_str).eq(came.said.iter().map(|s| &*s.rule)))
        {
            return Err(CaseFailed::ByOthers { expected: expected.clone(), came });
        }
        Ok(came)
    }
}
