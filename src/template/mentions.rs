//! What the texts of templates name, whether or not they run: fields, and words between quotes.

use super::ast::{Branch, List, Node, Pipe, Span, Template, Term};
use crate::value::Str;

/// Fields and quoted words of a number of templates.
#[derive(Clone, Debug, Default)]
pub struct Mentions {
    pub chains: Vec<Chain>,
    /// The strings between quotes, which may be keys for `index`, `get`, `dig` and the like.
    pub words: Vec<Str>,
}

/// Fields one after the other: `.a.b`, `$x.a.b`, `(…).a.b`.
#[derive(Clone, Debug)]
pub struct Chain {
    pub names: Vec<Box<str>>,
    /// The name of the text it stands in: the file.
    pub source_name: Str,
    /// In bytes from the start of the text, as in [`super::func::Spot`].
    pub position: usize,
}

impl Mentions {
    /// Adds what a template names.
    pub(super) fn add(&mut self, template: &Template) {
        Reader { mentions: self, template }.list(&template.root);
    }
}

struct Reader<'m> {
    mentions: &'m mut Mentions,
    template: &'m Template,
}

impl Reader<'_> {
    fn list(&mut self, list: &List) {
        for node in list {
            match node {
                Node::Text(_) | Node::Break | Node::Continue => {}
                Node::Action { pipe, .. } => self.pipe(pipe),
                Node::If(branch) | Node::With(branch) | Node::Range(branch) => self.branch(branch),
                Node::Template { pipe, .. } => pipe.iter().for_each(|pipe| self.pipe(pipe)),
            }
        }
    }

    fn branch(&mut self, branch: &Branch) {
        self.pipe(&branch.pipe);
        self.list(&branch.list);
        branch.else_list.iter().for_each(|list| self.list(list));
    }

    fn pipe(&mut self, pipe: &Pipe) {
        pipe.commands.iter().flat_map(|command| &command.terms).for_each(|term| self.term(term));
    }

    fn term(&mut self, term: &Term) {
        match term {
            Term::Identifier { .. } | Term::Dot { .. } | Term::Nil { .. } | Term::Bool { .. } | Term::Number(_) => {}
            Term::String { value, .. } => self.mentions.words.push(value.clone()),
            Term::Field { names, .. } => self.chain(names, term),
            Term::Variable { fields, .. } => self.chain(fields, term),
            Term::Chain { operand, fields, .. } => {
                self.term(operand);
                self.chain(fields, term);
            }
            Term::Pipe(pipe) => self.pipe(pipe),
        }
    }

    fn chain(&mut self, names: &[Span], term: &Term) {
        if !names.is_empty() {
            let source = &self.template.source;
            let names = names.iter().map(|name| source.word(*name).into()).collect();
            let position = term.pos() as usize;
            self.mentions.chains.push(Chain { names, source_name: source.name.clone(), position });
        }
    }
}
