//! The inbox: what tasks ask of people, those that have asked longest first. The index says which tasks ask; only those of the page are
//! loaded.

use super::look::{Look, PAGE, PAGE_MAX, store};
use crate::api::{ApiError, Page};
use ephor_core::id::TaskId;
use ephor_core::inbox::{Asked, InboxFilter};
use ephor_engine::query::{self, AsOf};
use ephor_engine::store::{Cursor, StoreError};

/// How many tasks one answer looks at. Only a database of an earlier form, or a task that was answered this moment, has some in the index
/// that ask nothing; then the page may come out short, and its cursor goes on from there.
const LOOKED_AT_MAX: u32 = 2_000;

impl Look {
    /// What tasks ask of people, task by task; within a task the oldest first.
    pub(crate) fn inbox(&self, wanted: &InboxFilter) -> Result<Page<Asked>, ApiError> {
        let mut from = wanted.after.as_deref().map(cursor).transpose()?;
        let limit = if wanted.limit == 0 { PAGE } else { wanted.limit.min(PAGE_MAX) };
        let (mut items, mut tasks, mut looked_at) = (Vec::new(), 0, 0);
        loop {
            let block = self.reader.asking(from, wanted.namespace.as_deref(), limit).map_err(store)?;
            let last = block.len() < limit as usize;
            for listed in block {
                from = listed.row.asks_since.map(|rank| Cursor { rank, number: listed.number });
                looked_at += 1;
                let questions = listed.stream.task().map_or(Ok(Vec::new()), |task| self.asked_by(task))?;
                tasks += u32::from(!questions.is_empty());
                items.extend(questions);
                if tasks == limit {
                    break;
                }
            }
            if tasks == limit || (looked_at >= LOOKED_AT_MAX && !last) {
                return Ok(Page { items, next: from.map(|c| format!("{}-{}", c.rank, c.number)) });
            }
            if last {
                return Ok(Page { items, next: None });
            }
        }
    }

    /// What one task of a list asks. One that cannot be read is named where somebody asks for it, and by doctor; the list goes on.
    fn asked_by(&self, task: TaskId) -> Result<Vec<Asked>, ApiError> {
        match query::task(&*self.reader, task, AsOf::Now) {
            Ok(task) => Ok(task.map(|task| task.questions()).unwrap_or_default()),
            Err(StoreError::Corrupt { .. }) => Ok(Vec::new()),
            Err(error) => Err(store(error)),
        }
    }
}

/// Where a page ended: since when its last task has asked, and its number.
fn cursor(text: &str) -> Result<Cursor, ApiError> {
    let parts =
        text.split_once('-').and_then(|(rank, number)| Some(Cursor { rank: rank.parse().ok()?, number: number.parse().ok()? }));
    parts.ok_or_else(|| ApiError::invalid(format!("{text:?} is no cursor of the inbox"), Vec::new()))
}
