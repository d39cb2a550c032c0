//! Which task a name means: its id, a unique beginning of it, its external id, or `@last`. A name is looked for in one namespace and
//! from one source where these are given: what lies elsewhere is neither found nor in the way.

use super::look::{Look, PAGE_MAX, store};
use crate::api::{ApiError, Kind};
use ephor_core::id::TaskId;
use ephor_engine::store::{Filter, Listed};

/// How many tasks of one name are told.
const TOLD_MAX: u32 = 10;
/// How many tasks are looked through for one whose id begins with some letters.
const PREFIX_LOOKS: u32 = 100_000;

/// Where a name is looked for; everywhere where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Within {
    /// Only in this namespace.
    pub(crate) namespace: Option<String>,
    /// Only among tasks from this source.
    pub(crate) source: Option<String>,
}

/// One of several tasks of a name, and what tells it from the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Apart {
    /// Its id.
    pub(crate) id: TaskId,
    /// Its namespace, where the others are in another.
    pub(crate) namespace: Option<String>,
    /// Its source, where that decides.
    pub(crate) source: Option<String>,
}

impl Look {
    /// The tasks a name may mean, newest first; more than one where it does not decide.
    pub(crate) fn meant(&self, name: &str, within: Within) -> Result<Vec<Listed>, ApiError> {
        let filter = Filter { namespace: within.namespace.clone(), source: within.source.clone(), ..Filter::default() };
        if let Ok(id) = name.parse::<TaskId>() {
            return Ok(self.reader.listed(id.into(), &filter).map_err(store)?.into_iter().collect());
        }
        if name == "@last" {
            return self.reader.list(&filter, 1).map_err(store);
        }
        let found = self.called(name, within)?;
        match found.is_empty() && name.starts_with("task_") && name.len() > "task_".len() {
            true => self.beginning(name, filter),
            false => Ok(found),
        }
    }

    /// The tasks whose own name this is, newest first.
    pub(crate) fn called(&self, name: &str, within: Within) -> Result<Vec<Listed>, ApiError> {
        let Within { namespace, source } = within;
        let named = Filter { namespace, source, external_id: Some(name.to_owned()), ..Filter::default() };
        self.reader.list(&named, TOLD_MAX).map_err(store)
    }

    fn beginning(&self, prefix: &str, mut filter: Filter) -> Result<Vec<Listed>, ApiError> {
        let (mut found, mut looked): (Vec<Listed>, u32) = (Vec::new(), 0);
        loop {
            let page = self.reader.list(&filter, PAGE_MAX).map_err(store)?;
            let (count, last) = (page.len(), page.last().map(|listed| listed.number));
            looked += count as u32;
            found.extend(page.into_iter().filter(|l| l.stream.task().is_some_and(|id| id.to_string().starts_with(prefix))));
            match last {
                Some(last) if count == PAGE_MAX as usize && looked < PREFIX_LOOKS && found.len() < 2 => filter.below = Some(last),
                Some(_) | None => return Ok(found),
            }
        }
    }

    /// The task somebody means; `again` says how to ask for one of several.
    pub(crate) fn find(&self, name: &str, within: Within) -> Result<TaskId, ApiError> {
        only(name, &self.meant(name, within)?, |apart| match (&apart.namespace, &apart.source) {
            (None, None) => format!("the same command on {}", apart.id),
            (Some(namespace), None) => format!("the same command with --namespace {namespace}"),
            (None, Some(source)) => format!("the same command with --source {source:?}"),
            (Some(namespace), Some(source)) => format!("the same command with --namespace {namespace} --source {source:?}"),
        })
    }
}

/// The only task of a name. Of several each is told, and `again` says how to ask for it.
pub(crate) fn only(name: &str, found: &[Listed], again: impl Fn(&Apart) -> String) -> Result<TaskId, ApiError> {
    match found {
        [] => Err(unknown(name)),
        [one] => one.stream.task().ok_or_else(|| unknown(name)),
        several => {
            let apart = told_apart(several);
            let told = |apart: &Apart, listed: &Listed| {
                let source = listed.row.source.as_deref().map_or("no source".into(), |source| format!("source {source:?}"));
                match &apart.namespace {
                    Some(namespace) => format!("{} ({source}, in {namespace})", apart.id),
                    None => format!("{} ({source})", apart.id),
                }
            };
            let names: Vec<String> = apart.iter().zip(several).map(|(apart, listed)| told(apart, listed)).collect();
            let error = ApiError::new(Kind::Invalid, "VALIDATION_FAILED", format!("{name:?} means more than one task"));
            Err(ApiError { next: apart.iter().map(again).collect(), ..error.because(names.join(", ")) })
        }
    }
}

/// There is no task of this name, or none the caller may see: nobody can tell which.
pub(crate) fn unknown(name: &str) -> ApiError {
    ApiError::new(Kind::NotFound, "NOT_FOUND", format!("there is no task {name:?}")).then("ephor task list --all")
}

/// What tells each of these from the others: namespace and source where they do, else its id alone.
fn told_apart(found: &[Listed]) -> Vec<Apart> {
    let differ = found.iter().any(|l| l.row.namespace != found[0].row.namespace);
    let apart = |listed: &Listed| {
        let namespace = differ.then(|| listed.row.namespace.clone());
        // One without a source cannot be asked for by it.
        let alike = |o: &&Listed| {
            o.row.namespace == listed.row.namespace && (listed.row.source.is_none() || o.row.source == listed.row.source)
        };
        let (decides, alone) = (
            found.iter().filter(alike).count() == 1,
            found.iter().filter(|o| o.row.namespace == listed.row.namespace).count() == 1,
        );
        let id = listed.stream.task()?;
        Some(match (decides, alone) {
            (_, true) => Apart { id, namespace, source: None },
            (true, false) => Apart { id, namespace, source: listed.row.source.clone() },
            (false, false) => Apart { id, namespace: None, source: None },
        })
    };
    found.iter().filter_map(apart).take(TOLD_MAX as usize).collect()
}
