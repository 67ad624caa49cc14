//! Parsed templates kept from one render of a chart to the next: parsing is a large part of the work of a render.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::template::{Error, Parsed, Set};

/// From this size of all texts on, a second thread saves more than its start costs.
const HELP_BYTES_MIN: usize = 128 << 10;

/// The templates of one chart that were parsed already. Empty it costs a render nothing, shared between the renders of
/// a chart it spares all but the first one the parsing; it never grows beyond the files of the chart.
#[derive(Default)]
pub struct ParsedTemplates(Mutex<HashMap<String, (Bytes, Parsed)>>);

impl ParsedTemplates {
    /// The templates of the file at that path, parsed with the functions of `set` unless they are known. A file of
    /// another text takes the place of the known one.
    pub(super) fn get_or_parse(&self, set: &Set, path: &str, text: &Bytes) -> Result<Parsed, Error> {
        if let Some((known, parsed)) = self.files().get(path)
            && known == text
        {
            return Ok(parsed.clone());
        }
        let parsed = set.parse_apart(path, text.clone())?;
        self.files().insert(path.to_owned(), (text.clone(), parsed.clone()));
        Ok(parsed)
    }

    /// Runs `work`, which asks for the templates of these files in this order; meanwhile a second thread parses them from
    /// the other end, so that the two meet in the middle.
    ///
    /// What the second thread finds wrong it keeps to itself: `work` comes to the first fault by itself.
    pub(super) fn with_help<T>(&self, set: &Set, texts: &[(&str, &Bytes)], work: impl FnOnce() -> T) -> T {
        let bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
        if bytes < HELP_BYTES_MIN || !self.files().is_empty() {
            return work();
        }
        let is_over = AtomicBool::new(false);
        let help = || {
            for (path, text) in texts.iter().rev() {
                let is_met = self.files().contains_key(*path);
                if is_met || is_over.load(Ordering::Relaxed) || self.get_or_parse(set, path, text).is_err() {
                    break;
                }
            }
        };
        std::thread::scope(|scope| {
            // Without a second thread it takes longer, no more.
            let _ = std::thread::Builder::new().name("parse".into()).spawn_scoped(scope, help);
            let outcome = work();
            is_over.store(true, Ordering::Relaxed);
            outcome
        })
    }

    fn files(&self) -> MutexGuard<'_, HashMap<String, (Bytes, Parsed)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
