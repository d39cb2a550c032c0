//! A document that is tried on what there is: what it would change for live tasks, and which recorded decisions it would have made
//! otherwise. Reads only, page by page, and says where it stopped.

use crate::live::{self, Live};
use crate::store::{Filter, Reader, StoreError, StoredEvent};
use crate::writer::amending;
use ephor_core::constitution::{
    AmendmentImpact, Constitution, ConstitutionEvent, Flip, ImpactReport, Judged, Law, Point, ReplayReport, Said, VersionView,
    compare,
};
use ephor_core::event::{Event, Private};
use ephor_core::id::{AmendmentId, TaskId};
use ephor_core::task::Task;
use ephor_core::time::{Time, WireTime};
use ephor_core::work::WorkKey;

/// The most tasks that are looked at for one answer.
pub const TASKS_MAX: u64 = 10_000;
/// The most tasks or decisions an answer names.
pub const TOLD_MAX: usize = 1_000;
/// How many are read at once.
const PAGE: u32 = 200;
/// How many events are read at once.
const EVENTS: u32 = 1_000;

/// The constitution as its stream says.
///
/// # Errors
/// Where the store cannot be read.
pub fn constitution(reader: &dyn Reader) -> Result<Constitution, StoreError> {
    let mut state = Constitution::default();
    amending::each_event(reader, |event, _, at, by| state.evolve(event, at, by))?;
    Ok(state)
}

/// One version of it with its words.
///
/// # Errors
/// Where the store cannot be read.
pub fn constitution_version(reader: &dyn Reader, number: u32) -> Result<Option<VersionView>, StoreError> {
    let (mut state, mut text) = (Constitution::default(), None);
    amending::each_event(reader, |event, _, at, by| {
        state.evolve(event, at, by);
        if let ConstitutionEvent::ConstitutionAdopted(adopted) = event
            && adopted.number == number
        {
            text = Some(adopted.paper.text.to_string());
        }
    })?;
    let head = state.versions.into_iter().find(|head| head.number == number);
    Ok(head.zip(text).map(|(head, text)| VersionView { head, text }))
}

/// The document that was proposed as an amendment.
///
/// # Errors
/// Where the store cannot be read.
pub fn proposed_text(reader: &dyn Reader, amendment: AmendmentId) -> Result<Option<String>, StoreError> {
    let mut text = None;
    amending::each_event(reader, |event, _, _, _| {
        if let ConstitutionEvent::AmendmentProposed(proposed) = event
            && proposed.amendment == amendment
        {
            text = Some(proposed.paper.text.to_string());
        }
    })?;
    Ok(text)
}

/// What a document would change for what is live.
///
/// # Errors
/// Where the store cannot be read.
pub fn impact(reader: &dyn Reader, in_force: &Law, candidate: &Law, now: Time) -> Result<ImpactReport, StoreError> {
    let mut report = ImpactReport {
        digest: candidate.digest().to_owned(),
        in_force: in_force.digest().to_owned(),
        changes: compare(in_force.document(), candidate.document()),
        tasks: Vec::new(),
        looked_at: 0,
        more: false,
    };
    let filter = Filter { live: true, ..Filter::default() };
    (report.looked_at, report.more) = each_task(reader, filter, |id| {
        let Some(live) = Live::recall(reader, id)? else { return Ok(true) };
        let told: Option<AmendmentImpact> = live.task.amendment_impact(in_force, candidate, now);
        report.tasks.extend(told);
        Ok(report.tasks.len() < TOLD_MAX)
    })?;
    Ok(report)
}

/// Makes recorded decisions again, of tasks that were submitted since an instant.
///
/// # Errors
/// Where the store cannot be read.
pub fn replay(reader: &dyn Reader, candidate: &Law, since: Option<Time>) -> Result<ReplayReport, StoreError> {
    let digest = candidate.digest().to_owned();
    let mut report = ReplayReport { digest, flips: Vec::new(), decisions: 0, tasks: 0, erased: 0, more: false };
    let filter = Filter { archived: None, ..Filter::default() };
    let (looked_at, more) = each_task(reader, filter, |id| {
        let mut again = Again { task: Task::unborn(id), law: candidate, said: Vec::new(), flips: Vec::new(), decisions: 0 };
        match again.all(reader, since)? {
            Past::TooOld => return Ok(false),
            Past::Erased => report.erased += 1,
            Past::Whole => {}
        }
        report.decisions += again.decisions;
        report.flips.extend(again.flips);
        Ok(report.flips.len() < TOLD_MAX)
    })?;
    report.tasks = looked_at - report.erased;
    report.more = more;
    Ok(report)
}

/// Tells of each task a filter finds, the youngest first, until one says that it is enough; answers how many there were, and whether
/// there are more than may be looked at.
fn each_task(
    reader: &dyn Reader,
    mut filter: Filter,
    mut tell: impl FnMut(TaskId) -> Result<bool, StoreError>,
) -> Result<(u64, bool), StoreError> {
    let mut looked_at = 0;
    loop {
        let page = reader.list(&filter, PAGE)?;
        let Some(last) = page.last() else { return Ok((looked_at, false)) };
        filter.below = Some(last.number);
        for listed in page {
            let Some(task) = listed.stream.task() else { continue };
            if looked_at >= TASKS_MAX {
                return Ok((looked_at, true));
            }
            looked_at += 1;
            if !tell(task)? {
                return Ok((looked_at, true));
            }
        }
    }
}

/// How much of a task's past can be judged.
enum Past {
    Whole,
    Erased,
    TooOld,
}

/// A task whose decisions are made again as its events come by.
struct Again<'a> {
    task: Task,
    law: &'a Law,
    /// What was said of the result that comes next.
    said: Vec<Said>,
    flips: Vec<Flip>,
    decisions: u64,
}

impl Again<'_> {
    fn all(&mut self, reader: &dyn Reader, since: Option<Time>) -> Result<Past, StoreError> {
        let mut after = 0;
        loop {
            let page = reader.stream_events(self.task.id.into(), after, EVENTS)?;
            let Some(last) = page.last() else { return Ok(Past::Whole) };
            if after == 0 && since.is_some_and(|since| page[0].at < since.0) {
                return Ok(Past::TooOld);
            }
            after = last.version;
            for stored in &page {
                let (event, private) = live::decode(stored)?;
                if private.is_none() && matches!(event, Event::Submitted(_)) {
                    return Ok(Past::Erased);
                }
                self.before(&event, private.as_ref(), stored);
                self.task.take_in(&event, private.as_ref(), Time(stored.at));
                self.after(&event, stored);
            }
        }
    }

    /// What was judged before it happened: the task is as it was then.
    fn before(&mut self, event: &Event, private: Option<&Private>, stored: &StoredEvent) {
        match (event, private) {
            (Event::Assigned(assigned), _) => {
                let WorkKey::Step(path) = &assigned.work else { return };
                if let Some(now) = self.task.step_judged_by(path, self.law, Time(stored.at)) {
                    self.compare(Point::Action, Some(path), &assigned.rulings, now, stored);
                }
            }
            // What was said of a result comes right before it, where something was said.
            (Event::ResultJudged { rulings, .. }, _) => self.said.clone_from(rulings),
            (Event::AttemptSucceeded(done), Some(Private::Success(success))) => {
                let WorkKey::Step(path) = &done.work else { return };
                let said = std::mem::take(&mut self.said);
                if let Some(now) = self.task.result_judged_by(path, success, self.law, Time(stored.at)) {
                    self.compare(Point::Result, Some(path), &said, now, stored);
                }
            }
            _ => {}
        }
    }

    /// What was judged as it is afterwards: the request, and each plan.
    fn after(&mut self, event: &Event, stored: &StoredEvent) {
        match event {
            Event::Submitted(facts) => {
                let now = self.task.judged_by(self.law, Time(stored.at));
                self.compare(Point::Admission, None, &facts.rulings, now, stored);
            }
            Event::Planned(planned) => {
                let now = self.task.plan_judged_by(self.law, Time(stored.at));
                self.compare(Point::Plan, None, &planned.rulings, now, stored);
            }
            _ => {}
        }
    }

    fn compare(&mut self, point: Point, step: Option<&str>, recorded: &[Said], now: Judged, stored: &StoredEvent) {
        self.decisions += 1;
        let then = recorded.iter().map(|said| said.ruling).max().unwrap_or_default();
        if then == now.ruling {
            return;
        }
        self.flips.push(Flip {
            task_id: self.task.id,
            title: self.task.contents.text.title.clone(),
            at: WireTime(Time(stored.at)),
            version: stored.version,
            point,
            step: step.map(str::to_owned),
            recorded: then,
            by: recorded.iter().map(|said| said.rule.to_string()).collect(),
            now,
        });
    }
}
