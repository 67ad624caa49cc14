//! Parsed templates kept from one render of a chart to the next: parsing is a large part of the work of a render.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::template::{Error, Parsed, Set};

/// The templates of one chart that were parsed already. Empty it costs a render nothing, shared between the renders of
/// a chart it spares all but the first one the parsing; it never grows beyond the files of the chart.
#[derive(Default)]
pub struct ParsedTemplates(Mutex<HashMap<String, (Bytes, Parsed)>>);

impl ParsedTemplates {
    /// The templates of the file at that path, parsed with the functions of `set` unless they are known. A file of
    /// another text takes the place of the known one.
    pub(super) fn get_or_parse(&self, set: &Set, path: &str, text: &Bytes) -> Result<Parsed, Error> {
        if let Some((known, parsed)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path)
            && known == text
        {
            return Ok(parsed.clone());
        }
        let parsed = set.parse_apart(path, text.clone())?;
        let entry = (text.clone(), parsed.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), entry);
        Ok(parsed)
    }
}
