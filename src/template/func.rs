//! What a template may call: the shape of a function, and what it is handed when called.
//!
//! Functions are plain `fn` items in static tables, so that parsed templates can be shared between threads. What
//! differs from render to render (the clock, randomness, budgets, the cluster behind `lookup`) comes through
//! [`Host`].

use std::any::Any;
use std::collections::HashMap;

use crate::value::weigh::{Unfit, WEIGHT_MAX, weigh};
use crate::value::{Map, Signature, Str, Value};

/// A function a template may call by name.
#[derive(Clone, Copy)]
pub struct Func {
    pub name: &'static str,
    /// Parameter types, checked and converted by the engine before `body` runs, as Go's `reflect` would.
    pub signature: Signature,
    /// Runs with exactly the arguments that `signature` promises.
    pub body: fn(&mut Call<'_>, &[Value]) -> Result<Value, Fault>,
}

/// Functions by name. Later entries replace earlier ones of the same name.
#[derive(Clone, Default)]
pub struct FuncTable(pub HashMap<&'static str, &'static Func>);

impl std::fmt::Debug for Func {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Func {} {:?}", self.name, self.signature)
    }
}

impl FuncTable {
    /// Adds functions, over those of the same names.
    pub fn extend(&mut self, funcs: &'static [Func]) {
        self.0.extend(funcs.iter().map(|func| (func.name, func)));
    }
}

/// Why a function did not return a value.
#[derive(Debug)]
pub enum Fault {
    /// The function returned an error or panicked in Go; the text is Go's. Printed as `error calling NAME: TEXT`.
    Failed(String),
    /// A template run from within the function (`include`, `tpl`) failed; its place and chain are kept.
    Template(Box<super::Error>),
    /// The same, where the function adds words of its own: `error during tpl function execution for "x"`. Printed as
    /// `error calling NAME: TEXT: ERROR`. `source` is the text that was run as a template, whose places the error tells.
    Wrapped { text: String, source: Str, error: Box<super::Error> },
    /// A budget of the render is spent: ends the whole render and cannot be caught.
    Budget(String),
}

/// What a function can reach besides its arguments.
pub struct Call<'c> {
    pub host: &'c dyn Host,
    /// The running execution: its template set, for `include` and `tpl`.
    pub execution: &'c super::exec::Execution<'c>,
}

/// The stack of a thread on which charts are rendered: Helm allows a thousand nested `include`s.
pub const RENDER_STACK_BYTES: usize = 256 << 20;

/// What [`Host::stack_bytes`] says of a thread on which nothing was arranged; spawned threads have 2 MiB.
pub const STACK_BYTES_DEFAULT: usize = 1 << 20;

/// What differs from render to render. Implemented by `render` and by the tests of functions.
pub trait Host {
    /// The clock of this render: the same at every call.
    fn now(&self) -> jiff::Timestamp;
    /// The time zone Go calls `Local`.
    fn local_zone(&self) -> jiff::tz::TimeZone;
    /// Fills the buffer with random bytes (`randAlphaNum`, `uuidv4`, `shuffle`…).
    fn random(&self, buffer: &mut [u8]);
    /// A private key for certificates, as PKCS#8 DER.
    ///
    /// # Errors
    /// The key budget of the render is spent, or the kind of key is not supported.
    fn private_key(&self, key_type: KeyType) -> Result<Vec<u8>, Fault>;
    /// Takes `steps` from the render's budget.
    ///
    /// # Errors
    /// [`Fault::Budget`] when it is spent or the render was told to stop.
    fn spend(&self, steps: u64) -> Result<(), Fault>;
    /// Takes memory from the render's budget, before or after it is made. It is not given back: what a template makes,
    /// it may keep. A host without such a budget says yes.
    ///
    /// # Errors
    /// [`Fault::Budget`] when it is spent.
    fn spend_bytes(&self, _bytes: usize) -> Result<(), Fault> {
        Ok(())
    }
    /// Hears of a map that now holds another container: it may hold itself, and nobody would ever free it.
    fn note_nesting(&self, _map: &Map) {}
    /// Calls a method that `common.Values` or `engine.files` has in Helm and that needs more than the engine knows:
    /// `YAML` and `Encode` of the one, all methods of the other. The arguments fit the method's parameters; see
    /// `template/methods.rs`. `None` where this host has no such method.
    fn map_method(&self, _map: &Map, _name: &str, _arguments: &[Value]) -> Option<Result<Value, Fault>> {
        None
    }
    /// Who keeps account of what templates look at. Nobody, unless somebody asked for it.
    fn watch(&self) -> Option<&dyn Watch> {
        None
    }
    /// How many bytes of stack templates may use, measured from where execution starts. The thread must have them and
    /// some more for the functions that are called. Deeper nesting than that is an error of the template.
    ///
    /// The default fits any thread, but not every chart: a render thread has [`RENDER_STACK_BYTES`].
    fn stack_bytes(&self) -> usize {
        STACK_BYTES_DEFAULT
    }
    /// The host itself, for functions that belong to it (`include`, `tpl`, `lookup`).
    fn as_any(&self) -> &dyn Any;
}

/// Keeps account of what templates look at, told by the engine as it runs. Maps are known by their identity
/// ([`Map::is_same`]), so that it does not matter through how many names and helpers one was reached.
pub trait Watch {
    /// A key of a map was asked for. It may not be there.
    fn key(&self, map: &Map, key: &str, at: Spot<'_>);
    /// A function or method is called with these values; `range` and the printing of an action's value count as such.
    fn call(&self, name: &str, arguments: &[Value], at: Spot<'_>);
}

/// A place in the text of a template.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'t> {
    /// The name of the text: the file.
    pub source_name: &'t [u8],
    pub text: &'t [u8],
    /// In bytes from the start of the text.
    pub position: usize,
}

impl Spot<'_> {
    /// The line of the place, from 1.
    pub fn line(&self) -> usize {
        1 + self.text.iter().take(self.position).filter(|byte| **byte == b'\n').count()
    }
}

/// How deep values may be nested that a function walks through: each level takes some of the thread's stack.
pub const WALK_DEPTH_MAX: usize = 500;

/// So many bytes of a value's weight cost one step.
const WEIGHT_PER_STEP: usize = 256;

/// Takes the cost of a walk through values, before it begins. Says whether it would end: it would not where a map holds
/// itself.
///
/// # Errors
/// [`Fault::Budget`]: the values are too large or nested deeper than `depth_max`, or the steps are spent.
pub fn spend_on_walk(host: &dyn Host, function: &str, values: &[Value], depth_max: usize) -> Result<bool, Fault> {
    match weigh(values, depth_max) {
        Ok(weight) => host.spend((weight / WEIGHT_PER_STEP) as u64).map(|()| true),
        Err(Unfit::Endless) => Ok(false),
        Err(Unfit::TooDeep) => Err(Fault::Budget(format!("{function} met values nested more than {depth_max} deep"))),
        Err(Unfit::TooHeavy) => {
            Err(Fault::Budget(format!("{function} met values of more than {} MiB", WEIGHT_MAX >> 20)))
        }
    }
}

/// Takes the cost of making a text or a copy of all that values hold, before it is made.
///
/// # Errors
/// As [`spend_on_walk`], and for a map that holds itself: to print one ends Go's process.
pub fn spend_on_printing(host: &dyn Host, function: &str, values: &[Value]) -> Result<(), Fault> {
    match spend_on_walk(host, function, values, WALK_DEPTH_MAX)? {
        true => Ok(()),
        false => Err(Fault::Budget(format!("{function} met a map that holds itself"))),
    }
}

/// Kinds of private key that Sprig's certificate functions ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    Rsa2048,
    Rsa4096,
    EcdsaP256,
    Ed25519,
}

impl From<String> for Fault {
    fn from(text: String) -> Self {
        Fault::Failed(text)
    }
}

impl From<&str> for Fault {
    fn from(text: &str) -> Self {
        Fault::Failed(text.to_owned())
    }
}
