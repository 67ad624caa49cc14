//! From tokens to trees. Functions are looked up here, once.

use std::sync::Arc;

use bytes::Bytes;

use super::Error;
use super::ast::{
    Branch, Callee, Command, Declared, Ideal, List, Node, Number, Pipe, Pos, Source, Span, Template, Term, VariableId,
};
use super::builtin::Builtin;
use super::func::FuncTable;
use super::lex::{Kind, Lexer, Token};
use super::stack::Stack;
use crate::value::{Str, strconv};

/// Parentheses may be nested this deep, as in Go.
const PAREN_DEPTH_MAX: usize = 10_000;

/// How many variables one text may declare. They are looked up one by one.
const VARIABLES_MAX: usize = 5_000;

/// The stack parsing may use: it runs on threads of any kind, and the tree it makes is walked by recursion too.
const PARSE_STACK_BYTES: usize = 1 << 20;

/// All templates of one text, in the order their definitions end; the text itself comes last.
pub(super) fn parse(name: &[u8], text: Bytes, funcs: &FuncTable) -> Result<Vec<Arc<Template>>, Error> {
    let source = Arc::new(Source { name: name.into(), text });
    if Pos::try_from(source.text.len()).is_err() {
        let source_name = source.name.to_text().into_owned();
        return Err(Error::Parse { source_name, line: 1, message: "text of more than 4 GiB".into() });
    }
    let mut lexer = Lexer::new(&source.text);
    lexer.break_is_function = funcs.0.contains_key("break");
    lexer.continue_is_function = funcs.0.contains_key("continue");
    let mut shared = Shared {
        lexer,
        source: &source,
        funcs,
        templates: Vec::new(),
        variables: vec![b"$"],
        nodes: Vec::new(),
        commands: Vec::new(),
        terms: Vec::new(),
        fields: Vec::new(),
        stack: Stack::new(PARSE_STACK_BYTES),
    };
    Parser::new(&mut shared).text(name)?;
    Ok(shared.templates)
}

/// What the parsers of one text share.
struct Shared<'t> {
    lexer: Lexer<'t>,
    source: &'t Arc<Source>,
    funcs: &'t FuncTable,
    templates: Vec<Arc<Template>>,
    /// The names of all variables; their numbers are their places.
    variables: Vec<&'t [u8]>,
    /// What the lists, pipelines and commands being read have so far, the innermost last: each takes its own off the end
    /// when it is complete, and needs no more room than that.
    nodes: Vec<Node>,
    commands: Vec<Command>,
    terms: Vec<Term>,
    /// The names of the fields being read.
    fields: Vec<Span>,
    stack: Stack,
}

/// Parses one template; definitions inside it get a parser of their own.
struct Parser<'p, 't> {
    shared: &'p mut Shared<'t>,
    /// Tokens read ahead, the newest first. The newest also tells the line of an error.
    tokens: [Token<'t>; 3],
    peek_count: usize,
    /// Variables that may be used at this place.
    visible: Vec<VariableId>,
    /// Where the current action started.
    action: Option<usize>,
    range_depth: usize,
    paren_depth: usize,
}

/// What ended a list of nodes.
enum Terminator {
    End,
    /// The token `if` or `with` may be pending after it.
    Else,
}

impl Terminator {
    fn describe(&self) -> &'static str {
        match self {
            Terminator::End => "{{end}}",
            Terminator::Else => "{{else}}",
        }
    }
}

enum Item {
    Node(Node),
    Terminator(Terminator),
}

type Parsed<T> = Result<T, Error>;

impl<'p, 't> Parser<'p, 't> {
    fn new(shared: &'p mut Shared<'t>) -> Self {
        let nothing = Token { kind: Kind::Error, pos: 0, text: b"" };
        Parser {
            shared,
            tokens: [nothing; 3],
            peek_count: 0,
            visible: vec![0],
            action: None,
            range_depth: 0,
            paren_depth: 0,
        }
    }

    fn next(&mut self) -> Token<'t> {
        if self.peek_count > 0 {
            self.peek_count -= 1;
        } else {
            self.tokens[0] = self.shared.lexer.next_token();
        }
        self.tokens[self.peek_count]
    }

    fn backup(&mut self) {
        self.peek_count += 1;
    }

    /// Puts back the newest token and the one before it.
    fn backup2(&mut self, before: Token<'t>) {
        self.tokens[1] = before;
        self.peek_count = 2;
    }

    /// Puts back the newest token and the two before it.
    fn backup3(&mut self, first: Token<'t>, second: Token<'t>) {
        self.tokens[1] = second;
        self.tokens[2] = first;
        self.peek_count = 3;
    }

    fn peek(&mut self) -> Token<'t> {
        if self.peek_count == 0 {
            self.peek_count = 1;
            self.tokens[0] = self.shared.lexer.next_token();
        }
        self.tokens[self.peek_count - 1]
    }

    fn next_non_space(&mut self) -> Token<'t> {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_non_space(&mut self) -> Token<'t> {
        let token = self.next_non_space();
        self.backup();
        token
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token<'t>> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { Err(self.unexpected(token, context)) }
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error::Parse {
            source_name: self.shared.source.name.to_text().into_owned(),
            line: self.line(self.tokens[0].pos),
            message: message.into(),
        }
    }

    fn line(&self, pos: usize) -> usize {
        1 + count_lines(&self.shared.source.text[..pos])
    }

    fn unexpected(&self, token: Token<'_>, context: &str) -> Error {
        let Some(fault) = self.shared.lexer.fault.as_ref().filter(|_| token.kind == Kind::Error) else {
            return self.error(format!("unexpected {} in {context}", token.describe()));
        };
        let Some(line) = self.action.map(|pos| self.line(pos)).filter(|line| *line != self.line(token.pos)) else {
            return self.error(fault);
        };
        // "unclosed action in action" would say it twice.
        let joint = if fault.ends_with(" action") { "" } else { " in action" };
        self.error(format!("{fault}{joint} started at {}:{line}", self.shared.source.name.to_text()))
    }

    fn span(token: Token<'_>) -> Span {
        // The text as a whole fits, so what is in it does.
        Span { start: token.pos as Pos, end: (token.pos + token.text.len()) as Pos }
    }

    /// The whole text, definitions included.
    fn text(&mut self, name: &[u8]) -> Parsed<()> {
        let mark = self.shared.nodes.len();
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim {
                let delim = self.next();
                if self.next_non_space().kind == Kind::Define {
                    Parser::new(self.shared).definition()?;
                    continue;
                }
                self.backup2(delim);
            }
            match self.text_or_action()? {
                Item::Node(node) => self.shared.nodes.push(node),
                Item::Terminator(terminator) => {
                    return Err(self.error(format!("unexpected {}", terminator.describe())));
                }
            }
        }
        let root = take_off(&mut self.shared.nodes, mark);
        self.add(name.into(), root)
    }

    /// Adds a template. The same name with two bodies in one text is an error; blank bodies do not count.
    fn add(&mut self, name: Str, root: List) -> Parsed<()> {
        let template = Template { name, source: self.shared.source.clone(), root };
        let templates = &mut self.shared.templates;
        match templates.iter().position(|t| t.name == template.name) {
            None => templates.push(Arc::new(template)),
            Some(place) if templates[place].is_empty() => {
                templates.remove(place);
                templates.push(Arc::new(template));
            }
            Some(_) if template.is_empty() => {}
            Some(_) => {
                let quoted = strconv::quote(template.name.as_bytes());
                let quoted = String::from_utf8_lossy(&quoted);
                return Err(self.error(format!("template: multiple definition of template {quoted}")));
            }
        }
        Ok(())
    }

    /// `{{define "name"}} … {{end}}`; the keyword is past.
    fn definition(&mut self) -> Parsed<()> {
        const CONTEXT: &str = "define clause";
        let token = self.next_non_space();
        let name = self.template_name(token, CONTEXT)?;
        self.expect(Kind::RightDelim, CONTEXT)?;
        self.body(name, CONTEXT)
    }

    fn body(&mut self, name: Str, context: &str) -> Parsed<()> {
        match self.list()? {
            (root, Terminator::End) => self.add(name, root),
            (_, terminator) => Err(self.wrong_end(&terminator, context)),
        }
    }

    fn wrong_end(&self, terminator: &Terminator, context: &str) -> Error {
        self.error(format!("unexpected {} in {context}", terminator.describe()))
    }

    /// Nodes up to `{{end}}` or `{{else}}`.
    fn list(&mut self) -> Parsed<(List, Terminator)> {
        if self.shared.stack.is_spent() {
            // Reads ahead, so that the error has the line of a token.
            self.peek_non_space();
            return Err(self.error("max nesting depth exceeded"));
        }
        let mark = self.shared.nodes.len();
        while self.peek_non_space().kind != Kind::Eof {
            match self.text_or_action()? {
                Item::Node(node) => self.shared.nodes.push(node),
                Item::Terminator(terminator) => return Ok((take_off(&mut self.shared.nodes, mark), terminator)),
            }
        }
        Err(self.error("unexpected EOF"))
    }

    fn text_or_action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(Self::span(token)))),
            Kind::LeftDelim => {
                self.action = Some(token.pos);
                let item = self.action()?;
                self.action = None;
                Ok(item)
            }
            _ => Err(self.unexpected(token, "input")),
        }
    }

    /// What stands in an action; its left delimiter is past.
    fn action(&mut self) -> Parsed<Item> {
        let token = self.next_non_space();
        let node = match token.kind {
            Kind::Block => self.block_control()?,
            Kind::Break => self.loop_control("{{break}}", Node::Break)?,
            Kind::Continue => self.loop_control("{{continue}}", Node::Continue)?,
            Kind::Else => return self.else_control().map(Item::Terminator),
            Kind::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::Terminator(Terminator::End));
            }
            Kind::If => Node::If(self.control("if")?),
            Kind::Range => Node::Range(self.control("range")?),
            Kind::Template => self.template_control()?,
            Kind::With => Node::With(self.control("with")?),
            _ => {
                self.backup();
                let pos = self.peek().pos as Pos;
                Node::Action { pos, pipe: self.pipeline("command", Kind::RightDelim)? }
            }
        };
        Ok(Item::Node(node))
    }

    fn loop_control(&mut self, text: &str, node: Node) -> Parsed<Node> {
        self.expect(Kind::RightDelim, text)?;
        if self.range_depth == 0 { Err(self.error(format!("{text} outside {{{{range}}}}"))) } else { Ok(node) }
    }

    /// `if`, `with` or `range`; the keyword is past.
    fn control(&mut self, keyword: &'static str) -> Parsed<Branch> {
        let visible_before = self.visible.len();
        let pipe = self.pipeline(keyword, Kind::RightDelim)?;
        let is_range = keyword == "range";
        self.range_depth += usize::from(is_range);
        let (list, terminator) = self.list()?;
        self.range_depth -= usize::from(is_range);
        let else_list = match terminator {
            Terminator::End => None,
            Terminator::Else => Some(self.else_list(keyword)?),
        };
        self.visible.truncate(visible_before);
        Ok(Branch { pos: pipe.pos, pipe, list, else_list })
    }

    /// `{{else if}}` stands for `{{else}}{{if}}` and takes the same `{{end}}`; `with` likewise.
    fn else_list(&mut self, keyword: &'static str) -> Parsed<List> {
        match (keyword, self.peek().kind) {
            ("if", Kind::If) => {
                self.next();
                Ok([Node::If(self.control("if")?)].into())
            }
            ("with", Kind::With) => {
                self.next();
                Ok([Node::With(self.control("with")?)].into())
            }
            _ => match self.list()? {
                (list, Terminator::End) => Ok(list),
                (_, terminator) => Err(self.error(format!("expected end; found {}", terminator.describe()))),
            },
        }
    }

    fn else_control(&mut self) -> Parsed<Terminator> {
        // The keyword of `else if` stays for else_list.
        if !matches!(self.peek_non_space().kind, Kind::If | Kind::With) {
            self.expect(Kind::RightDelim, "else")?;
        }
        Ok(Terminator::Else)
    }

    /// `{{block "name" pipeline}} … {{end}}`: a definition and its use.
    fn block_control(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "block clause";
        let token = self.next_non_space();
        let name = self.template_name(token, CONTEXT)?;
        let pipe = self.pipeline(CONTEXT, Kind::RightDelim)?;
        let mut block = Parser::new(self.shared);
        match block.list()? {
            (root, Terminator::End) => block.add(name.clone(), root)?,
            // Told with the line of the block's own action, which the parser around it read last.
            (_, terminator) => return Err(self.wrong_end(&terminator, CONTEXT)),
        }
        Ok(Node::Template { pos: token.pos as Pos, name, pipe: Some(pipe) })
    }

    fn template_control(&mut self) -> Parsed<Node> {
        const CONTEXT: &str = "template clause";
        let token = self.next_non_space();
        let name = self.template_name(token, CONTEXT)?;
        let mut pipe = None;
        if self.next_non_space().kind != Kind::RightDelim {
            self.backup();
            pipe = Some(self.pipeline(CONTEXT, Kind::RightDelim)?);
        }
        Ok(Node::Template { pos: token.pos as Pos, name, pipe })
    }

    fn template_name(&mut self, token: Token<'t>, context: &str) -> Parsed<Str> {
        match token.kind {
            Kind::String | Kind::RawString => self.unquote(token),
            _ => Err(self.unexpected(token, context)),
        }
    }

    fn unquote(&self, token: Token<'_>) -> Parsed<Str> {
        match strconv::unquote(token.text) {
            Some(text) => Ok(text.as_ref().into()),
            None => Err(self.error("invalid syntax")),
        }
    }

    /// Declarations and commands, up to the token `end`.
    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        let pos = self.peek_non_space().pos as Pos;
        let (declarations, is_assign) = self.declarations(context)?;
        let mark = self.shared.commands.len();
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => {
                    let commands = take_off(&mut self.shared.commands, mark);
                    let pipe = Pipe { pos, is_assign, declarations: declarations.into(), commands };
                    self.check_pipeline(&pipe, context)?;
                    return Ok(pipe);
                }
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.backup();
                    let command = self.command()?;
                    self.shared.commands.push(command);
                }
                _ => return Err(self.unexpected(token, context)),
            }
        }
    }

    /// `$x :=`, `$x =` or, in a range, `$i, $x :=`; and whether it was the second.
    fn declarations(&mut self, context: &str) -> Parsed<(Vec<Declared>, bool)> {
        let mut declarations = Vec::new();
        loop {
            let variable = self.peek_non_space();
            if variable.kind != Kind::Variable {
                return Ok((declarations, false));
            }
            self.next();
            // A space is a token: telling `$x foo` from `$x :=` takes one more.
            let after_variable = self.peek();
            let next = self.peek_non_space();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    self.next_non_space();
                    declarations.push(self.declare(variable)?);
                    return Ok((declarations, next.kind == Kind::Assign));
                }
                Kind::Char if next.text == b"," => {
                    self.next_non_space();
                    declarations.push(self.declare(variable)?);
                    if context != "range" || declarations.len() >= 2 {
                        return Err(self.error(format!("too many declarations in {context}")));
                    }
                    if !matches!(self.peek_non_space().kind, Kind::Variable | Kind::RightDelim | Kind::RightParen) {
                        return Err(self.error("range can only initialize variables"));
                    }
                }
                _ if after_variable.kind == Kind::Space => {
                    self.backup3(variable, after_variable);
                    return Ok((declarations, false));
                }
                _ => {
                    self.backup2(variable);
                    return Ok((declarations, false));
                }
            }
        }
    }

    fn declare(&mut self, token: Token<'t>) -> Parsed<Declared> {
        if self.visible.len() > VARIABLES_MAX || self.shared.variables.len() > VARIABLES_MAX {
            return Err(self.error(format!("more than {VARIABLES_MAX} variables in one text")));
        }
        let variable = self.variable_id(token);
        self.visible.push(variable);
        Ok(Declared { variable, name: Self::span(token) })
    }

    fn variable_id(&mut self, token: Token<'t>) -> VariableId {
        let variables = &mut self.shared.variables;
        let place = variables.iter().position(|known| *known == token.text).unwrap_or_else(|| {
            variables.push(token.text);
            variables.len() - 1
        });
        place as VariableId
    }

    fn check_pipeline(&self, pipe: &Pipe, context: &str) -> Parsed<()> {
        if pipe.commands.is_empty() {
            return Err(self.error(format!("missing value for {context}")));
        }
        for (i, command) in pipe.commands.iter().enumerate().skip(1) {
            // Only the first stage may be something that cannot be called.
            if let Term::Bool { .. } | Term::Dot { .. } | Term::Nil { .. } | Term::Number(_) | Term::String { .. } =
                command.terms[0]
            {
                return Err(self.error(format!("non executable command in pipeline stage {}", i + 1)));
            }
        }
        Ok(())
    }

    /// Operands up to `|` or the end of the pipeline. The bar is taken, the end is left.
    fn command(&mut self) -> Parsed<Command> {
        let pos = self.peek_non_space().pos as Pos;
        let mark = self.shared.terms.len();
        loop {
            self.peek_non_space();
            if let Some(operand) = self.operand()? {
                self.shared.terms.push(operand);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.backup(),
                Kind::Pipe => {}
                _ => return Err(self.unexpected(token, "operand")),
            }
            break;
        }
        let terms = take_off(&mut self.shared.terms, mark);
        if terms.is_empty() { Err(self.error("empty command")) } else { Ok(Command { pos, terms }) }
    }

    /// A term with the fields that follow it.
    fn operand(&mut self) -> Parsed<Option<Term>> {
        let token = self.next_non_space();
        let Some(term) = self.term(token)? else { return Ok(None) };
        let next = self.peek();
        if next.kind != Kind::Field {
            return Ok(Some(term));
        }
        let pos = next.pos as Pos;
        let fields = self.fields();
        Ok(Some(match term {
            Term::Variable { variable, name, .. } => Term::Variable { pos, variable, name, fields },
            Term::Bool { .. } | Term::String { .. } | Term::Number(_) | Term::Nil { .. } | Term::Dot { .. } => {
                let mut text = Vec::new();
                term.write(&self.shared.source.text, &mut text);
                let quoted = strconv::quote(&text);
                let quoted = String::from_utf8_lossy(&quoted);
                return Err(self.error(format!("unexpected . after term {quoted}")));
            }
            // The names of a field were read with it.
            Term::Identifier { .. } | Term::Field { .. } | Term::Chain { .. } | Term::Pipe(_) => {
                Term::Chain { pos, operand: Box::new(term), fields }
            }
        }))
    }

    /// `.a.b`, the first name of which is past.
    fn field(&mut self, first: Token<'t>) -> Term {
        let next = self.peek();
        // Go tells the place of the second name where there is one.
        let pos = if next.kind == Kind::Field { next.pos } else { first.pos } as Pos;
        self.shared.fields.push(field_name(first));
        Term::Field { pos, names: self.fields() }
    }

    /// The names of the fields that stand here, one after the other.
    fn fields(&mut self) -> Box<[Span]> {
        while self.peek().kind == Kind::Field {
            let name = field_name(self.next());
            self.shared.fields.push(name);
        }
        let fields = self.shared.fields.as_slice().into();
        self.shared.fields.clear();
        fields
    }

    fn term(&mut self, token: Token<'t>) -> Parsed<Option<Term>> {
        let pos = token.pos as Pos;
        Ok(Some(match token.kind {
            Kind::Identifier => self.function(token)?,
            Kind::Dot => Term::Dot { pos },
            Kind::Nil => Term::Nil { pos },
            Kind::Variable => {
                let variable = self.variable_id(token);
                if !self.visible.contains(&variable) {
                    let quoted = strconv::quote(token.text);
                    return Err(self.error(format!("undefined variable {}", String::from_utf8_lossy(&quoted))));
                }
                Term::Variable { pos, variable, name: Self::span(token), fields: Box::default() }
            }
            Kind::Field => self.field(token),
            Kind::Bool => Term::Bool { pos, value: token.text == b"true" },
            Kind::CharConstant | Kind::Complex | Kind::Number => {
                Term::Number(Box::new(number(token).map_err(|message| self.error(message))?))
            }
            Kind::LeftParen => {
                if self.paren_depth >= PAREN_DEPTH_MAX || self.shared.stack.is_spent() {
                    return Err(self.error("max expression depth exceeded"));
                }
                self.paren_depth += 1;
                let pipe = self.pipeline("parenthesized pipeline", Kind::RightParen)?;
                self.paren_depth -= 1;
                Term::Pipe(Box::new(pipe))
            }
            Kind::String | Kind::RawString => Term::String { quoted: Self::span(token), value: self.unquote(token)? },
            _ => {
                self.backup();
                return Ok(None);
            }
        }))
    }

    fn function(&self, token: Token<'t>) -> Parsed<Term> {
        let name = Self::span(token);
        let word = self.shared.source.word(name);
        let callee = match self.shared.funcs.0.get(word) {
            Some(func) => Some(Callee::Func(func)),
            None => Builtin::of_name(word).map(Callee::Builtin),
        };
        match callee {
            Some(callee) => Ok(Term::Identifier { name, callee }),
            None => {
                let quoted = strconv::quote(token.text);
                Err(self.error(format!("function {} not defined", String::from_utf8_lossy(&quoted))))
            }
        }
    }
}

/// What stands above the mark, in no more room than it needs.
fn take_off<T>(stack: &mut Vec<T>, mark: usize) -> Box<[T]> {
    if stack.len() == mark + 1
        && let Some(only) = stack.pop()
    {
        // Most pipelines and commands are of one part, and draining has its price.
        return Box::new([only]);
    }
    stack.drain(mark..).collect()
}

/// The name after the point.
fn field_name(token: Token<'_>) -> Span {
    let Span { start, end } = Parser::span(token);
    Span { start: start + 1, end }
}

fn number(token: Token<'_>) -> Result<Number, String> {
    let text = token.text;
    let number = |int, uint, float, ideal| Number { text: Parser::span(token), int, uint, float, ideal };
    let complex = |real: f64, imaginary: f64| {
        // Without an imaginary part it is good for parameters of other types.
        let real = (imaginary == 0.0).then_some(real);
        number(real.and_then(whole_int), real.and_then(whole_uint), real, Ideal::Complex)
    };
    match token.kind {
        Kind::CharConstant => {
            let (code_point, _, tail) = strconv::unquote_char(&text[1..], b'\'').ok_or("invalid syntax")?;
            if tail != b"'" {
                return Err(format!("malformed character constant: {}", String::from_utf8_lossy(text)));
            }
            let int = i64::from(code_point);
            return Ok(number(Some(int), Some(code_point.into()), Some(code_point.into()), Ideal::Int(int)));
        }
        Kind::Complex => {
            let (real, imaginary) = complex_parts(text).ok_or("expected complex number")?;
            return Ok(complex(real, imaginary));
        }
        _ => {}
    }
    if let Some(Ok(imaginary)) = text.strip_suffix(b"i").map(strconv::parse_float) {
        return Ok(complex(0.0, imaginary));
    }
    let (int, uint, float) = real_number(text)
        .map_err(|problem| format!("{problem}: {}", String::from_utf8_lossy(&strconv::quote(text))))?;
    let is_hexadecimal = matches!(text, [b'0', b'x' | b'X', digits @ ..] if !has_any(digits, b"pP"));
    let ideal = match (int, has_any(text, FLOAT_MARKS) && !is_hexadecimal) {
        (_, true) => Ideal::Float(float),
        (Some(int), false) => Ideal::Int(int),
        (None, false) => Ideal::Overflow,
    };
    Ok(number(int, uint, Some(float), ideal))
}

/// Any of these makes a number a float, except in hexadecimal integers.
const FLOAT_MARKS: &[u8] = b".eEpP";

fn has_any(text: &[u8], marks: &[u8]) -> bool {
    text.iter().any(|byte| marks.contains(byte))
}

/// The number as the types that can hold it; as a float always.
fn real_number(text: &[u8]) -> Result<(Option<i64>, Option<u64>, f64), &'static str> {
    match (strconv::parse_int(text, 0, 64), strconv::parse_uint(text, 0, 64)) {
        // A sign is no part of an unsigned number, but -0 is one.
        (Ok(0), _) => Ok((Some(0), Some(0), 0.0)),
        (Ok(int), uint) => Ok((Some(int), uint.ok(), int as f64)),
        (Err(_), Ok(uint)) => Ok((None, Some(uint), uint as f64)),
        (Err(_), Err(_)) => {
            let float = strconv::parse_float(text).map_err(|_| "illegal number syntax")?;
            if !has_any(text, FLOAT_MARKS) {
                return Err("integer overflow");
            }
            Ok((whole_int(float), whole_uint(float), float))
        }
    }
}

/// The whole number a float stands for, if there is one that fits.
fn whole_int(float: f64) -> Option<i64> {
    // 2^63 is the first float past the range of i64, 2^64 that of u64.
    (float.fract() == 0.0 && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float))
        .then_some(float as i64)
}

fn whole_uint(float: f64) -> Option<u64> {
    (float.fract() == 0.0 && (0.0..18_446_744_073_709_551_616.0).contains(&float)).then_some(float as u64)
}

/// The parts of `1+2i`.
fn complex_parts(text: &[u8]) -> Option<(f64, f64)> {
    let body = text.strip_suffix(b"i")?;
    // The last sign that is not the sign of an exponent.
    let split = (1..body.len())
        .rev()
        .find(|i| matches!(body[*i], b'+' | b'-') && !matches!(body[i - 1], b'e' | b'E' | b'p' | b'P'))?;
    Some((strconv::parse_float(&body[..split]).ok()?, strconv::parse_float(&body[split..]).ok()?))
}

/// Line and column of an offset as error texts tell them: the line from 1, the column from 0, in bytes.
pub(super) fn line_and_column(text: &[u8], pos: Pos) -> (usize, usize) {
    let before = &text[..(pos as usize).min(text.len())];
    let line = 1 + count_lines(before);
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    (line, before.len() - line_start)
}

fn count_lines(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count()
}
