//! Lists of tasks. What stands in the index narrows them there; the tasks of an agent are known from its leases; words are looked for
//! task by task, only so far for one answer.

use super::look::{Look, PAGE, PAGE_MAX, store};
use crate::api::{ApiError, Kind, Page, TaskFilter};
use ephor_core::id::{AgentId, StreamKind, TaskId};
use ephor_core::plan::Problem;
use ephor_core::spec::{Autonomy, Priority};
use ephor_core::status::Status;
use ephor_core::time::{Time, WireTime};
use ephor_core::view::TaskRow;
use ephor_engine::query::{self, AsOf};
use ephor_engine::store::{Filter, Listed, StoreError};

/// How many rows one answer looks at where words, or the holders of work, are looked for task by task. The page may come out short, and
/// its cursor goes on from there.
const LOOKED_AT_MAX: u32 = 2_000;
/// How many rows are read at once there.
const BLOCK: u32 = 250;
/// The longest text that is looked for, in bytes, and the most words in it.
const Q_MAX: usize = 256;
const WORDS_MAX: usize = 16;

/// What an agent holds.
pub(crate) enum Held {
    /// Work of these tasks.
    Of(Vec<TaskId>),
    /// Nobody in this process knows: it stands in the tasks themselves.
    Unknown(AgentId),
}

/// Where the rows of a list come from.
enum Rows {
    /// All there are.
    All,
    /// These, in the order of the list.
    These(Vec<Listed>),
}

impl Look {
    /// Tasks, newest first unless they are wanted otherwise. `held` says what the agent holds that is asked for, where one is.
    pub(crate) fn tasks(&self, wanted: TaskFilter, held: Option<Held>) -> Result<Page<TaskRow>, ApiError> {
        let from = wanted.after.as_deref().map(|cursor| {
            cursor.parse::<i64>().map_err(|_| ApiError::invalid(format!("{cursor:?} is no cursor of a list"), Vec::new()))
        });
        let limit = if wanted.limit == 0 { PAGE } else { wanted.limit.min(PAGE_MAX) } as usize;
        let words = words(wanted.q.as_deref())?;
        let mut filter = Filter {
            statuses: wanted.status,
            live: wanted.live,
            namespace: wanted.namespace,
            task_type: wanted.task_type,
            owner_id: wanted.owner_id,
            parent: wanted.parent_task_id.map(TaskId::bits),
            external_id: wanted.external_id,
            source: wanted.source,
            risks: wanted.risk,
            due_before: wanted.due_before.map(|at| at.0.0),
            due_after: wanted.due_after.map(|at| at.0.0),
            archived: wanted.without_archived.then_some(false),
            below: None,
            above: None,
            oldest_first: wanted.oldest_first,
        };
        goes_on_behind(&mut filter, from.transpose()?);
        let (rows, holder) = match held {
            None => (Rows::All, None),
            Some(Held::Of(tasks)) => (Rows::These(self.these(tasks, &filter)?), None),
            Some(Held::Unknown(agent)) => {
                // What has ended is held by nobody.
                filter.live = true;
                (Rows::All, Some(agent))
            }
        };
        let looks = holder.is_some() || !words.is_empty() || wanted.recurring;
        let (mut page, mut looked_at) = (Page { items: Vec::new(), next: None }, 0);
        loop {
            let most = if looks { BLOCK } else { limit as u32 };
            let block = match &rows {
                Rows::All => self.reader.list(&filter, most).map_err(store)?,
                Rows::These(listed) => {
                    let behind = |l: &&Listed| {
                        filter.below.is_none_or(|below| l.number < below) && filter.above.is_none_or(|above| l.number > above)
                    };
                    listed.iter().filter(behind).take(most as usize).cloned().collect()
                }
            };
            let last = block.len() < most as usize;
            for listed in block {
                let number = listed.number;
                goes_on_behind(&mut filter, Some(number));
                looked_at += 1;
                let fits =
                    holder.is_none_or(|agent| self.holds(agent, &listed)) && (!wanted.recurring || self.comes_again(&listed));
                if fits && self.says(&words, &listed)? {
                    page.items.extend(row(listed));
                }
                if page.items.len() == limit {
                    page.next = Some(number.to_string());
                    return Ok(page);
                }
            }
            if last {
                return Ok(page);
            }
            if looks && looked_at >= LOOKED_AT_MAX {
                page.next = filter.below.or(filter.above).map(|number| number.to_string());
                return Ok(page);
            }
        }
    }

    /// How far the task of a row is. What has completed is done; of any other it stands in its events alone: an index of it would be
    /// written with every step.
    pub(crate) fn progress(&self, row: &TaskRow) -> Result<Option<f64>, ApiError> {
        if row.status == Status::Completed {
            return Ok(Some(1.0));
        }
        match query::task(&*self.reader, row.id, AsOf::Now) {
            Ok(task) => Ok(task.map(|task| task.progress())),
            // It is named where somebody asks for it, and by doctor; a list goes on.
            Err(StoreError::Corrupt { .. }) => Ok(None),
            Err(error) => Err(store(error)),
        }
    }

    /// The agent somebody means, by its id or its own name.
    pub(crate) fn agent(&self, name: &str, now: Time) -> Result<AgentId, ApiError> {
        let unknown = || ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no agent {name:?}"));
        if let Ok(id) = name.parse::<AgentId>() {
            return self.reader.head(id.into()).map_err(store)?.map(|_| id).ok_or_else(unknown);
        }
        let held = self.reader.unique(&format!("agent:{name}"), now.0).map_err(store)?;
        let agent = held.map(|row| row.stream).filter(|stream| stream.kind == StreamKind::Agent);
        agent.map(|stream| AgentId::from_bits(stream.bits)).ok_or_else(unknown)
    }

    /// The rows of these tasks that a filter lets through, in its order.
    fn these(&self, mut tasks: Vec<TaskId>, filter: &Filter) -> Result<Vec<Listed>, ApiError> {
        tasks.sort_unstable();
        tasks.dedup();
        let rows = tasks.into_iter().map(|task| self.reader.listed(task.into(), filter)).collect::<Result<Vec<_>, _>>();
        let mut rows: Vec<Listed> = rows.map_err(store)?.into_iter().flatten().collect();
        match filter.oldest_first {
            true => rows.sort_unstable_by_key(|listed| listed.number),
            false => rows.sort_unstable_by_key(|listed| std::cmp::Reverse(listed.number)),
        }
        Ok(rows)
    }

    /// Whether an agent holds work of a task, by the task itself.
    fn holds(&self, agent: AgentId, listed: &Listed) -> bool {
        // A task that cannot be read is named where somebody asks for it; a list goes on.
        let task = listed.stream.task().and_then(|task| query::task(&*self.reader, task, AsOf::Now).ok().flatten());
        task.is_some_and(|task| task.live_leases().iter().any(|lease| lease.agent == agent))
    }

    /// Whether a run of a task is still to come.
    fn comes_again(&self, listed: &Listed) -> bool {
        let task = listed.stream.task().and_then(|task| query::task(&*self.reader, task, AsOf::Now).ok().flatten());
        task.is_some_and(|task| !task.next_runs(Time::default()).is_empty())
    }

    /// Whether all of these words stand in those of a task.
    fn says(&self, words: &[String], listed: &Listed) -> Result<bool, ApiError> {
        let row = &listed.row;
        let mut said =
            [&row.title, &row.task_type, row.external_id.as_deref().unwrap_or_default()].map(str::to_lowercase).join("\n");
        if words.iter().all(|word| said.contains(word.as_str())) {
            return Ok(true);
        }
        let Some(task) = listed.stream.task() else { return Ok(false) };
        match query::task(&*self.reader, task, AsOf::Now) {
            Ok(task) => {
                said += "\n";
                said += &task.map(|task| task.contents.text.description.to_lowercase()).unwrap_or_default();
                Ok(words.iter().all(|word| said.contains(word.as_str())))
            }
            // It is named where somebody asks for it, and by doctor; a list goes on.
            Err(StoreError::Corrupt { .. }) => Ok(false),
            Err(error) => Err(store(error)),
        }
    }
}

/// Where a list goes on, in the order it has.
fn goes_on_behind(filter: &mut Filter, number: Option<i64>) {
    match filter.oldest_first {
        true => filter.above = number,
        false => filter.below = number,
    }
}

/// The words that are looked for, in small letters.
fn words(q: Option<&str>) -> Result<Vec<String>, ApiError> {
    let Some(q) = q else { return Ok(Vec::new()) };
    let words: Vec<String> = q.split_whitespace().map(str::to_lowercase).collect();
    let why = match words.len() {
        0 => "say at least one word".to_owned(),
        _ if q.len() > Q_MAX => format!("has {} bytes; allowed are {Q_MAX}", q.len()),
        n if n > WORDS_MAX => format!("has {n} words; allowed are {WORDS_MAX}"),
        _ => return Ok(words),
    };
    Err(ApiError::invalid("the query was refused", vec![Problem::new("q", why)]))
}

/// A row of a list.
fn row(listed: Listed) -> Option<TaskRow> {
    let time = |ms: Option<i64>| ms.map(|ms| WireTime(Time(ms)));
    let row = listed.row;
    Some(TaskRow {
        id: listed.stream.task()?,
        external_id: row.external_id,
        source: row.source,
        namespace: row.namespace,
        title: row.title,
        task_type: row.task_type,
        status: row.status.unwrap_or(Status::Pending),
        priority: priority(row.priority),
        risk_level: row.risk,
        parent_task_id: row.parent.map(TaskId::from_bits),
        owner_type: row.owner_type,
        owner_id: row.owner_id,
        subject_ref_type: row.subject_ref_type,
        subject_ref_id: row.subject_ref_id,
        // The ordinary one is not kept.
        autonomy: Some(row.autonomy.unwrap_or(Autonomy::Autonomous)),
        archived: row.archived,
        progress: None,
        created_at: WireTime(Time(row.created_at)),
        updated_at: None,
        claimed_by: None,
        due_at: time(row.due_at),
        wake_at: time(row.wake_at),
        ended_at: time(row.ended_at),
    })
}

fn priority(rank: i64) -> Priority {
    use Priority::*;
    [Idle, Low, Normal, High, Critical, Sovereign].into_iter().find(|p| *p as i64 == rank).unwrap_or_default()
}
