//! Runs a parsed template: a tree walk with the names of Go's `exec.go`.
//!
//! Which node an error names follows Go to the letter: [`State::at`] is set where Go sets its own, and an error
//! found later names the node set last.

use super::ast::{Branch, Callee, Command, Ideal, List, Node, Pipe, Pos, Span, Template, Term, VariableId};
use super::builtin::{self, Builtin, Interfaces};
use super::error::{Cause, Error, ExecuteError, Place, quote};
use super::func::{self, Call, Fault, Func, Host, Spot, Watch};
use super::methods::Method;
use super::parse::line_and_column;
use super::set::Set;
use super::stack::Stack;
use crate::value::{ElementType, IntType, Kind, Map, MapType, Signature, Str, Type, UintType, Value, fmt};

/// Templates that call each other by `{{template}}` may be nested this deep, as in Go.
const TEMPLATE_DEPTH_MAX: usize = 100_000;

/// So many written bytes cost one step of the host's budget.
const BYTES_PER_STEP: usize = 64;

/// So many bytes of text that a function is given cost one step.
const READ_BYTES_PER_STEP: usize = 256;

/// What a missing key of a map gives (Go: the option `missingkey`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingKey {
    /// `missingkey=default`: nothing at all, of which every field is nothing again.
    Default,
    /// `missingkey=zero`: the zero value of the map's elements. The fields of a nil are errors.
    Zero,
    /// `missingkey=error`.
    Error,
}

/// Runs the template of that name and gives back what it wrote.
///
/// # Errors
/// There is no such template, or something in it failed.
pub fn execute(
    set: &Set,
    name: impl AsRef<[u8]>,
    data: &Value,
    host: &dyn Host,
    missing: MissingKey,
) -> Result<Vec<u8>, Error> {
    let stack = Stack::new(host.stack_bytes());
    Execution { set, host, watch: host.watch(), missing, stack }.run_named(name.as_ref(), data)
}

/// One run of a template with its set. Functions get it, to run further templates.
#[derive(Clone, Copy)]
pub struct Execution<'e> {
    set: &'e Set,
    host: &'e dyn Host,
    watch: Option<&'e dyn Watch>,
    missing: MissingKey,
    stack: Stack,
}

impl Execution<'_> {
    /// The templates of this run.
    pub fn set(&self) -> &Set {
        self.set
    }

    /// What a missing key gives in this run.
    pub fn missing_key(&self) -> MissingKey {
        self.missing
    }

    /// Runs another template of the set (`include`).
    ///
    /// # Errors
    /// [`Fault::Template`] with what went wrong there.
    pub fn execute_template(&self, name: impl AsRef<[u8]>, data: &Value) -> Result<Vec<u8>, Fault> {
        self.run_named(name.as_ref(), data).map_err(|error| Fault::Template(Box::new(error)))
    }

    /// Runs a template, such as [`Set::parse`] gave, with the templates of another set in reach (`tpl`).
    ///
    /// # Errors
    /// [`Fault::Template`] with what went wrong there.
    pub fn execute_in(&self, set: &Set, template: &Template, data: &Value) -> Result<Vec<u8>, Fault> {
        Execution { set, ..*self }.run(template, data).map_err(Fault::Template)
    }

    fn run_named(&self, name: &[u8], data: &Value) -> Result<Vec<u8>, Error> {
        match self.set.lookup(name) {
            Some(template) => self.run(template, data).map_err(|error| *error),
            None => Err(Error::NotFound {
                name: String::from_utf8_lossy(name).into_owned(),
                set: self.set.name().to_owned(),
            }),
        }
    }

    fn run(&self, template: &Template, data: &Value) -> Run<Vec<u8>> {
        let dot = Operand::plain(data.clone());
        let mut state = State {
            execution: self,
            template,
            at: At::Start,
            variables: vec![(ROOT, dot.clone())],
            frame: 0,
            arguments: Vec::new(),
            template_depth: 0,
            out: Vec::new(),
        };
        state.walk_list(&dot, &template.root)?;
        Ok(state.out)
    }
}

type Run<T> = Result<T, Box<Error>>;

/// The variable `$`.
const ROOT: VariableId = 0;

/// A value as `reflect` holds it.
#[derive(Clone)]
struct Operand {
    value: Value,
    /// Held in a place of type `interface {}`: an element of a `map[string]interface {}`, say. Then errors tell this
    /// type, and a nil is a nil pointer; a nil that is held nowhere is nothing at all, and has every field.
    is_interface: bool,
}

impl Operand {
    fn plain(value: Value) -> Self {
        Operand { value, is_interface: false }
    }

    fn is_nothing(&self) -> bool {
        !self.is_interface && matches!(self.value, Value::Nil)
    }

    fn type_name(&self) -> String {
        if self.is_interface { Type::Any.to_string() } else { self.value.type_name() }
    }
}

/// A value as a function gets it: what was reached through a pointer is copied.
fn handed_over(value: Value) -> Value {
    match &value {
        Value::Object(object) => object.copied().unwrap_or(value),
        _ => value,
    }
}

/// The node being evaluated.
#[derive(Clone, Copy)]
enum At<'s> {
    Start,
    Node(&'s Node),
    Branch(&'static str, &'s Branch),
    Pipe(&'s Pipe),
    Command(&'s Command),
    Term(&'s Term),
}

impl At<'_> {
    fn pos(self) -> Pos {
        match self {
            At::Start => 0,
            At::Node(node) => match node {
                Node::Text(span) => span.start,
                Node::Action { pos, .. } | Node::Template { pos, .. } => *pos,
                Node::If(branch) | Node::With(branch) | Node::Range(branch) => branch.pos,
                Node::Break | Node::Continue => 0,
            },
            At::Branch(_, branch) => branch.pos,
            At::Pipe(pipe) => pipe.pos,
            At::Command(command) => command.pos,
            At::Term(term) => term.pos(),
        }
    }

    fn text(self, source: &[u8]) -> String {
        let mut text = Vec::new();
        match self {
            At::Start => {}
            At::Node(node) => node.write(source, &mut text),
            At::Branch(keyword, branch) => branch.write(keyword, source, &mut text),
            At::Pipe(pipe) => pipe.write(source, &mut text),
            At::Command(command) => command.write(source, &mut text),
            At::Term(term) => term.write(source, &mut text),
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// How a node ended.
#[derive(Clone, Copy, PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// What is called.
enum Callable {
    Builtin(Builtin),
    Func(&'static Func),
    Method(Method),
}

/// A running template.
struct State<'s> {
    execution: &'s Execution<'s>,
    template: &'s Template,
    at: At<'s>,
    /// The variables of all running templates, the newest last.
    variables: Vec<(VariableId, Operand)>,
    /// Where the variables of this template start.
    frame: usize,
    /// Arguments of the calls being made.
    arguments: Vec<Value>,
    template_depth: usize,
    out: Vec<u8>,
}

impl<'s> State<'s> {
    fn place(&self) -> Place {
        let source = &self.template.source;
        let (line, column) = line_and_column(&source.text, self.at.pos());
        Place {
            source_name: source.name.to_text().into_owned(),
            line,
            column,
            template: self.template.name.to_text().into_owned(),
            node: self.at.text(&source.text),
        }
    }

    fn error(&self, message: impl Into<String>) -> Box<Error> {
        let error = ExecuteError { place: self.place(), message: message.into(), cause: None };
        Box::new(Error::Execute(Box::new(error)))
    }

    /// A function failed.
    fn call_error(&self, name: &str, fault: Fault) -> Box<Error> {
        // The texts of nested calls add up: each `tpl` tells its whole text again.
        let told = match &fault {
            Fault::Failed(text) | Fault::Wrapped { text, .. } => text.len(),
            Fault::Template(_) | Fault::Budget(_) => 0,
        };
        if let Err(Fault::Budget(message)) = self.execution.host.spend_bytes(told) {
            return self.budget_error(message);
        }
        let cause = match fault {
            Fault::Failed(text) => Cause::Text(text),
            Fault::Template(error) => match *error {
                Error::Budget { .. } => return error,
                _ => Cause::Template { text: String::new(), source: None, error },
            },
            Fault::Wrapped { text, source, error } => match *error {
                Error::Budget { .. } => return error,
                _ => Cause::Template { text, source: Some(source), error },
            },
            Fault::Budget(message) => return self.budget_error(message),
        };
        let message = format!("error calling {name}");
        let error = ExecuteError { place: self.place(), message, cause: Some(cause) };
        Box::new(Error::Execute(Box::new(error)))
    }

    fn budget_error(&self, message: String) -> Box<Error> {
        Box::new(Error::Budget { place: Box::new(self.place()), message })
    }

    fn spend(&self, steps: u64) -> Run<()> {
        self.execution.host.spend(steps).map_err(|fault| self.spent(fault))
    }

    fn spent(&self, fault: Fault) -> Box<Error> {
        match fault {
            Fault::Budget(message) | Fault::Failed(message) => self.budget_error(message),
            Fault::Template(error) | Fault::Wrapped { error, .. } => error,
        }
    }

    fn check_stack(&self) -> Run<()> {
        if self.execution.stack.is_spent() {
            return Err(self.error("exceeded maximum template depth (the stack is used up)"));
        }
        Ok(())
    }

    /// Tells whoever watches that these values are handed to a function.
    fn tell_call(&self, name: &str, arguments: &[Value]) {
        if let Some(watch) = self.execution.watch {
            watch.call(name, arguments, self.spot());
        }
    }

    fn spot(&self) -> Spot<'_> {
        let source = &self.template.source;
        Spot { source_name: source.name.as_bytes(), text: &source.text, position: self.at.pos() as usize }
    }

    /// The text of a node in this template.
    fn text_of(&self, at: At<'_>) -> String {
        at.text(&self.template.source.text)
    }

    fn set_variable(&mut self, variable: VariableId, name: impl Fn() -> String, operand: Operand) -> Run<()> {
        match self.variables[self.frame..].iter_mut().rev().find(|(known, _)| *known == variable) {
            Some((_, place)) => {
                *place = operand;
                Ok(())
            }
            None => Err(self.error(format!("undefined variable: {}", name()))),
        }
    }

    fn variable(&self, variable: VariableId) -> Option<&Operand> {
        self.variables[self.frame..].iter().rev().find(|(known, _)| *known == variable).map(|(_, operand)| operand)
    }

    // ---- walking ----

    fn walk_list(&mut self, dot: &Operand, list: &'s List) -> Run<Flow> {
        for node in list {
            let flow = self.walk(dot, node)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn walk(&mut self, dot: &Operand, node: &'s Node) -> Run<Flow> {
        self.at = At::Node(node);
        self.spend(1)?;
        match node {
            Node::Text(span) => {
                let text = self.template.source.bytes(*span);
                self.out.extend_from_slice(text);
                self.spend_written(text.len())?;
            }
            Node::Action { pipe, .. } => {
                let operand = self.eval_pipeline(dot, pipe)?;
                if pipe.declarations.is_empty() {
                    self.print_value(node, &operand)?;
                }
            }
            Node::If(branch) => return self.walk_if_or_with(dot, branch, false),
            Node::With(branch) => return self.walk_if_or_with(dot, branch, true),
            Node::Range(branch) => return self.walk_range(dot, branch),
            Node::Template { name, pipe, .. } => self.walk_template(dot, name, pipe.as_ref())?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn spend_written(&self, bytes: usize) -> Run<()> {
        self.execution.host.spend_bytes(bytes).map_err(|fault| self.spent(fault))?;
        match bytes / BYTES_PER_STEP {
            0 => Ok(()),
            steps => self.spend(steps as u64),
        }
    }

    fn print_value(&mut self, node: &'s Node, operand: &Operand) -> Run<()> {
        self.at = At::Node(node);
        if operand.value.kind() == Kind::Func {
            let (text, type_name) = (self.text_of(self.at), operand.value.type_name());
            return Err(self.error(format!("can't print {text} of type {type_name}")));
        }
        self.tell_call("print", std::slice::from_ref(&operand.value));
        func::spend_on_printing(self.execution.host, "printing", std::slice::from_ref(&operand.value))
            .map_err(|fault| self.spent(fault))?;
        let length_before = self.out.len();
        fmt::write_value(&mut self.out, &operand.value);
        self.spend_written(self.out.len() - length_before)
    }

    fn walk_if_or_with(&mut self, dot: &Operand, branch: &'s Branch, is_with: bool) -> Run<Flow> {
        let mark = self.variables.len();
        let operand = self.eval_pipeline(dot, &branch.pipe)?;
        let flow = if operand.value.is_true() {
            self.walk_list(if is_with { &operand } else { dot }, &branch.list)?
        } else if let Some(else_list) = &branch.else_list {
            self.walk_list(dot, else_list)?
        } else {
            Flow::Next
        };
        self.variables.truncate(mark);
        Ok(flow)
    }

    fn walk_range(&mut self, dot: &Operand, branch: &'s Branch) -> Run<Flow> {
        self.at = At::Branch("range", branch);
        let mark = self.variables.len();
        let operand = self.eval_pipeline(dot, &branch.pipe)?;
        self.tell_call("range", std::slice::from_ref(&operand.value));
        let ran = match &operand.value {
            Value::Int(int_type, count) => {
                let numbers = (0..*count).map(|number| Value::Int(*int_type, number));
                self.range_numbers(branch, &operand, numbers)?
            }
            Value::Uint(uint_type, count) => {
                let numbers = (0..*count).map(|number| Value::Uint(*uint_type, number));
                self.range_numbers(branch, &operand, numbers)?
            }
            Value::List(list) => {
                let is_interface = list.element == ElementType::Any;
                let elements = list.as_slice().iter().map(|value| Operand { value: value.clone(), is_interface });
                self.range_elements(branch, indexed(elements))?
            }
            Value::Bytes(bytes) => {
                let elements = bytes.iter().map(|byte| Value::Uint(UintType::Uint8, (*byte).into()));
                self.range_elements(branch, indexed(elements.map(Operand::plain)))?
            }
            Value::Map(map) => {
                let is_interface = holds_interfaces(map.map_type);
                let entries = map.snapshot().into_iter();
                let entries = entries.map(|(key, value)| (Value::Str(key), Operand { value, is_interface }));
                self.range_elements(branch, entries)?
            }
            Value::Nil => false,
            Value::Bool(_) | Value::Float(_) | Value::Str(_) | Value::Object(_) => {
                return Err(self.error(format!("range can't iterate over {}", in_words(&operand.value))));
            }
        };
        let flow = match &branch.else_list {
            // What breaks in the else branch still breaks this range.
            Some(else_list) if !ran => self.walk_list(dot, else_list)?,
            _ => Flow::Next,
        };
        self.variables.truncate(mark);
        Ok(if flow == Flow::Break { Flow::Next } else { flow })
    }

    fn range_numbers(
        &mut self,
        branch: &'s Branch,
        operand: &Operand,
        numbers: impl Iterator<Item = Value>,
    ) -> Run<bool> {
        if branch.pipe.declarations.len() > 1 {
            let words = in_words(&operand.value);
            return Err(self.error(format!("can't use {words} to iterate over more than one variable")));
        }
        self.range_elements(branch, numbers.map(|number| (Value::Nil, Operand::plain(number))))
    }

    /// Says whether there was any element.
    fn range_elements(&mut self, branch: &'s Branch, elements: impl Iterator<Item = (Value, Operand)>) -> Run<bool> {
        let mark = self.variables.len();
        let mut ran = false;
        for (key, element) in elements {
            ran = true;
            self.set_range_variables(&branch.pipe, key, &element)?;
            self.spend(1)?;
            let flow = self.walk_list(&element, &branch.list)?;
            self.variables.truncate(mark);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(ran)
    }

    /// With two variables the first is the index or key; a single one is the element.
    fn set_range_variables(&mut self, pipe: &'s Pipe, key: Value, element: &Operand) -> Run<()> {
        let operands = match pipe.declarations.len() {
            0 => return Ok(()),
            1 => [None, Some(element.clone())],
            _ => [Some(Operand::plain(key)), Some(element.clone())],
        };
        let operands = operands.into_iter().flatten();
        if pipe.is_assign {
            for (declared, operand) in pipe.declarations.iter().zip(operands) {
                self.set_variable(declared.variable, || self::name(self.template, declared.name), operand)?;
            }
        } else {
            // The pipeline has just declared them.
            let first = self.variables.len() - pipe.declarations.len();
            for ((_, place), operand) in self.variables[first..].iter_mut().zip(operands) {
                *place = operand;
            }
        }
        Ok(())
    }

    fn walk_template(&mut self, dot: &Operand, name: &'s Str, pipe: Option<&'s Pipe>) -> Run<()> {
        let Some(template) = self.execution.set.lookup(name.as_bytes()) else {
            return Err(self.error(format!("template {} not defined", quote(&name.to_text()))));
        };
        if self.template_depth == TEMPLATE_DEPTH_MAX {
            return Err(self.error(format!("exceeded maximum template depth ({TEMPLATE_DEPTH_MAX})")));
        }
        self.check_stack()?;
        let dot = match pipe {
            Some(pipe) => self.eval_pipeline(dot, pipe)?,
            None => Operand::plain(Value::Nil),
        };
        let (outer_template, outer_at, outer_frame) = (self.template, self.at, self.frame);
        self.template = template;
        self.template_depth += 1;
        self.frame = self.variables.len();
        self.variables.push((ROOT, dot.clone()));
        self.walk_list(&dot, &template.root)?;
        self.variables.truncate(self.frame);
        self.frame = outer_frame;
        self.template_depth -= 1;
        self.template = outer_template;
        self.at = outer_at;
        Ok(())
    }

    // ---- evaluating ----

    /// The value of a pipeline, which is never held in an interface. Its variables stay declared.
    fn eval_pipeline(&mut self, dot: &Operand, pipe: &'s Pipe) -> Run<Operand> {
        self.at = At::Pipe(pipe);
        self.check_stack()?;
        let mut last = None;
        for command in &pipe.commands {
            let operand = self.eval_command(dot, command, last)?;
            last = Some(Operand::plain(operand.value));
        }
        let operand = last.unwrap_or(Operand::plain(Value::Nil));
        for declared in &pipe.declarations {
            if pipe.is_assign {
                let template = self.template;
                self.set_variable(declared.variable, || name(template, declared.name), operand.clone())?;
            } else {
                self.variables.push((declared.variable, operand.clone()));
            }
        }
        Ok(operand)
    }

    fn not_a_function(&self, first: &Term, arguments: &[Term], last: Option<&Operand>) -> Run<()> {
        if arguments.is_empty() && last.is_none() {
            return Ok(());
        }
        let mut text = Vec::new();
        first.write(&self.template.source.text, &mut text);
        let text = String::from_utf8_lossy(&text);
        Err(self.error(format!("can't give argument to non-function {text}")))
    }

    /// `last` is the value of the command before, the final argument of this one.
    fn eval_command(&mut self, dot: &Operand, command: &'s Command, last: Option<Operand>) -> Run<Operand> {
        let (first, arguments) = command.terms.split_first().expect("the parser refuses empty commands");
        match first {
            Term::Field { names, .. } => {
                self.at = At::Term(first);
                return self.eval_field_chain(dot, dot.clone(), first, names, arguments, last);
            }
            Term::Chain { .. } => return self.eval_chain(dot, first, arguments, last),
            Term::Identifier { .. } => {
                return self.eval_function(dot, first, At::Command(command), arguments, last);
            }
            Term::Pipe(pipe) => {
                self.not_a_function(first, arguments, last.as_ref())?;
                return self.eval_pipeline(dot, pipe);
            }
            Term::Variable { .. } => return self.eval_variable(dot, first, arguments, last),
            Term::Dot { .. } | Term::Nil { .. } | Term::Bool { .. } | Term::Number(_) | Term::String { .. } => {}
        }
        self.at = At::Term(first);
        self.not_a_function(first, arguments, last.as_ref())?;
        match first {
            Term::Dot { .. } => Ok(dot.clone()),
            Term::Nil { .. } => Err(self.error("nil is not a command")),
            _ => self.eval_constant(first).map(Operand::plain),
        }
    }

    /// A constant where nothing asks for a type.
    fn eval_constant(&mut self, term: &'s Term) -> Run<Value> {
        self.at = At::Term(term);
        match term {
            Term::Bool { value, .. } => Ok(Value::Bool(*value)),
            Term::String { value, .. } => Ok(Value::Str(value.clone())),
            Term::Number(number) => match number.ideal {
                Ideal::Int(int) => Ok(Value::int(int)),
                Ideal::Float(float) => Ok(Value::Float(float)),
                Ideal::Overflow => Err(self.error(format!("{} overflows int", self.text_of(self.at)))),
                Ideal::Complex => {
                    Err(self.error(format!("complex numbers are not supported: {}", self.text_of(self.at))))
                }
            },
            _ => {
                let text = self.text_of(self.at);
                Err(self.error(format!("can't handle assignment of {text} to empty interface argument")))
            }
        }
    }

    fn eval_chain(
        &mut self,
        dot: &Operand,
        chain: &'s Term,
        arguments: &'s [Term],
        last: Option<Operand>,
    ) -> Run<Operand> {
        self.at = At::Term(chain);
        let Term::Chain { operand, fields, .. } = chain else { return self.eval_constant(chain).map(Operand::plain) };
        self.at = At::Term(operand);
        let receiver = match &**operand {
            Term::Pipe(pipe) => self.eval_pipeline(dot, pipe)?,
            Term::Identifier { .. } => self.eval_function(dot, operand, At::Term(operand), &[], None)?,
            other => self.eval_constant(other).map(Operand::plain)?,
        };
        self.eval_field_chain(dot, receiver, chain, fields, arguments, last)
    }

    fn eval_variable(
        &mut self,
        dot: &Operand,
        term: &'s Term,
        arguments: &'s [Term],
        last: Option<Operand>,
    ) -> Run<Operand> {
        self.at = At::Term(term);
        let Term::Variable { variable, name, fields, .. } = term else {
            return self.eval_constant(term).map(Operand::plain);
        };
        let Some(operand) = self.variable(*variable).cloned() else {
            return Err(self.error(format!("undefined variable: {}", self::name(self.template, *name))));
        };
        if fields.is_empty() {
            self.not_a_function(term, arguments, last.as_ref())?;
            return Ok(operand);
        }
        self.eval_field_chain(dot, operand, term, fields, arguments, last)
    }

    /// `.a.b.c`, of which the last may be a method that takes arguments.
    fn eval_field_chain(
        &mut self,
        dot: &Operand,
        receiver: Operand,
        term: &'s Term,
        names: &'s [Span],
        arguments: &'s [Term],
        last: Option<Operand>,
    ) -> Run<Operand> {
        let (final_name, names) = names.split_last().expect("a chain has at least one field");
        let mut receiver = receiver;
        let source = &self.template.source;
        for name in names {
            receiver = self.eval_field(dot, source.word(*name), term, &[], None, receiver)?;
        }
        self.eval_field(dot, source.word(*final_name), term, arguments, last, receiver)
    }

    fn eval_field(
        &mut self,
        dot: &Operand,
        name: &'s str,
        term: &'s Term,
        arguments: &'s [Term],
        last: Option<Operand>,
        receiver: Operand,
    ) -> Run<Operand> {
        if receiver.is_nothing() {
            if self.execution.missing == MissingKey::Error {
                return Err(self.error(format!("nil data; no entry for key {}", quote(name))));
            }
            return Ok(receiver);
        }
        if matches!(receiver.value, Value::Nil) {
            return Err(self.error(format!("nil pointer evaluating {}.{name}", receiver.type_name())));
        }
        if let Some(method) = Method::of(&receiver.value, name) {
            self.tell_call(name, std::slice::from_ref(&receiver.value));
            return self.eval_call(dot, Callable::Method(method), At::Term(term), name, arguments, last);
        }
        let has_arguments = !arguments.is_empty() || last.is_some();
        match &receiver.value {
            Value::Map(_) if has_arguments => Err(self.error(format!("{name} is not a method but has arguments"))),
            Value::Map(map) => self.eval_key(map, name),
            Value::Object(object) => match object.field(name) {
                Some(_) if has_arguments => {
                    Err(self.error(format!("{name} has arguments but cannot be invoked as function")))
                }
                Some(value) => Ok(Operand::plain(value)),
                None => Err(self.no_field(name, &receiver)),
            },
            _ => Err(self.no_field(name, &receiver)),
        }
    }

    fn no_field(&self, name: &str, receiver: &Operand) -> Box<Error> {
        self.error(format!("can't evaluate field {name} in type {}", receiver.type_name()))
    }

    fn eval_key(&self, map: &Map, name: &str) -> Run<Operand> {
        if let Some(watch) = self.execution.watch {
            watch.key(map, name, self.spot());
        }
        let is_interface = holds_interfaces(map.map_type);
        if let Some(value) = map.get(name.as_bytes()) {
            return Ok(Operand { value, is_interface });
        }
        match self.execution.missing {
            MissingKey::Default => Ok(Operand::plain(Value::Nil)),
            MissingKey::Zero => Ok(Operand { value: builtin::zero_element(map.map_type), is_interface }),
            MissingKey::Error => Err(self.error(format!("map has no entry for key {}", quote(name)))),
        }
    }

    /// `node` is what an error of the function names: the command, or the name alone where it is an argument.
    fn eval_function(
        &mut self,
        dot: &Operand,
        term: &'s Term,
        node: At<'s>,
        arguments: &'s [Term],
        last: Option<Operand>,
    ) -> Run<Operand> {
        self.at = At::Term(term);
        let Term::Identifier { name, callee, .. } = term else {
            return self.eval_constant(term).map(Operand::plain);
        };
        let name = self.template.source.word(*name);
        let callable = match callee {
            Callee::Builtin(builtin) => Callable::Builtin(*builtin),
            Callee::Func(func) => Callable::Func(func),
        };
        self.eval_call(dot, callable, node, name, arguments, last)
    }

    fn eval_call(
        &mut self,
        dot: &Operand,
        callable: Callable,
        node: At<'s>,
        name: &'s str,
        arguments: &'s [Term],
        last: Option<Operand>,
    ) -> Run<Operand> {
        let signature = match &callable {
            Callable::Builtin(builtin) => builtin.signature(),
            Callable::Func(func) => func.signature,
            Callable::Method(method) => method.signature(),
        };
        self.check_count(signature, name, arguments.len(), last.is_some())?;
        if let Callable::Builtin(builtin @ (Builtin::And | Builtin::Or)) = callable {
            return self.eval_and_or(dot, builtin == Builtin::Or, arguments, last);
        }
        self.spend(1)?;
        let mark = self.arguments.len();
        let mut interfaces = Interfaces::default();
        for (i, argument) in arguments.iter().enumerate() {
            let operand = self.eval_argument(dot, parameter(signature, i), argument)?;
            if operand.is_interface {
                interfaces.insert(i);
            }
            self.arguments.push(handed_over(operand.value));
        }
        let callee = match (&callable, arguments.first(), &last) {
            (Callable::Builtin(Builtin::Call), Some(first), _) => Some(self.text_of(At::Term(first))),
            (Callable::Builtin(Builtin::Call), None, Some(last)) => Some(reflected(&last.value)),
            _ => None,
        };
        if let Some(last) = last {
            let value = self.validate(last, parameter(signature, arguments.len()))?;
            self.arguments.push(handed_over(value));
        }
        let values = &self.arguments[mark..];
        self.tell_call(name, values);
        let host = self.execution.host;
        self.spend(steps_to_read(values))?;
        let result = match (&callable, callee) {
            (Callable::Builtin(_), Some(callee)) => builtin::call_value(values.first().unwrap_or(&Value::Nil), &callee),
            (Callable::Builtin(builtin), None) => builtin.call(host, values, interfaces),
            (Callable::Func(func), _) => (func.body)(&mut Call { host, execution: self.execution }, values),
            (Callable::Method(method), _) => method.call(name, values, host),
        };
        // Asked while the arguments are still held, so that what they hold does not count as made here.
        let result = result.and_then(|value| host.spend_bytes(value.own_bytes()).map(|()| value));
        self.arguments.truncate(mark);
        result.map(Operand::plain).map_err(|fault| {
            self.at = node;
            self.call_error(name, fault)
        })
    }

    fn check_count(&self, signature: Signature, name: &str, given: usize, has_last: bool) -> Run<()> {
        let (count, wanted) = (given + usize::from(has_last), signature.parameters.len());
        let fixed = wanted.saturating_sub(1);
        if signature.variadic && count < fixed {
            // Go does not count the last value here.
            return Err(self.error(format!("wrong number of args for {name}: want at least {fixed} got {given}")));
        }
        if !signature.variadic && count != wanted {
            return Err(self.error(format!("wrong number of args for {name}: want {wanted} got {count}")));
        }
        Ok(())
    }

    /// Evaluates arguments until one decides, and gives it back.
    fn eval_and_or(
        &mut self,
        dot: &Operand,
        is_or: bool,
        arguments: &'s [Term],
        last: Option<Operand>,
    ) -> Run<Operand> {
        let mut deciding = Operand::plain(Value::Nil);
        for argument in arguments {
            deciding = self.eval_argument(dot, Type::Reflect, argument)?;
            if deciding.value.is_true() == is_or {
                return Ok(deciding);
            }
        }
        Ok(last.unwrap_or(deciding))
    }

    /// An argument for a parameter of that type.
    fn eval_argument(&mut self, dot: &Operand, wanted: Type, term: &'s Term) -> Run<Operand> {
        self.at = At::Term(term);
        let operand = match term {
            Term::Dot { .. } => dot.clone(),
            Term::Nil { .. } => {
                return zero(wanted)
                    .map(Operand::plain)
                    .ok_or_else(|| self.error(format!("cannot assign nil to {wanted}")));
            }
            Term::Field { names, .. } => self.eval_field_chain(dot, dot.clone(), term, names, &[], None)?,
            Term::Variable { .. } => self.eval_variable(dot, term, &[], None)?,
            Term::Pipe(pipe) => self.eval_pipeline(dot, pipe)?,
            Term::Identifier { .. } => self.eval_function(dot, term, At::Term(term), &[], None)?,
            Term::Chain { .. } => self.eval_chain(dot, term, &[], None)?,
            Term::Bool { .. } | Term::Number(_) | Term::String { .. } => {
                return self.eval_typed_constant(wanted, term).map(Operand::plain);
            }
        };
        let is_interface = operand.is_interface;
        Ok(Operand { value: self.validate(operand, wanted)?, is_interface })
    }

    /// A constant becomes what the parameter wants, if it can.
    fn eval_typed_constant(&mut self, wanted: Type, term: &'s Term) -> Run<Value> {
        let number = match term {
            Term::Number(number) => Some(number),
            _ => None,
        };
        let int = number.and_then(|number| number.int);
        let (value, kind) = match wanted {
            Type::Any | Type::Reflect => return self.eval_constant(term),
            Type::Bool => match term {
                Term::Bool { value, .. } => (Some(Value::Bool(*value)), "bool"),
                _ => (None, "bool"),
            },
            Type::String => match term {
                Term::String { value, .. } => (Some(Value::Str(value.clone())), "string"),
                _ => (None, "string"),
            },
            Type::Float64 => (number.and_then(|number| number.float).map(Value::Float), "float"),
            Type::Int => (int.map(Value::int), "integer"),
            Type::Int64 => (int.map(Value::int64), "integer"),
            // What does not fit is cut, as Go's SetInt does.
            Type::Int32 => (int.map(|int| Value::Int(IntType::Int32, (int as i32).into())), "integer"),
            Type::Duration => (int.map(|int| Value::Int(IntType::Duration, int)), "integer"),
            Type::Uint8 => {
                let uint = number.and_then(|number| number.uint);
                (uint.map(|uint| Value::Uint(UintType::Uint8, (uint as u8).into())), "unsigned integer")
            }
            Type::Uint32 => {
                let uint = number.and_then(|number| number.uint);
                (uint.map(|uint| Value::Uint(UintType::Uint32, (uint as u32).into())), "unsigned integer")
            }
            Type::Bytes
            | Type::AnyList
            | Type::StringList
            | Type::AnyMap
            | Type::StringMap
            | Type::Time
            | Type::Certificate
            | Type::Writer => {
                let text = self.text_of(At::Term(term));
                return Err(self.error(format!("can't handle {text} for arg of type {wanted}")));
            }
        };
        value.ok_or_else(|| self.error(format!("expected {kind}; found {}", self.text_of(At::Term(term)))))
    }

    /// The value as the parameter's type, if Go's rules of assignment allow it.
    fn validate(&self, operand: Operand, wanted: Type) -> Run<Value> {
        if matches!(wanted, Type::Any | Type::Reflect) {
            return Ok(operand.value);
        }
        if operand.is_nothing() {
            return zero(wanted).ok_or_else(|| self.error(format!("invalid value; expected {wanted}")));
        }
        assign(operand.value, wanted).map_err(|value| {
            let got = if matches!(value, Value::Nil) { Type::Any.to_string() } else { value.type_name() };
            self.error(format!("wrong type for value; expected {wanted}; got {got}"))
        })
    }
}

/// What the texts among the arguments cost whoever reads them, at the least.
fn steps_to_read(arguments: &[Value]) -> u64 {
    let bytes = arguments.iter().map(|argument| match argument {
        Value::Str(text) => text.as_bytes().len() / READ_BYTES_PER_STEP,
        Value::Bytes(bytes) => bytes.len() / READ_BYTES_PER_STEP,
        _ => 0,
    });
    bytes.sum::<usize>() as u64
}

fn parameter(signature: Signature, index: usize) -> Type {
    let parameters = signature.parameters;
    parameters.get(index).or(parameters.last()).copied().unwrap_or(Type::Any)
}

fn indexed(elements: impl Iterator<Item = Operand>) -> impl Iterator<Item = (Value, Operand)> {
    elements.enumerate().map(|(index, element)| (Value::int(index as i64), element))
}

fn holds_interfaces(map_type: MapType) -> bool {
    match map_type {
        MapType::Any | MapType::Values => true,
        MapType::String | MapType::Int | MapType::Files => false,
    }
}

/// A name in the source of a template.
fn name(template: &Template, span: Span) -> String {
    String::from_utf8_lossy(template.source.bytes(span)).into_owned()
}

/// The value as `%v` prints it, for error texts.
fn in_words(value: &Value) -> String {
    String::from_utf8_lossy(&fmt::sprint_values(std::slice::from_ref(value))).into_owned()
}

/// What `reflect.Value.String` gives: the text of a string, the type of anything else.
fn reflected(value: &Value) -> String {
    match value {
        Value::Str(text) => text.to_text().into_owned(),
        Value::Nil => "<invalid Value>".to_owned(),
        other => format!("<{} Value>", other.type_name()),
    }
}

/// The nil of a type that has one.
fn zero(wanted: Type) -> Option<Value> {
    let list = |element| Value::List(crate::value::List { element, items: None });
    let map = |map_type| Value::Map(Map { map_type, entries: None });
    match wanted {
        Type::Any | Type::Reflect | Type::Writer => Some(Value::Nil),
        Type::Bytes => Some(Value::Bytes(bytes::Bytes::new())),
        Type::AnyList => Some(list(ElementType::Any)),
        Type::StringList => Some(list(ElementType::String)),
        Type::AnyMap => Some(map(MapType::Any)),
        Type::StringMap => Some(map(MapType::String)),
        Type::Bool
        | Type::Int
        | Type::Int32
        | Type::Int64
        | Type::Uint8
        | Type::Uint32
        | Type::Float64
        | Type::String
        | Type::Time
        | Type::Duration
        | Type::Certificate => None,
    }
}

/// The value as that type, or the value back where its own type is another.
fn assign(value: Value, wanted: Type) -> Result<Value, Value> {
    let fits = match (wanted, &value) {
        (Type::Any | Type::Reflect, _)
        | (Type::Bool, Value::Bool(_))
        | (Type::Int, Value::Int(IntType::Int, _))
        | (Type::Int32, Value::Int(IntType::Int32, _))
        | (Type::Int64, Value::Int(IntType::Int64, _))
        | (Type::Duration, Value::Int(IntType::Duration, _))
        | (Type::Uint8, Value::Uint(UintType::Uint8, _))
        | (Type::Uint32, Value::Uint(UintType::Uint32, _))
        | (Type::Float64, Value::Float(_))
        | (Type::String, Value::Str(_))
        | (Type::Bytes, Value::Bytes(_)) => true,
        (Type::AnyList, Value::List(list)) => list.element == ElementType::Any,
        (Type::StringList, Value::List(list)) => {
            matches!(list.element, ElementType::String | ElementType::Versions)
        }
        // The named type loses its name on the way.
        (Type::AnyMap, Value::Map(map)) if map.map_type == MapType::Values => {
            return Ok(Value::Map(map.with_type(MapType::Any)));
        }
        (Type::AnyMap, Value::Map(map)) => map.map_type == MapType::Any,
        (Type::StringMap, Value::Map(map)) => map.map_type == MapType::String,
        (Type::Time | Type::Certificate, Value::Object(object)) => object.type_name() == wanted.to_string(),
        _ => false,
    };
    if fits { Ok(value) } else { Err(value) }
}
