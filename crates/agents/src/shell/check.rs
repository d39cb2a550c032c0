//! A command that judges: how it ended and what it left behind are findings, whatever its exit code.

use super::{Params, SHOWN_CHARS_MAX, Shell, Word, shown};
use crate::confine;
use crate::secrets::Used;
use ephor_core::spec::{ErrorClass, GateCheck};
use ephor_core::work::Failure;
use ephor_sdk::agent::Job;
use serde_json::Map;
use std::collections::BTreeMap;

use super::End;
use super::folder::Folder;

/// The largest report read back, in bytes.
pub(crate) const REPORT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A command that ended.
pub(crate) struct Checked {
    /// Its exit code; where it did not end by itself, why.
    pub(crate) ended: Result<i32, Failure>,
    /// The last words of what it wrote: of its errors, else of its output.
    pub(crate) last_words: String,
    /// The reports that were asked for, by path.
    pub(crate) reports: BTreeMap<String, Result<Vec<u8>, Failure>>,
}

impl Shell {
    /// Runs the command of a check in a folder with these files. It has no network, so nothing it does is an effect.
    ///
    /// # Errors
    /// What kept it from being started, and that the work was told to end.
    pub(crate) async fn check(
        &self,
        job: Job<'_>,
        check: &GateCheck,
        files: &BTreeMap<String, Vec<u8>>,
        used: &mut Used,
    ) -> Result<Checked, Failure> {
        let params = Params {
            command: check.command.clone(),
            argv: check.argv.clone(),
            env: check.env.clone(),
            timeout: check.timeout,
            ..Params::default()
        };
        let folder = Folder::make(&self.config.folder, job.item())?;
        folder.put(files)?;
        let mut order = self.order(&params, &Map::new(), &folder, used)?;
        self.sandbox.complete(&mut order).await;
        let ended = self.run(job, &order).await?;
        let (stdout, stderr) = (shown(&ended.stdout, used), shown(&ended.stderr, used));
        let how = match (&ended.end, &ended.word) {
            (End::Itself, Some(Word::Ended { code: Some(code), .. })) => Ok(*code),
            _ => {
                Err(ended.failure(&stderr, &params).unwrap_or_else(|| Failure::new(ErrorClass::Other, "ended in an unknown way")))
            }
        };
        if let Err(failure) = &how
            && failure.class == ErrorClass::Cancelled
        {
            return Err(failure.clone());
        }
        let wanted = [&check.sarif, &check.junit, &check.json].into_iter().flatten();
        let reports = wanted.map(|path| (path.clone(), folder.report(path))).collect();
        let words = if stderr.trim().is_empty() { &stdout } else { &stderr };
        let skip = words.trim_end().chars().count().saturating_sub(SHOWN_CHARS_MAX / 4);
        Ok(Checked { ended: how, last_words: words.trim_end().chars().skip(skip).collect(), reports })
    }
}

impl Folder {
    /// Puts in files as they are.
    fn put(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<(), Failure> {
        for (path, content) in files {
            let place = self.work().join(confine::relative(path)?);
            let parent = place.parent().map(std::path::Path::to_path_buf).unwrap_or_else(|| self.work());
            let written = std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&place, content));
            written.map_err(|e| confine::failure(path, &e))?;
        }
        Ok(())
    }

    /// A report the command left.
    fn report(&self, path: &str) -> Result<Vec<u8>, Failure> {
        confine::read(&self.inside(path)?, path, REPORT_BYTES_MAX)
    }
}
