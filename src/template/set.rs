//! Templates by name.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::ast::Template;
use super::func::FuncTable;
use super::{Error, Mentions, parse};
use crate::value::Str;

/// Templates that may call each other by name, and the functions they may use.
///
/// A clone shares all templates; what is parsed into it stays there. Both cost nothing in the number of templates:
/// each `tpl` of a chart runs in a clone of its own.
#[derive(Clone)]
pub struct Set {
    name: Arc<str>,
    funcs: Arc<FuncTable>,
    top: Arc<Layer>,
}

/// What [`Set::parse_apart`] made of a text: its own template and those it defines, in the order their definitions end.
#[derive(Clone)]
pub struct Parsed(Arc<[Arc<Template>]>);

/// Templates over those of another layer.
#[derive(Default)]
struct Layer {
    templates: HashMap<Str, Arc<Template>>,
    below: Option<Arc<Layer>>,
    /// How many layers are below.
    height: usize,
}

/// Layers above this height are copied together, so that a search never walks far.
const HEIGHT_MAX: usize = 16;

impl Set {
    /// An empty set.
    pub fn new(funcs: Arc<FuncTable>) -> Self {
        Set { name: "".into(), funcs, top: Arc::default() }
    }

    /// The set under a name, which only error texts tell (Go: `template.New(name)`).
    pub fn named(self, name: &str) -> Self {
        Set { name: name.into(), ..self }
    }

    /// The name given by [`Set::named`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Parses a text and adds it under its name, with all templates it defines. Gives back the template of the text
    /// itself.
    ///
    /// # Errors
    /// [`Error::Parse`]. The set is then as before.
    pub fn parse(&mut self, name: impl AsRef<[u8]>, text: impl AsRef<[u8]>) -> Result<Arc<Template>, Error> {
        let name = name.as_ref();
        let parsed = self.parse_apart(name, Bytes::copy_from_slice(text.as_ref()))?;
        self.add(&parsed);
        // A text that is blank beside its definitions may have been left out for a definition of the same name.
        let main = parsed.0.iter().find(|t| t.name.as_bytes() == name).cloned();
        Ok(main.expect("parse gives a template for the text itself"))
    }

    /// Parses a text with the functions of this set, and adds nothing: for [`Set::add`], here or in another set with
    /// the same functions. The trees share the text.
    ///
    /// # Errors
    /// [`Error::Parse`].
    pub fn parse_apart(&self, name: impl AsRef<[u8]>, text: Bytes) -> Result<Parsed, Error> {
        parse::parse(name.as_ref(), text, &self.funcs).map(|templates| Parsed(templates.into()))
    }

    /// Adds the templates of a text. One replaces an earlier one of the same name, but a blank one does not.
    pub fn add(&mut self, parsed: &Parsed) {
        let layer = self.writable_layer();
        for template in parsed.0.iter() {
            if template.is_empty() && layer.get(template.name.as_bytes()).is_some() {
                continue;
            }
            layer.templates.insert(template.name.clone(), template.clone());
        }
    }

    /// The top layer, or a new one where others share it.
    fn writable_layer(&mut self) -> &mut Layer {
        if Arc::get_mut(&mut self.top).is_none() {
            let below = std::mem::take(&mut self.top);
            self.top = Arc::new(if below.height < HEIGHT_MAX {
                Layer { height: below.height + 1, templates: HashMap::new(), below: Some(below) }
            } else {
                Layer { height: 0, templates: below.all(), below: None }
            });
        }
        Arc::get_mut(&mut self.top).expect("the layer was made just now, or nobody else holds it")
    }

    /// Whether there is a template of that name.
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.lookup(name.as_ref()).is_some()
    }

    /// The names of all templates, in order.
    pub fn names(&self) -> Vec<Str> {
        let mut names = BTreeSet::new();
        let mut layer = Some(&self.top);
        while let Some(Layer { templates, below, .. }) = layer.map(Arc::as_ref) {
            names.extend(templates.keys().cloned());
            layer = below.as_ref();
        }
        names.into_iter().collect()
    }

    /// What the texts of all templates name.
    pub fn mentions(&self) -> Mentions {
        let mut mentions = Mentions::default();
        self.top.all().values().for_each(|template| mentions.add(template));
        mentions
    }

    pub(super) fn lookup(&self, name: &[u8]) -> Option<&Arc<Template>> {
        self.top.get(name)
    }
}

impl Layer {
    fn get(&self, name: &[u8]) -> Option<&Arc<Template>> {
        let mut layer = self;
        loop {
            match (layer.templates.get(name), &layer.below) {
                (Some(template), _) => return Some(template),
                (None, Some(below)) => layer = below,
                (None, None) => return None,
            }
        }
    }

    fn all(&self) -> HashMap<Str, Arc<Template>> {
        let mut all = self.below.as_ref().map(|below| below.all()).unwrap_or_default();
        all.extend(self.templates.iter().map(|(name, template)| (name.clone(), template.clone())));
        all
    }
}
