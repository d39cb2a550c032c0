//! What became of everything a source holds, and how sure its reader is.

use ephor_core::spec::StepSpec;
use serde::Serialize;
use std::fmt;

/// How many changed or dropped items the text form lists per part; the JSON form has them all.
const LINES_MAX: usize = 200;

/// What an import took, changed and left.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// One part per plan that was found.
    pub parts: Vec<Part>,
    /// Files of a folder that were not read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
}

/// A file that was not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Its name.
    pub file: String,
    /// Why it was left.
    pub why: String,
}

/// What became of one plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Part {
    /// The files it was read from.
    pub sources: Vec<String>,
    /// What kind of source it is.
    pub format: &'static str,
    /// The plan's title.
    pub title: String,
    /// Whether there is a request for it; not where everything in it is already done.
    pub requested: bool,
    /// From 0 to 1, the product of the factors; missing for Ephor's own form, where nothing is guessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// What the confidence is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub factors: Vec<Factor>,
    /// Rules that were applied to the whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How many items came to which end.
    pub counts: Counts,
    /// Every item, in the order of the source.
    pub items: Vec<Item>,
}

/// How many items came to which end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// As they were.
    pub taken: usize,
    /// With a change.
    pub changed: usize,
    /// Not at all.
    pub dropped: usize,
    /// Dependencies that hold in the plan.
    pub dependencies: usize,
}

/// One part of the confidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Factor {
    /// Its name.
    pub name: &'static str,
    /// From 0 to 1.
    pub value: f64,
    /// Why it has this value.
    pub why: String,
}

/// One thing in a source, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Where in the source it stands.
    pub place: String,
    /// The number of the step it became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What it is called.
    pub name: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// It is in the plan as it was.
    Taken,
    /// It is in the plan, with these changes.
    Changed {
        /// What was changed.
        what: Vec<String>,
    },
    /// It is not in the plan.
    Dropped {
        /// Why not.
        why: String,
    },
}

impl Part {
    pub(super) fn new(format: &'static str, source: &str) -> Self {
        Self { format, sources: vec![source.to_owned()], ..Self::default() }
    }

    /// A rule that was applied to the whole.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// A step of the plan, with what was changed about it.
    pub(super) fn step(&mut self, place: String, step: String, name: String, what: Vec<String>) {
        let outcome = if what.is_empty() { Outcome::Taken } else { Outcome::Changed { what } };
        self.push(Item { place, step: Some(step), name, outcome });
    }

    /// Every step of a plan that needed no translation.
    pub(super) fn take_all(&mut self, steps: &[StepSpec]) {
        let mut open: Vec<(String, &[StepSpec])> = vec![(String::new(), steps)];
        while let Some((group, steps)) = open.pop() {
            for (index, step) in steps.iter().enumerate() {
                let path = format!("{group}{}", index + 1);
                let name = [&step.title, &step.id, &step.action].into_iter().flatten().next().cloned().unwrap_or_default();
                if !step.steps.is_empty() {
                    open.push((format!("{path}."), &step.steps));
                }
                self.step(format!("step {path}"), path, name, Vec::new());
            }
        }
    }

    /// Something that is not in the plan.
    pub(super) fn dropped(&mut self, place: impl Into<String>, name: impl Into<String>, why: impl Into<String>) {
        self.push(Item { place: place.into(), step: None, name: name.into(), outcome: Outcome::Dropped { why: why.into() } });
    }

    /// Something that is in the request in another form.
    pub(super) fn changed(&mut self, place: impl Into<String>, name: impl Into<String>, what: impl Into<String>) {
        let outcome = Outcome::Changed { what: vec![what.into()] };
        self.push(Item { place: place.into(), step: None, name: name.into(), outcome });
    }

    fn push(&mut self, item: Item) {
        match item.outcome {
            Outcome::Taken => self.counts.taken += 1,
            Outcome::Changed { .. } => self.counts.changed += 1,
            Outcome::Dropped { .. } => self.counts.dropped += 1,
        }
        self.items.push(item);
    }

    /// One more part of the confidence.
    pub(super) fn factor(&mut self, name: &'static str, value: f64, why: impl Into<String>) {
        let value = floor(value.clamp(0.0, 1.0));
        self.factors.push(Factor { name, value, why: why.into() });
        self.confidence = Some(floor(self.factors.iter().map(|f| f.value).product()));
    }

    /// The factors as sentences.
    pub(super) fn reasons(&self) -> Vec<String> {
        self.factors.iter().map(Factor::to_string).collect()
    }
}

/// Cut to hundredths and never rounded up, so that what is shown as 0.70 does not lie below 0.7.
fn floor(value: f64) -> f64 {
    // The small addition keeps products such as 0.7 × 1.0 from losing a hundredth to binary fractions.
    (value * 100.0 + 1e-6).floor() / 100.0
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.2}: {}", self.name, self.value, self.why)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            write!(f, "{part}")?;
        }
        for left in &self.left {
            writeln!(f, "left      {}: {}", left.file, left.why)?;
        }
        Ok(())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}) from {}", self.title, self.format, self.sources.join(", "))?;
        let Counts { taken, changed, dropped, dependencies } = self.counts;
        writeln!(f, "  {taken} taken, {changed} changed, {dropped} dropped, {dependencies} dependencies")?;
        if !self.requested {
            writeln!(f, "  nothing is left to be done")?;
        }
        if let Some(confidence) = self.confidence {
            writeln!(f, "  confidence {confidence:.2}")?;
        }
        for factor in &self.factors {
            writeln!(f, "    {factor}")?;
        }
        for note in &self.notes {
            writeln!(f, "  note      {note}")?;
        }
        let mut telling = self.items.iter().filter(|item| item.outcome != Outcome::Taken);
        for item in telling.by_ref().take(LINES_MAX) {
            writeln!(f, "  {item}")?;
        }
        match telling.count() {
            0 => Ok(()),
            more => writeln!(f, "  … and {more} more; the JSON form of this report has them all"),
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, said) = match &self.outcome {
            Outcome::Taken => ("taken", String::new()),
            Outcome::Changed { what } => ("changed", what.join("; ")),
            Outcome::Dropped { why } => ("dropped", why.clone()),
        };
        write!(f, "{word:9} ")?;
        if let Some(step) = &self.step {
            write!(f, "{step} ")?;
        }
        write!(f, "{} [{}]", self.name, self.place)?;
        if said.is_empty() { Ok(()) } else { write!(f, ": {said}") }
    }
}
