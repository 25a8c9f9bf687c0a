//! The Backup Log, judged line by line: pages of it, and all of it to be taken away.
//!
//! The verdict is in no database. Where it decides which lines are wanted, lines are read and judged
//! until there are enough of them; a page begins and ends at places in the log all the same, so that
//! no line is on two pages and none on no page.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{Stream, stream};

use super::{Gate, judging::Judged, permit::SignedIn};
use crate::{
    audit::Action,
    portal::{errors::Error, request::Request},
    store::{
        self, Cursor,
        backups::{Backup, LogQuery},
        browse::Position,
    },
};

/// How many lines are read and judged at once where many may not be wanted.
const AT_ONCE: usize = 100;

/// A page of the log.
pub(in crate::portal) struct LogPage {
    /// Its lines.
    pub(in crate::portal) lines: Vec<Judged>,
    /// Where the page before it ends.
    pub(in crate::portal) previous: Option<Cursor>,
    /// Where the page after it begins.
    pub(in crate::portal) next: Option<Cursor>,
    /// How many lines there are on all pages; nothing where only judging each would tell.
    pub(in crate::portal) total: Option<u64>,
}

impl SignedIn {
    /// A page of the Backup Log. `detail` says in the audit log what was looked for.
    pub(in crate::portal) async fn backup_log(
        &self,
        request: &Request,
        query: &LogQuery,
        position: &Position,
        limit: usize,
        detail: Option<String>,
    ) -> Result<LogPage, Error> {
        self.write_down(request, Action::List, "/retention/backups", detail).await?;
        let is_judged = query.condition.is_some_and(|condition| condition.is_judged());
        let total = match is_judged {
            true => None,
            false => Some(self.gate.store.count_log(query).await?),
        };
        let mut walk = Walk::new(&self.gate, query, position);
        let mut lines = Vec::new();
        while lines.len() <= limit {
            match walk.go_on(limit + 1 - lines.len()).await? {
                Some(more) => lines.extend(more),
                None => break,
            }
        }
        let more = lines.len() > limit;
        lines.truncate(limit);
        if walk.backwards {
            lines.reverse();
        }
        let place = |line: &Judged| query.place(&line.backup, line.condition());
        let (before, after) = position.neighbours(more);
        Ok(LogPage {
            previous: lines.first().filter(|_| before).map(place),
            next: lines.last().filter(|_| after).map(place),
            lines,
            total,
        })
    }

    /// All lines that a filter finds, some at a time. It is in the audit log before there is one.
    pub(in crate::portal) async fn export_log(
        &self,
        request: &Request,
        query: &LogQuery,
        detail: Option<String>,
    ) -> Result<impl Stream<Item = Result<Vec<Judged>, store::Error>> + Send + use<>, Error> {
        self.write_down(request, Action::Download, request.path(), detail).await?;
        let walk = Walk::new(&self.gate, query, &Position::First);
        Ok(stream::try_unfold(walk, |mut walk| async move {
            Ok(walk.go_on(AT_ONCE).await?.map(|lines| (lines, walk)))
        }))
    }

    /// The last backups that arrived, for the overview.
    pub(in crate::portal) async fn newest_backups(&self, limit: u16) -> Result<Vec<Backup>, Error> {
        Ok(self.gate.store.newest_backups(limit).await?)
    }
}

/// A walk through the log, from a place in it to one of its ends.
struct Walk {
    gate: Arc<Gate>,
    /// What is left to be walked, and from where on.
    segments: VecDeque<(LogQuery, Option<Cursor>)>,
    backwards: bool,
}

impl Walk {
    fn new(gate: &Arc<Gate>, query: &LogQuery, position: &Position) -> Self {
        let (from, backwards) = match position {
            Position::First => (None, false),
            Position::After(cursor) => (Some(cursor), false),
            Position::Before(cursor) => (Some(cursor), true),
            Position::Last => (None, true),
        };
        let segments = query.segments(from, backwards).into();
        Self { gate: Arc::clone(gate), segments, backwards }
    }

    /// The next lines that are wanted, perhaps none of those that were looked at; nothing at the end.
    async fn go_on(&mut self, wanted: usize) -> Result<Option<Vec<Judged>>, store::Error> {
        let Some((query, from)) = self.segments.front_mut() else { return Ok(None) };
        let judged = query.condition.filter(|condition| condition.is_judged());
        let limit = if judged.is_some() { AT_ONCE } else { wanted };
        let store = &self.gate.store;
        let lines = store.log_lines(query, from.as_ref(), self.backwards, limit).await?;
        let is_over = lines.len() < limit;
        let mut lines = self.gate.judge_all(lines).await?;
        // The place of a line that is not wanted is one in this walk as well.
        let place = |line: &Judged| {
            query.place(&line.backup, query.condition.unwrap_or_else(|| line.condition()))
        };
        *from = lines.last().map(place);
        if let Some(condition) = judged {
            lines.retain(|line| line.condition() == condition);
        }
        if is_over {
            self.segments.pop_front();
        }
        Ok(Some(lines))
    }
}
