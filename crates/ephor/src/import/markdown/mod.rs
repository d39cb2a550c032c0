//! Outlines in Markdown: phases, tasks and subtasks by label, number, heading or bullet, run in the order they are written.

mod line;

use super::capability::{Match, guess};
use super::draft::{Draft, WORK, order_factor};
use super::error::{Fault, Trouble};
use super::report::Part;
use super::text::{shorten, stem};
use ephor_core::spec::{Request, StepSpec};
use line::Line;

/// How many labelled lines make a text an outline whatever its name says. One may be chance.
const LABELS_MIN: usize = 2;

/// What a step stands under. A heading holds labels, a label holds items, whatever their levels; within a kind the level, or
/// the indentation, decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Heading(usize),
    Label(usize),
    Item(usize),
}

/// Whether a text without a telling name is an outline: it has lines such as `Task 1.2: …` that are not inside a YAML value.
pub(super) fn is_outline(text: &str) -> bool {
    let labelled = |line: &&str| !line.starts_with([' ', '\t']) && matches!(Line::read(line), Line::Label { .. });
    text.lines().filter(labelled).nth(LABELS_MIN - 1).is_some()
}

/// Reads an outline into a request.
pub(super) fn read(text: &str, name: &str, part: &mut Part) -> Result<Request, Fault> {
    let mut reader = Reader::new(text);
    for (index, line) in text.lines().enumerate() {
        reader.take(index + 1, Line::read(line), line, part)?;
    }
    if reader.draft.len() == 0 {
        return Err(Fault::new(
            Trouble::Unrecognised,
            "a text without an outline: it has no numbered, labelled or bulleted lines",
        ));
    }
    reader.finish(name, part)
}

struct Reader {
    draft: Draft,
    /// Steps that are open, outermost first.
    open: Vec<(Rank, usize)>,
    /// Whether headings are sections beside the plan, because the plan itself has labels.
    labelled: bool,
    /// Whether the lines belong to such a section.
    aside: Option<String>,
    in_code: bool,
    title: Option<String>,
    goal: Option<String>,
    preface: String,
    /// The number each labelled step bears in the text.
    numbers: Vec<(usize, String)>,
    counts: Counts,
}

/// How many steps were recognised by what.
#[derive(Default)]
struct Counts {
    labels: usize,
    numbered: usize,
    plain: usize,
    lost: usize,
}

impl Reader {
    fn new(text: &str) -> Self {
        Self {
            draft: Draft::in_order(),
            open: Vec::new(),
            labelled: text.lines().any(|line| matches!(Line::read(line), Line::Label { .. })),
            aside: None,
            in_code: false,
            title: None,
            goal: None,
            preface: String::new(),
            numbers: Vec::new(),
            counts: Counts::default(),
        }
    }

    fn take(&mut self, number: usize, line: Line<'_>, raw: &str, part: &mut Part) -> Result<(), Fault> {
        let place = format!("line {number}");
        let drop = |reader: &mut Self, part: &mut Part, why: &str| {
            reader.counts.lost += 1;
            part.dropped(place.clone(), shorten(raw, 60), why);
        };
        match line {
            Line::Blank => {}
            Line::Fence => self.in_code = !self.in_code,
            Line::Label { level, number, title } => {
                self.aside = None;
                self.counts.labels += 1;
                let step = self.add(Rank::Label(level), title, &place)?;
                self.numbers.push((step, number.to_owned()));
            }
            _ if self.in_code => drop(self, part, "it stands in a block of code"),
            Line::Heading { level, title } if self.may_be_title(level) => self.title = Some(title.to_owned()),
            Line::Heading { title, .. } if self.labelled => {
                self.open.clear();
                self.aside = Some(format!("it stands under {:?}, beside the numbered plan", shorten(title, 60)));
            }
            Line::Goal(goal) if self.goal.is_none() => self.goal = Some(goal.to_owned()),
            Line::Heading { level, title } => {
                self.counts.plain += 1;
                self.add(Rank::Heading(level), title, &place)?;
            }
            Line::Item { done: true, .. } => drop(self, part, "it is ticked off"),
            Line::Item { indent, numbered, title, .. } => match &self.aside {
                Some(why) => drop(self, part, &why.clone()),
                None => {
                    *if numbered { &mut self.counts.numbered } else { &mut self.counts.plain } += 1;
                    self.add(Rank::Item(indent), title, &place)?;
                }
            },
            Line::Goal(text) | Line::Text(text) => self.describe(text),
        }
        Ok(())
    }

    /// The first heading of the highest level is the title, or any that stands before a labelled plan.
    fn may_be_title(&self, level: usize) -> bool {
        self.title.is_none() && self.draft.len() == 0 && (level == 1 || self.labelled)
    }

    fn add(&mut self, rank: Rank, title: &str, place: &str) -> Result<usize, Fault> {
        while self.open.pop_if(|(above, _)| *above >= rank).is_some() {}
        let spec = StepSpec { title: Some(title.to_owned()), ..StepSpec::default() };
        let step = self.draft.add(self.open.last().map(|(_, step)| *step), None, place, spec)?;
        self.open.push((rank, step));
        Ok(step)
    }

    /// Plain text describes the step above it; before the first step, and beside the plan, the whole.
    fn describe(&mut self, text: &str) {
        let step = self.open.last().map(|(_, step)| *step);
        let description = match step {
            Some(step) => self.draft.spec(step).description.get_or_insert_default(),
            None => &mut self.preface,
        };
        if !description.is_empty() {
            description.push('\n');
        }
        description.push_str(text);
    }

    fn finish(mut self, name: &str, part: &mut Part) -> Result<Request, Fault> {
        for step in 0..self.draft.len() {
            self.draft.spec(step).sequential = self.draft.children(step) > 0;
        }
        self.judge_structure(part);
        self.judge_numbers(part);
        let said = if self.goal.is_some() { "the text states its goal" } else { "no line states the goal" };
        part.factor("goal", if self.goal.is_some() { 1.0 } else { 0.9 }, said);
        self.guess_capabilities(part);
        let edges = self.draft.settle_edges(part);
        order_factor(part, &edges, 1.0, "everything runs in the order it is written");
        part.note("steps run one after another, in the order they are written");
        let description = [self.goal.as_deref(), Some(self.preface.as_str())];
        let description: Vec<&str> = description.into_iter().flatten().filter(|text| !text.is_empty()).collect();
        let title = self.title.unwrap_or_else(|| stem(name).to_owned());
        Ok(Request {
            description: Some(if description.is_empty() { title.clone() } else { description.join("\n\n") }),
            title: Some(title),
            source: Some("markdown".to_owned()),
            plan: Some(self.draft.finish(part)),
            ..Request::default()
        })
    }

    /// Labels leave no doubt about what is a step and of which level; bullets and headings may be mere prose.
    fn judge_structure(&self, part: &mut Part) {
        let Counts { labels, numbered, plain, lost } = self.counts;
        let all = (labels + numbered + plain + lost).max(1) as f64;
        let value = (labels as f64 + 0.9 * numbered as f64 + 0.6 * plain as f64 + 0.6 * lost as f64) / all;
        let why =
            format!("{labels} steps are labelled, {numbered} numbered, {plain} mere bullets or headings, {lost} lines were left");
        part.factor("structure", value, why);
    }

    /// A number that disagrees with the place of its line means that something is missing or moved.
    fn judge_numbers(&mut self, part: &mut Part) {
        let paths = self.draft.paths();
        let numbers = std::mem::take(&mut self.numbers);
        let agrees =
            |path: &str, number: &str| path.strip_suffix(number).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let wrong: Vec<_> = numbers.iter().filter(|(step, number)| !agrees(&paths[*step], number)).collect();
        for (step, number) in &wrong {
            self.draft.change(*step, format!("the text numbers it {}", shorten(number, 20)));
        }
        if !numbers.is_empty() {
            let right = numbers.len() - wrong.len();
            let why = format!("{right} of {} numbers agree with the place of their line", numbers.len());
            part.factor("numbering", right as f64 / numbers.len() as f64, why);
        }
    }

    /// A leaf asks for what its own words name, else for what its group's words name, else for the nearest there is.
    fn guess_capabilities(&mut self, part: &mut Part) {
        let leaves = self.draft.leaves();
        let (mut direct, mut near, mut none) = (0usize, 0usize, 0usize);
        for step in &leaves {
            let own = guess(self.draft.title(*step));
            let group = self.draft.parent(*step).and_then(|parent| guess(self.draft.title(parent)));
            let (capability, why) = match (own, group) {
                (Some((capability, Match::Direct)), _) => {
                    direct += 1;
                    (capability, "guessed from its words")
                }
                (_, Some((capability, Match::Direct))) => {
                    near += 1;
                    (capability, "guessed from the words of its group")
                }
                (Some((capability, Match::Near)), _) | (None, Some((capability, Match::Near))) => {
                    near += 1;
                    (capability, "the nearest one to its words")
                }
                (None, None) => {
                    none += 1;
                    (WORK, "its words name none")
                }
            };
            let spec = self.draft.spec(*step);
            spec.action = Some(capability.to_owned());
            spec.capabilities = vec![capability.to_owned()];
            self.draft.change(*step, format!("capability {capability}: {why}"));
        }
        let value = (0.9 * direct as f64 + 0.7 * near as f64 + 0.5 * none as f64) / leaves.len().max(1) as f64;
        part.factor(
            "capabilities",
            value,
            format!("guessed: {direct} by their own words, {near} by what is near, {none} not at all"),
        );
    }
}
