//! Tokens to a document: a flat list of nodes in the order they are written.

use std::borrow::Cow;
use std::collections::HashMap;

use super::error::Error;
use super::reader::Input;
use super::scanner::{Kind, Payload, Scanner};
use super::{DEPTH_MAX, NODES_MAX};

/// A node. The nodes of a collection follow it; those of a mapping are key, value, key, value.
#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) content: Content<'t>,
    pub(super) tag: Tag,
    /// From 0.
    pub(super) line: usize,
    /// The index of the first node after this one and everything in it.
    pub(super) end: usize,
}

#[derive(Debug)]
pub(super) enum Content<'t> {
    /// `is_plain`: its type is found from its text.
    Scalar {
        value: Cow<'t, str>,
        is_plain: bool,
    },
    Sequence,
    Mapping,
    /// Stands for the node at that index.
    Alias {
        name: &'t str,
        target: usize,
    },
}

/// The tags that decide how a scalar is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    None,
    Str,
    Bool,
    Int,
    Float,
    Null,
    Timestamp,
    Binary,
    Merge,
    /// Any other: the scalar is text.
    Other,
}

impl Tag {
    /// As go-yaml names it in errors.
    pub(super) fn short_name(self) -> &'static str {
        match self {
            Tag::None | Tag::Other => "",
            Tag::Str => "!!str",
            Tag::Bool => "!!bool",
            Tag::Int => "!!int",
            Tag::Float => "!!float",
            Tag::Null => "!!null",
            Tag::Timestamp => "!!timestamp",
            Tag::Binary => "!!binary",
            Tag::Merge => "!!merge",
        }
    }

    fn of(long_name: &[u8]) -> Self {
        match long_name.strip_prefix(STANDARD_PREFIX.as_bytes()) {
            Some(b"str") => Tag::Str,
            Some(b"bool") => Tag::Bool,
            Some(b"int") => Tag::Int,
            Some(b"float") => Tag::Float,
            Some(b"null") => Tag::Null,
            Some(b"timestamp") => Tag::Timestamp,
            Some(b"binary") => Tag::Binary,
            Some(b"merge") => Tag::Merge,
            _ => Tag::Other,
        }
    }
}

/// Room for the nodes of a usual manifest; more make more.
const NODES_AT_FIRST: usize = 64;

/// What `!!` stands for.
const STANDARD_PREFIX: &str = "tag:yaml.org,2002:";

/// Whether a node may be written in block style where it stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Flow,
    Block,
    /// In a mapping a sequence need not be indented more than its key.
    BlockInMapping,
}

/// What stands in front of a node.
struct Properties<'t> {
    line: usize,
    anchor: Option<&'t str>,
    tag: Tag,
    /// The tag `!`, which says no more than that there is one.
    is_bare_tag: bool,
}

/// Reads what is in a collection, to its end.
type ReadContent<'t> = fn(&mut Parser<'t>) -> Result<(), Error>;

pub(super) struct Parser<'t> {
    scanner: Scanner<'t>,
    nodes: Vec<Node<'t>>,
    anchors: HashMap<&'t str, usize>,
    /// Handles that `%TAG` defines for the document at hand.
    tag_prefixes: Vec<(&'t str, Vec<u8>)>,
    is_started: bool,
    depth: usize,
}

/// The nodes of one document, the root first, and the line it begins on, from 0.
pub(super) struct Document<'t> {
    pub(super) nodes: Vec<Node<'t>>,
    pub(super) line: usize,
}

impl<'t> Parser<'t> {
    pub(super) fn new(input: &'t Input<'_>) -> Self {
        Parser {
            scanner: Scanner::new(input),
            nodes: Vec::with_capacity(NODES_AT_FIRST.min(input.text.len() / 4)),
            anchors: HashMap::new(),
            tag_prefixes: Vec::new(),
            is_started: false,
            depth: 0,
        }
    }

    /// The next document of the stream; `None` at its end.
    pub(super) fn next_document(&mut self) -> Result<Option<Document<'t>>, Error> {
        let is_first = !self.is_started;
        if is_first {
            self.is_started = true;
            self.skip()?;
        } else {
            while self.kind()? == Kind::DocumentEnd {
                self.scanner.take();
            }
        }
        let mut line = self.line()?;
        match self.kind()? {
            Kind::StreamEnd => return Ok(None),
            Kind::VersionDirective | Kind::TagDirective | Kind::DocumentStart => {
                self.read_directives()?;
                line = self.line()?;
                self.read_explicit_root()?;
            }
            _ if is_first => {
                self.read_directives()?;
                self.read_node(Style::Block)?;
            }
            _ => return self.refuse("did not find expected <document start>"),
        }
        if self.kind()? == Kind::DocumentEnd {
            self.scanner.take();
        }
        self.tag_prefixes.clear();
        self.anchors.clear();
        let nodes = std::mem::take(&mut self.nodes);
        if !matches!(&nodes[0].content, Content::Scalar { value, .. } if value.is_empty()) {
            line = nodes[0].line;
        }
        Ok(Some(Document { nodes, line }))
    }

    fn read_explicit_root(&mut self) -> Result<(), Error> {
        if self.kind()? != Kind::DocumentStart {
            return self.refuse("did not find expected <document start>");
        }
        self.scanner.take();
        match self.kind()? {
            Kind::VersionDirective | Kind::TagDirective | Kind::DocumentStart | Kind::DocumentEnd | Kind::StreamEnd => {
                self.add_empty()
            }
            _ => self.read_node(Style::Block),
        }
    }

    fn read_directives(&mut self) -> Result<(), Error> {
        let mut has_version = false;
        loop {
            match self.kind()? {
                Kind::VersionDirective if has_version => return self.refuse("found duplicate %YAML directive"),
                Kind::VersionDirective => {
                    let line = self.line()?;
                    if !matches!(self.scanner.take().payload, Payload::Version(1, 1)) {
                        return Err(Error::parser(line, "found incompatible YAML document"));
                    }
                    has_version = true;
                }
                Kind::TagDirective => {
                    let token = self.scanner.take();
                    let Payload::Tag { handle, suffix } = token.payload else { continue };
                    if self.tag_prefixes.iter().any(|(known, _)| *known == handle) {
                        return Err(Error::parser(token.line, "found duplicate %TAG directive"));
                    }
                    self.tag_prefixes.push((handle, suffix));
                }
                _ => return Ok(()),
            }
        }
    }

    fn kind(&mut self) -> Result<Kind, Error> {
        Ok(self.scanner.peek()?.kind)
    }

    fn line(&mut self) -> Result<usize, Error> {
        Ok(self.scanner.peek()?.line)
    }

    fn skip(&mut self) -> Result<(), Error> {
        self.scanner.peek()?;
        self.scanner.take();
        Ok(())
    }

    /// Refuses the next token.
    fn refuse<T>(&mut self, problem: &str) -> Result<T, Error> {
        Err(Error::parser(self.line()?, problem))
    }

    fn add(&mut self, line: usize, tag: Tag, content: Content<'t>) -> Result<usize, Error> {
        let at = self.nodes.len();
        if at == NODES_MAX {
            return Err(Error::plain(Some(line), format!("exceeded {NODES_MAX} nodes")));
        }
        self.nodes.push(Node { content, tag, line, end: at + 1 });
        Ok(at)
    }

    /// Adds the null that stands where nothing is written.
    fn add_empty(&mut self) -> Result<(), Error> {
        let line = self.line()?;
        self.add(line, Tag::None, Content::Scalar { value: Cow::Borrowed(""), is_plain: true })?;
        Ok(())
    }

    fn read_node(&mut self, style: Style) -> Result<(), Error> {
        if self.kind()? == Kind::Alias {
            return self.read_alias();
        }
        let properties = self.read_properties()?;
        let in_block = style != Style::Flow;
        let (content, read_content): (_, ReadContent<'t>) = match self.kind()? {
            Kind::BlockEntry if style == Style::BlockInMapping => (Content::Sequence, Self::read_unindented_sequence),
            Kind::BlockSequenceStart if in_block => (Content::Sequence, Self::read_block_sequence),
            Kind::BlockMappingStart if in_block => (Content::Mapping, Self::read_block_mapping),
            Kind::FlowSequenceStart => (Content::Sequence, Self::read_flow_sequence),
            Kind::FlowMappingStart => (Content::Mapping, Self::read_flow_mapping),
            _ => return self.read_scalar(&properties),
        };
        let at = self.open(&properties, content)?;
        read_content(self)?;
        self.close(at);
        Ok(())
    }

    /// Reads a scalar, or the nothing that an anchor or a tag stands in front of.
    fn read_scalar(&mut self, properties: &Properties<'t>) -> Result<(), Error> {
        let tag = properties.tag;
        let is_scalar = self.kind()? == Kind::Scalar;
        if !is_scalar && properties.anchor.is_none() && tag == Tag::None {
            return self.refuse("did not find expected node content");
        }
        let content = match is_scalar.then(|| self.scanner.take().payload) {
            Some(Payload::Scalar { value, is_plain }) => {
                Content::Scalar { value, is_plain: (tag == Tag::None && is_plain) || properties.is_bare_tag }
            }
            _ => Content::Scalar { value: Cow::Borrowed(""), is_plain: tag == Tag::None },
        };
        let at = self.add(properties.line, tag, content)?;
        self.name(properties.anchor, at);
        Ok(())
    }

    /// Begins a collection, known under its anchor from now on.
    fn open(&mut self, properties: &Properties<'t>, content: Content<'t>) -> Result<usize, Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Error::scanner(properties.line, format!("exceeded max depth of {DEPTH_MAX}")));
        }
        let at = self.add(properties.line, properties.tag, content)?;
        self.name(properties.anchor, at);
        Ok(at)
    }

    fn close(&mut self, at: usize) {
        self.depth -= 1;
        self.nodes[at].end = self.nodes.len();
    }

    fn name(&mut self, anchor: Option<&'t str>, at: usize) {
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor, at);
        }
    }

    fn read_alias(&mut self) -> Result<(), Error> {
        let token = self.scanner.take();
        let Payload::Name(name) = token.payload else { return Ok(()) };
        let Some(&target) = self.anchors.get(name) else {
            return Err(Error::plain(Some(token.line), format!("unknown anchor '{name}' referenced")));
        };
        self.add(token.line, Tag::None, Content::Alias { name, target })?;
        Ok(())
    }

    /// Reads an anchor and a tag, in either order, each at most once.
    fn read_properties(&mut self) -> Result<Properties<'t>, Error> {
        let line = self.line()?;
        let mut anchor = None;
        let mut tag = None;
        loop {
            match self.kind()? {
                Kind::Anchor if anchor.is_none() => {
                    if let Payload::Name(name) = self.scanner.take().payload {
                        anchor = Some(name);
                    }
                }
                Kind::Tag if tag.is_none() => {
                    let token = self.scanner.take();
                    if let Payload::Tag { handle, suffix } = token.payload {
                        tag = Some((token.line, handle, suffix));
                    }
                }
                _ => break,
            }
        }
        let long_name = match tag {
            None => return Ok(Properties { line, anchor, tag: Tag::None, is_bare_tag: false }),
            Some((_, "", name)) => name,
            Some((tag_line, handle, suffix)) => match self.tag_prefix(handle) {
                Some(prefix) => [prefix, &suffix].concat(),
                None => return Err(Error::parser(tag_line, "found undefined tag handle")),
            },
        };
        Ok(Properties { line, anchor, tag: Tag::of(&long_name), is_bare_tag: long_name == b"!" })
    }

    fn tag_prefix(&self, handle: &str) -> Option<&[u8]> {
        let defined = self.tag_prefixes.iter().find(|(known, _)| *known == handle);
        match (defined, handle) {
            (Some((_, prefix)), _) => Some(prefix),
            (None, "!") => Some(b"!"),
            (None, "!!") => Some(STANDARD_PREFIX.as_bytes()),
            _ => None,
        }
    }

    fn read_block_sequence(&mut self) -> Result<(), Error> {
        self.scanner.take();
        loop {
            match self.kind()? {
                Kind::BlockEntry => {
                    self.scanner.take();
                    match self.kind()? {
                        Kind::BlockEntry | Kind::BlockEnd => self.add_empty()?,
                        _ => self.read_node(Style::Block)?,
                    }
                }
                Kind::BlockEnd => {
                    self.scanner.take();
                    return Ok(());
                }
                _ => return self.refuse("did not find expected '-' indicator"),
            }
        }
    }

    /// Reads the entries of a sequence that stands at the column of its key.
    fn read_unindented_sequence(&mut self) -> Result<(), Error> {
        while self.kind()? == Kind::BlockEntry {
            self.scanner.take();
            match self.kind()? {
                Kind::BlockEntry | Kind::Key | Kind::Value | Kind::BlockEnd => self.add_empty()?,
                _ => self.read_node(Style::Block)?,
            }
        }
        Ok(())
    }

    fn read_block_mapping(&mut self) -> Result<(), Error> {
        self.scanner.take();
        loop {
            match self.kind()? {
                Kind::Key => {
                    self.scanner.take();
                    self.read_block_mapping_node()?;
                    if self.kind()? == Kind::Value {
                        self.scanner.take();
                        self.read_block_mapping_node()?;
                    } else {
                        self.add_empty()?;
                    }
                }
                Kind::BlockEnd => {
                    self.scanner.take();
                    return Ok(());
                }
                _ => return self.refuse("did not find expected key"),
            }
        }
    }

    fn read_block_mapping_node(&mut self) -> Result<(), Error> {
        match self.kind()? {
            Kind::Key | Kind::Value | Kind::BlockEnd => self.add_empty(),
            _ => self.read_node(Style::BlockInMapping),
        }
    }

    fn read_flow_sequence(&mut self) -> Result<(), Error> {
        self.scanner.take();
        let mut is_first = true;
        while self.kind()? != Kind::FlowSequenceEnd {
            if !is_first {
                if self.kind()? != Kind::FlowEntry {
                    return self.refuse("did not find expected ',' or ']'");
                }
                self.scanner.take();
            }
            is_first = false;
            match self.kind()? {
                Kind::Key => self.read_single_pair()?,
                Kind::FlowSequenceEnd => {}
                _ => self.read_node(Style::Flow)?,
            }
        }
        self.scanner.take();
        Ok(())
    }

    /// Reads a pair that stands in a sequence without braces: `[key: value]` holds one mapping.
    fn read_single_pair(&mut self) -> Result<(), Error> {
        let line = self.scanner.take().line;
        let at = self.open(&Properties { line, anchor: None, tag: Tag::None, is_bare_tag: false }, Content::Mapping)?;
        match self.kind()? {
            // go-yaml passes over the token that shows that the key is empty.
            Kind::Value | Kind::FlowEntry | Kind::FlowSequenceEnd => {
                self.scanner.take();
                let value = Cow::Borrowed("");
                self.add(line, Tag::None, Content::Scalar { value, is_plain: true })?;
            }
            _ => self.read_node(Style::Flow)?,
        }
        if self.kind()? == Kind::Value {
            self.scanner.take();
            match self.kind()? {
                Kind::FlowEntry | Kind::FlowSequenceEnd => self.add_empty()?,
                _ => self.read_node(Style::Flow)?,
            }
        } else {
            self.add_empty()?;
        }
        self.close(at);
        Ok(())
    }

    fn read_flow_mapping(&mut self) -> Result<(), Error> {
        self.scanner.take();
        let mut is_first = true;
        while self.kind()? != Kind::FlowMappingEnd {
            if !is_first {
                if self.kind()? != Kind::FlowEntry {
                    return self.refuse("did not find expected ',' or '}'");
                }
                self.scanner.take();
            }
            is_first = false;
            match self.kind()? {
                Kind::Key => {
                    self.scanner.take();
                    self.read_flow_mapping_pair()?;
                }
                Kind::FlowMappingEnd => {}
                _ => {
                    // A key without a colon.
                    self.read_node(Style::Flow)?;
                    self.add_empty()?;
                }
            }
        }
        self.scanner.take();
        Ok(())
    }

    fn read_flow_mapping_pair(&mut self) -> Result<(), Error> {
        match self.kind()? {
            Kind::Value | Kind::FlowEntry | Kind::FlowMappingEnd => self.add_empty()?,
            _ => self.read_node(Style::Flow)?,
        }
        if self.kind()? != Kind::Value {
            return self.add_empty();
        }
        self.scanner.take();
        match self.kind()? {
            Kind::FlowEntry | Kind::FlowMappingEnd => self.add_empty(),
            _ => self.read_node(Style::Flow),
        }
    }
}
