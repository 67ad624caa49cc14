//! The tree of a parsed template.
//!
//! Printing a node gives the text that Go's error messages show; for that nodes keep their source text as spans. Trees
//! are kept between renders, so they are small: spans instead of texts, and no vector has room to spare.

use std::sync::Arc;

use bytes::Bytes;

use super::builtin::Builtin;
use super::func::Func;
use crate::value::{Str, strconv};

/// One parsed text: a file, or what was given to `tpl`. The templates it defines share it.
#[derive(Debug)]
pub(super) struct Source {
    /// The name the text was parsed under.
    pub(super) name: Str,
    pub(super) text: Bytes,
}

/// A template: what stands between `define` and its `end`, or a whole text without its definitions.
pub struct Template {
    pub(super) name: Str,
    pub(super) source: Arc<Source>,
    pub(super) root: List,
}

/// Byte offset in the source text.
pub(super) type Pos = u32;

/// A part of the source text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: Pos,
    pub(super) end: Pos,
}

pub(super) type List = Box<[Node]>;

/// What a template consists of.
pub(super) enum Node {
    Text(Span),
    Action { pos: Pos, pipe: Pipe },
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { pos: Pos, name: Str, pipe: Option<Pipe> },
    Break,
    Continue,
}

/// `if`, `with` and `range`.
pub(super) struct Branch {
    pub(super) pos: Pos,
    pub(super) pipe: Pipe,
    pub(super) list: List,
    pub(super) else_list: Option<List>,
}

/// Commands joined by `|`, and the variables that take the result.
pub(super) struct Pipe {
    pub(super) pos: Pos,
    pub(super) is_assign: bool,
    pub(super) declarations: Box<[Declared]>,
    pub(super) commands: Box<[Command]>,
}

/// A variable on the left of `:=` or `=`.
pub(super) struct Declared {
    pub(super) variable: VariableId,
    pub(super) name: Span,
}

/// Variables of the same name share a number within one source; `$` is 0.
pub(super) type VariableId = u32;

/// A function or an operand with its arguments. Never empty.
pub(super) struct Command {
    pub(super) pos: Pos,
    pub(super) terms: Box<[Term]>,
}

/// An operand.
pub(super) enum Term {
    Identifier {
        name: Span,
        callee: Callee,
    },
    Dot {
        pos: Pos,
    },
    Nil {
        pos: Pos,
    },
    Bool {
        pos: Pos,
        value: bool,
    },
    Number(Box<Number>),
    String {
        quoted: Span,
        value: Str,
    },
    /// `.a.b`
    Field {
        pos: Pos,
        names: Box<[Span]>,
    },
    /// `$x.a.b`
    Variable {
        pos: Pos,
        variable: VariableId,
        name: Span,
        fields: Box<[Span]>,
    },
    /// `(…).a.b` or `function.a.b`
    Chain {
        pos: Pos,
        operand: Box<Term>,
        fields: Box<[Span]>,
    },
    /// `(…)`
    Pipe(Box<Pipe>),
}

/// A number constant under all the types that can hold it.
pub(super) struct Number {
    pub(super) text: Span,
    pub(super) int: Option<i64>,
    pub(super) uint: Option<u64>,
    pub(super) float: Option<f64>,
    pub(super) ideal: Ideal,
}

/// What a number constant is where nothing asks for a type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ideal {
    Int(i64),
    Float(f64),
    /// Fits an unsigned integer only.
    Overflow,
    /// Written as an imaginary or complex number.
    Complex,
}

/// What a function's name stands for, found while parsing.
#[derive(Clone, Copy)]
pub(super) enum Callee {
    Builtin(Builtin),
    Func(&'static Func),
}

impl Source {
    pub(super) fn bytes(&self, span: Span) -> &[u8] {
        span.of(&self.text)
    }

    /// The name that stands there: it consists of letters and digits, so it is UTF-8.
    pub(super) fn word(&self, span: Span) -> &str {
        std::str::from_utf8(self.bytes(span)).unwrap_or_default()
    }
}

impl Span {
    pub(super) fn of(self, source: &[u8]) -> &[u8] {
        &source[self.start as usize..self.end as usize]
    }
}

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Vec::new();
        write_list(&self.root, &self.source.text, &mut text);
        write!(f, "Template {:?} of {:?}: {}", self.name, self.source.name, String::from_utf8_lossy(&text))
    }
}

impl Template {
    /// Whether it holds nothing but white space.
    pub(super) fn is_empty(&self) -> bool {
        self.root.iter().all(|node| match node {
            Node::Text(span) => is_blank(self.source.bytes(*span)),
            _ => false,
        })
    }
}

/// Whether the text is white space as `bytes.TrimSpace` takes it, Unicode spaces among them.
fn is_blank(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.chars().all(char::is_whitespace))
}

impl Term {
    pub(super) fn pos(&self) -> Pos {
        match self {
            Term::Identifier { name: span, .. } | Term::String { quoted: span, .. } => span.start,
            Term::Number(number) => number.text.start,
            Term::Dot { pos }
            | Term::Nil { pos }
            | Term::Bool { pos, .. }
            | Term::Field { pos, .. }
            | Term::Variable { pos, .. }
            | Term::Chain { pos, .. } => *pos,
            Term::Pipe(pipe) => pipe.pos,
        }
    }

    pub(super) fn write(&self, source: &[u8], out: &mut Vec<u8>) {
        match self {
            Term::Identifier { name, .. } => out.extend_from_slice(name.of(source)),
            Term::Dot { .. } => out.push(b'.'),
            Term::Nil { .. } => out.extend_from_slice(b"nil"),
            Term::Bool { value, .. } => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Term::Number(number) => out.extend_from_slice(number.text.of(source)),
            Term::String { quoted, .. } => out.extend_from_slice(quoted.of(source)),
            Term::Field { names, .. } => write_fields(names, source, out),
            Term::Variable { name, fields, .. } => {
                out.extend_from_slice(name.of(source));
                write_fields(fields, source, out);
            }
            Term::Chain { operand, fields, .. } => {
                operand.write_in_parentheses(source, out);
                write_fields(fields, source, out);
            }
            Term::Pipe(pipe) => pipe.write(source, out),
        }
    }

    fn write_in_parentheses(&self, source: &[u8], out: &mut Vec<u8>) {
        match self {
            Term::Pipe(pipe) => {
                out.push(b'(');
                pipe.write(source, out);
                out.push(b')');
            }
            _ => self.write(source, out),
        }
    }
}

fn write_fields(fields: &[Span], source: &[u8], out: &mut Vec<u8>) {
    for field in fields {
        out.push(b'.');
        out.extend_from_slice(field.of(source));
    }
}

impl Command {
    pub(super) fn write(&self, source: &[u8], out: &mut Vec<u8>) {
        for (i, term) in self.terms.iter().enumerate() {
            if i > 0 {
                out.push(b' ');
            }
            term.write_in_parentheses(source, out);
        }
    }
}

impl Pipe {
    pub(super) fn write(&self, source: &[u8], out: &mut Vec<u8>) {
        for (i, declared) in self.declarations.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b", ");
            }
            out.extend_from_slice(declared.name.of(source));
        }
        if !self.declarations.is_empty() {
            out.extend_from_slice(if self.is_assign { b" = " } else { b" := " });
        }
        for (i, command) in self.commands.iter().enumerate() {
            if i > 0 {
                out.extend_from_slice(b" | ");
            }
            command.write(source, out);
        }
    }
}

impl Node {
    pub(super) fn write(&self, source: &[u8], out: &mut Vec<u8>) {
        match self {
            Node::Text(range) => out.extend_from_slice(range.of(source)),
            Node::Action { pipe, .. } => {
                out.extend_from_slice(b"{{");
                pipe.write(source, out);
                out.extend_from_slice(b"}}");
            }
            Node::If(branch) => branch.write("if", source, out),
            Node::With(branch) => branch.write("with", source, out),
            Node::Range(branch) => branch.write("range", source, out),
            Node::Template { name, pipe, .. } => {
                out.extend_from_slice(b"{{template ");
                out.extend_from_slice(&strconv::quote(name.as_bytes()));
                if let Some(pipe) = pipe {
                    out.push(b' ');
                    pipe.write(source, out);
                }
                out.extend_from_slice(b"}}");
            }
            Node::Break => out.extend_from_slice(b"{{break}}"),
            Node::Continue => out.extend_from_slice(b"{{continue}}"),
        }
    }
}

impl Branch {
    pub(super) fn write(&self, keyword: &str, source: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{{{{{keyword} ").as_bytes());
        self.pipe.write(source, out);
        out.extend_from_slice(b"}}");
        write_list(&self.list, source, out);
        if let Some(else_list) = &self.else_list {
            out.extend_from_slice(b"{{else}}");
            write_list(else_list, source, out);
        }
        out.extend_from_slice(b"{{end}}");
    }
}

fn write_list(list: &[Node], source: &[u8], out: &mut Vec<u8>) {
    for node in list {
        node.write(source, out);
    }
}
