//! The breakdown as a table: 023-4 with a column per level, 026-3 as the chart knows it.

use super::{Outline, Project};
use crate::import::DEPTH_MAX;
use crate::import::error::{Fault, Trouble};
use crate::import::report::Part;
use ::csv::{ReaderBuilder, StringRecord};
use ephor_core::spec::StepSpec;
use jiff::civil::Date;
use std::collections::HashMap;

/// A table with its columns by name.
struct Table {
    columns: HashMap<String, usize>,
    rows: Vec<(u64, StringRecord)>,
}

impl Table {
    fn read(text: &str) -> Result<Self, Fault> {
        let header = text.lines().next().unwrap_or_default();
        let count = |delimiter: &u8| header.bytes().filter(|b| b == delimiter).count();
        let delimiter = b",;\t".iter().copied().max_by_key(count).unwrap_or(b',');
        let mut reader = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
        let broken = |error: ::csv::Error| {
            let line = error.position().map_or(1, ::csv::Position::line);
            Fault::new(Trouble::Syntax, format!("no CSV: {error}")).at_line(line, 0)
        };
        let header = reader.headers().map_err(broken)?;
        let columns = header.iter().enumerate().map(|(i, name)| (name.trim().to_ascii_lowercase(), i)).collect();
        let mut rows = Vec::new();
        for row in reader.records() {
            let row = row.map_err(broken)?;
            rows.push((row.position().map_or(1, ::csv::Position::line), row));
        }
        Ok(Self { columns, rows })
    }

    fn cell<'r>(&self, row: &'r StringRecord, column: &str) -> Option<&'r str> {
        let cell = row.get(*self.columns.get(column)?)?.trim();
        (!cell.is_empty()).then_some(cell)
    }
}

fn titled(title: &str) -> StepSpec {
    StepSpec { title: Some(title.to_owned()), ..StepSpec::default() }
}

/// 023-4: each row fills one of the columns `Level 1`, `Level 2`, …; the first row is the project.
pub(super) fn read_levels<'a>(text: &str, part: &mut Part) -> Result<Outline<'a>, Fault> {
    let table = Table::read(text)?;
    let mut outline = Outline::default();
    let mut open: Vec<usize> = Vec::new(); // the last step of each level below the project
    let mut strays = 0usize;
    let levels: Vec<(usize, String)> =
        (1..=DEPTH_MAX).map(|n| (n, format!("level {n}"))).filter(|(_, name)| table.columns.contains_key(name)).collect();
    for (line, row) in &table.rows {
        let place = format!("line {line}");
        let filled = levels.iter().rev().find_map(|(n, column)| Some((*n, table.cell(row, column)?)));
        let Some((n, title)) = filled else {
            part.dropped(place, "row", "no level of it is filled");
            strays += 1;
            continue;
        };
        let id = table.cell(row, "task id");
        if n == 1 && outline.project.title.is_none() && outline.draft.len() == 0 {
            outline.project = Project { id: id.map(str::to_owned), title: Some(title.to_owned()), deliverable: None };
            continue;
        }
        let level = n.saturating_sub(2);
        open.truncate(level);
        let step = outline.draft.add(open.last().copied(), id, &place, titled(title))?;
        if open.len() < level || n == 1 {
            outline.draft.change(step, format!("it stands at level {n} without a level above; it went under the nearest one"));
            strays += 1;
        }
        if id.is_none() {
            outline.draft.change(step, "it has no Task ID");
        }
        open.push(step);
    }
    let rows = table.rows.len();
    let value = 1.0 - strays as f64 / rows.max(1) as f64;
    part.factor("hierarchy", value, format!("{} of {rows} rows stand under a row of the level above", rows - strays));
    Ok(outline)
}

/// A row of the chart that has been placed.
struct Placed {
    step: Option<usize>,
    parent: Option<usize>,
    detailed: bool,
    dates: Option<(Date, Date)>,
}

/// 026-3: `project_parent` names the group for its first and last member and the elder sibling for those between, so dates
/// decide: a member lies within its group, a sibling begins when its elder ends.
pub(super) fn read_chart<'a>(text: &str, part: &mut Part) -> Result<Outline<'a>, Fault> {
    let table = Table::read(text)?;
    let mut outline = Outline::default();
    let mut placed: HashMap<String, Placed> = HashMap::new();
    let mut guesses = 0usize;
    for (line, row) in &table.rows {
        let place = format!("line {line}");
        let cell = |column: &str| table.cell(row, column);
        let (Some(key), Some(name)) = (cell("project_key"), cell("project_name")) else {
            part.dropped(place, "row", "project_key or project_name is empty");
            guesses += 1;
            continue;
        };
        let dates = dates(cell("project_start_date"), cell("project_end_date"));
        let detail = Detail::read(name, cell("project_description").unwrap_or_default());
        let named = cell("project_parent");
        if outline.project.title.is_none() && named.is_none() {
            let deliverable = detail.deliverable.clone();
            outline.project = Project { id: Some(key.to_owned()), title: Some(name.to_owned()), deliverable };
            placed.insert(key.to_owned(), Placed { step: None, parent: None, detailed: false, dates });
            continue;
        }
        let (parent, doubt) = parent_of(named.and_then(|named| placed.get(named)), dates);
        let spec = StepSpec { description: detail.description, ..titled(&detail.title) };
        let step = outline.draft.add(parent, Some(key), &place, spec)?;
        if let Some(doubt) = doubt {
            outline.draft.change(step, doubt);
            guesses += 1;
        }
        if let Some((start, end)) = dates {
            let days = start.until((jiff::Unit::Day, end)).map_or(0, |span| span.get_days());
            outline.chart_days.insert(step, f64::from(days));
        }
        let detailed = !detail.resources.is_empty() || outline.draft.spec(step).description.is_some();
        if !detail.resources.is_empty() {
            outline.resources.insert(step, detail.resources);
        }
        placed.entry(key.to_owned()).or_insert(Placed { step: Some(step), parent, detailed, dates });
    }
    let rows = table.rows.len();
    let value = 0.75 * (1.0 - guesses as f64 / rows.max(1) as f64);
    part.factor(
        "hierarchy",
        value,
        format!("rebuilt from dates, because project_parent often names a sibling; {guesses} of {rows} rows are a guess"),
    );
    Ok(outline)
}

/// The group a row belongs to, given the row it names, and the doubt about it.
fn parent_of(named: Option<&Placed>, dates: Option<(Date, Date)>) -> (Option<usize>, Option<&'static str>) {
    let Some(named) = named else { return (None, Some("its project_parent is unknown; it went to the top")) };
    if named.step.is_none() {
        return (None, None);
    }
    if named.detailed {
        return (named.parent, None); // only leaves are described, so this is an elder sibling
    }
    match (dates, named.dates) {
        (Some((start, end)), Some((from, to))) => {
            let (within, after) = (start >= from && end <= to, start >= to);
            match (within, after) {
                (true, false) => (named.step, None),
                (false, true) => (named.parent, None),
                (true, true) => (named.step, Some("its dates fit a member and a sibling alike; it was taken as a member")),
                (false, false) => (named.parent, Some("its dates fit neither a member nor a sibling; it was taken as a sibling")),
            }
        }
        _ => (named.step, Some("its dates are missing; it was taken as a member of what it names")),
    }
}

fn dates(start: Option<&str>, end: Option<&str>) -> Option<(Date, Date)> {
    let (start, end) = (date(start?)?, date(end?)?);
    (start <= end).then_some((start, end))
}

/// `M/D/YYYY`.
fn date(text: &str) -> Option<Date> {
    let mut parts = text.split('/');
    let (month, day, year) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    if parts.next().is_some() { None } else { Date::new(year, month, day).ok() }
}

/// What the cell `project_description` says: the title, then headed paragraphs.
#[derive(Default)]
struct Detail {
    title: String,
    description: Option<String>,
    deliverable: Option<String>,
    resources: Vec<String>,
}

impl Detail {
    fn read(name: &str, cell: &str) -> Self {
        let mut lines = cell.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
        // The chart numbers equal names, "Test (2)"; the cell's first line still has the name as it was.
        let title = lines.next_if(|line| name.strip_prefix(line).is_some_and(|rest| rest.is_empty() || is_number(rest)));
        let mut detail = Self { title: title.unwrap_or(name).to_owned(), ..Self::default() };
        let mut heading = "";
        for line in lines {
            match line {
                "Description:" | "Resources needed:" | "Final deliverable:" => heading = line,
                line if heading == "Resources needed:" => detail.resources.push(line.trim_start_matches(['•', ' ']).to_owned()),
                line if heading == "Final deliverable:" => detail.deliverable = Some(line.to_owned()),
                line => {
                    let description = detail.description.get_or_insert_default();
                    if !description.is_empty() {
                        description.push('\n');
                    }
                    description.push_str(line);
                }
            }
        }
        detail
    }
}

fn is_number(rest: &str) -> bool {
    let digits = rest.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}
