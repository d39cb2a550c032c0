//! Sessions in a browser: opened once by the link that is printed at the start, kept in memory alone, over with the process.

use super::keys::same;
use crate::api::ApiError;
use crate::local::token;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long the link may be used.
const LINK_LASTS: Duration = Duration::from_secs(10 * 60);
/// How long a session lasts.
pub(crate) const SESSION_LASTS: Duration = Duration::from_secs(12 * 3600);
/// How many sessions are kept; the oldest gives way.
const SESSIONS_MAX: usize = 100;
/// The name of the cookie.
pub(crate) const COOKIE: &str = "ephor_session";

/// The link that is not used yet, and the sessions that are open.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    link: Option<(String, Instant)>,
    open: VecDeque<(String, Instant)>,
}

impl Sessions {
    /// The code of a new link; an older one is worth nothing any more.
    pub(crate) fn link(&self) -> Result<String, ApiError> {
        let code = token::random("login")?;
        self.state().link = Some((code.clone(), Instant::now() + LINK_LASTS));
        Ok(code)
    }

    /// Opens a session for whoever has the code of the link. It works once.
    pub(crate) fn open(&self, code: &str) -> Result<Option<String>, ApiError> {
        let mut state = self.state();
        if !state.link.as_ref().is_some_and(|(known, until)| *until > Instant::now() && same(known, code)) {
            return Ok(None);
        }
        let session = token::random("session")?;
        state.link = None;
        while state.open.len() >= SESSIONS_MAX {
            state.open.pop_front();
        }
        state.open.push_back((session.clone(), Instant::now() + SESSION_LASTS));
        Ok(Some(session))
    }

    /// Whether this session is open.
    pub(crate) fn holds(&self, session: &str) -> bool {
        let mut state = self.state();
        state.open.retain(|(_, until)| *until > Instant::now());
        state.open.iter().any(|(known, _)| same(known, session))
    }

    /// Ends a session.
    pub(crate) fn close(&self, session: &str) {
        self.state().open.retain(|(known, _)| !same(known, session));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_link_works_once_and_for_ten_minutes_and_a_session_for_half_a_day() {
        let sessions = Sessions::default();
        let code = sessions.link().unwrap();
        assert_eq!(sessions.open("another").unwrap(), None);
        let session = sessions.open(&code).unwrap().unwrap();
        assert_eq!(sessions.open(&code).unwrap(), None);
        assert!(sessions.holds(&session) && !sessions.holds("another"));
        tokio::time::advance(SESSION_LASTS).await;
        assert!(!sessions.holds(&session));
        let late = sessions.link().unwrap();
        tokio::time::advance(LINK_LASTS).await;
        assert_eq!(sessions.open(&late).unwrap(), None);
    }

    #[test]
    fn a_closed_session_is_over_and_there_are_only_so_many() {
        let sessions = Sessions::default();
        let mut open = Vec::new();
        for _ in 0..=SESSIONS_MAX {
            open.push(sessions.open(&sessions.link().unwrap()).unwrap().unwrap());
        }
        assert!(!sessions.holds(&open[0]) && sessions.holds(&open[1]));
        sessions.close(&open[1]);
        assert!(!sessions.holds(&open[1]));
    }
}
