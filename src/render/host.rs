//! What a render gives its templates besides values: clock, randomness, the cluster, and budgets.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::reads::Watcher;
use super::{ParsedTemplates, Used, files, helm_funcs};
use crate::template::func::{Fault, Host, KeyType, Watch};
use crate::value::{Entries, Map, MapType, Str, Value};

/// How much one render may use. Far above what any chart in the wild asks for; DIFFERENCES.md says how far.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Steps of templates and functions; a loop of `range` costs one a turn at least.
    pub steps_max: u64,
    /// Memory of all that templates make and write, whether they keep it or not.
    pub made_bytes_max: usize,
    /// Private keys made for certificates.
    pub keys_max: u32,
    /// All rendered files together.
    pub output_bytes_max: usize,
    /// `include` of one name within itself. Helm's own limit.
    pub include_depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            steps_max: 200_000_000,
            made_bytes_max: 256 << 20,
            keys_max: 64,
            output_bytes_max: 20 << 20,
            include_depth_max: 1_000,
        }
    }
}

/// Asks the cluster for objects, on behalf of `lookup`.
pub trait Lookup: Send + Sync {
    /// The object, or where `name` is empty the list of all of that kind; an empty object where there is none.
    /// `namespace` is empty for all namespaces and for kinds without.
    ///
    /// # Errors
    /// Why the cluster could not be asked; the render fails with this text.
    fn get(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<serde_json::Value, String>;
}

/// A cluster that has nothing: what `lookup` sees without a connection.
#[derive(Clone, Copy, Debug)]
pub struct Offline;

impl Lookup for Offline {
    fn get(&self, _: &str, _: &str, _: &str, _: &str) -> Result<serde_json::Value, String> {
        Ok(serde_json::json!({}))
    }
}

/// Random bytes and new keys.
pub trait Entropy: Send + Sync {
    /// Fills the buffer with random bytes.
    fn fill(&self, buffer: &mut [u8]);
    /// A new private key as PKCS#8 DER.
    ///
    /// # Errors
    /// Why there is none.
    fn private_key(&self, key_type: KeyType) -> Result<Vec<u8>, String>;
}

/// The clock, the randomness, the cluster and the budgets of a render.
#[derive(Clone)]
pub struct Options {
    pub now: Timestamp,
    /// What Go calls `Local`. Asked for only by templates that print local time: finding it out may read many files.
    pub local_zone: fn() -> TimeZone,
    pub lookup: Arc<dyn Lookup>,
    pub entropy: Arc<dyn Entropy>,
    pub limits: Limits,
    /// Set from outside to end the render soon: its time is over.
    pub stop: Arc<AtomicBool>,
    /// What earlier renders of this chart have parsed.
    pub parsed: Arc<ParsedTemplates>,
}

pub(super) struct RenderHost {
    options: Options,
    steps_left: Cell<u64>,
    made_bytes_left: Cell<usize>,
    keys_left: Cell<u32>,
    /// Maps that may hold themselves, by address; see [`Host::note_nesting`].
    nesting: RefCell<HashMap<usize, Weak<RefCell<Entries>>>>,
    /// How many `include`s of each name are running.
    included: RefCell<HashMap<Str, usize>>,
    /// Where a chart is only looked at: what `required` and `fail` said instead of ending the render.
    remarks: Option<RefCell<Vec<Remark>>>,
    watcher: Option<Rc<Watcher>>,
}

/// What a template would have refused, had this been a render for a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// `required` found nothing.
    Missing(String),
    /// `required` found an empty text.
    Empty(String),
    /// `fail` was called.
    Fail(String),
}

impl RenderHost {
    pub(super) fn new(options: Options) -> Self {
        RenderHost {
            steps_left: Cell::new(options.limits.steps_max),
            made_bytes_left: Cell::new(options.limits.made_bytes_max),
            keys_left: Cell::new(options.limits.keys_max),
            nesting: RefCell::default(),
            included: RefCell::default(),
            remarks: None,
            watcher: None,
            options,
        }
    }

    /// For a render of which account is kept.
    pub(super) fn watched(options: Options, watcher: Rc<Watcher>) -> Self {
        let mut host = RenderHost::new(options);
        host.watcher = Some(watcher);
        host
    }

    pub(super) fn watcher(&self) -> Option<&Watcher> {
        self.watcher.as_deref()
    }

    /// For a render in which `required` and `fail` only remark.
    pub(super) fn of_lint(options: Options) -> Self {
        let mut host = RenderHost::new(options);
        host.remarks = Some(RefCell::default());
        host
    }

    /// Takes note of a remark; gives it back where it must end the render.
    pub(super) fn remark(&self, remark: Remark) -> Result<(), Remark> {
        match &self.remarks {
            Some(remarks) => {
                remarks.borrow_mut().push(remark);
                Ok(())
            }
            None => Err(remark),
        }
    }

    pub(super) fn into_remarks(mut self) -> Vec<Remark> {
        self.remarks.take().map(RefCell::into_inner).unwrap_or_default()
    }

    /// The host behind a call, which `render` has put there.
    pub(super) fn of(host: &dyn Host) -> &RenderHost {
        host.as_any().downcast_ref().expect("render runs templates with its own host")
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.options.limits
    }

    pub(super) fn parsed(&self) -> &ParsedTemplates {
        &self.options.parsed
    }

    /// What was used up to now.
    pub(super) fn used(&self, output_bytes: usize) -> Used {
        let limits = self.limits();
        Used {
            steps: limits.steps_max - self.steps_left.get(),
            made_bytes: limits.made_bytes_max - self.made_bytes_left.get(),
            output_bytes,
        }
    }

    pub(super) fn lookup(
        &self,
        api_version: &str,
        kind: &str,
        ns: &str,
        name: &str,
    ) -> Result<serde_json::Value, Fault> {
        self.options.lookup.get(api_version, kind, ns, name).map_err(Fault::Failed)
    }

    /// Notes that an `include` of a name runs, until what is given back is dropped.
    pub(super) fn enter<'h>(&'h self, name: &Str) -> Result<Nested<'h>, Fault> {
        let mut included = self.included.borrow_mut();
        let depth = included.entry(name.clone()).or_default();
        if *depth > self.options.limits.include_depth_max {
            let name = name.to_text();
            let text = format!("rendering template has a nested reference name: {name}: unable to execute template");
            return Err(Fault::Failed(text));
        }
        *depth += 1;
        Ok(Nested { host: self, name: name.clone() })
    }
}

/// A map that holds itself is never dropped, so the maps that might are emptied when the render is over.
impl Drop for RenderHost {
    fn drop(&mut self) {
        for entries in self.nesting.take().into_values().filter_map(|entries| entries.upgrade()) {
            let emptied = entries.take();
            drop(emptied);
        }
    }
}

/// An `include` that is running.
pub(super) struct Nested<'h> {
    host: &'h RenderHost,
    name: Str,
}

impl Drop for Nested<'_> {
    fn drop(&mut self) {
        if let Some(depth) = self.host.included.borrow_mut().get_mut(&self.name) {
            *depth -= 1;
        }
    }
}

impl Host for RenderHost {
    fn now(&self) -> Timestamp {
        self.options.now
    }

    fn local_zone(&self) -> TimeZone {
        (self.options.local_zone)()
    }

    fn random(&self, buffer: &mut [u8]) {
        self.options.entropy.fill(buffer);
    }

    fn private_key(&self, key_type: KeyType) -> Result<Vec<u8>, Fault> {
        let Some(left) = self.keys_left.get().checked_sub(1) else {
            return Err(Fault::Budget(format!("more than {} private keys", self.options.limits.keys_max)));
        };
        self.keys_left.set(left);
        self.options.entropy.private_key(key_type).map_err(Fault::Failed)
    }

    fn spend(&self, steps: u64) -> Result<(), Fault> {
        if self.options.stop.load(Ordering::Relaxed) {
            return Err(Fault::Budget("its time is over".into()));
        }
        match self.steps_left.get().checked_sub(steps) {
            Some(left) => {
                self.steps_left.set(left);
                Ok(())
            }
            None => Err(Fault::Budget(format!("more than {} steps", self.options.limits.steps_max))),
        }
    }

    fn spend_bytes(&self, bytes: usize) -> Result<(), Fault> {
        match self.made_bytes_left.get().checked_sub(bytes) {
            Some(left) => {
                self.made_bytes_left.set(left);
                Ok(())
            }
            None => {
                let limit = self.options.limits.made_bytes_max;
                Err(Fault::Budget(format!("its templates make more than {limit} bytes of values and text")))
            }
        }
    }

    fn note_nesting(&self, map: &Map) {
        if let Some(entries) = &map.entries {
            let address = Rc::as_ptr(entries).addr();
            self.nesting.borrow_mut().entry(address).or_insert_with(|| Rc::downgrade(entries));
        }
    }

    fn map_method(&self, map: &Map, name: &str, arguments: &[Value]) -> Option<Result<Value, Fault>> {
        match (map.map_type, name) {
            (MapType::Files, name) => files::call(self, map, name, arguments),
            (MapType::Values, "YAML") => {
                let yaml = helm_funcs::to_yaml(self, "YAML", &Value::Map(map.clone()));
                Some(yaml.and_then(|yaml| yaml.map(|text| Value::string(text + "\n")).map_err(Fault::Failed)))
            }
            _ => None,
        }
    }

    fn watch(&self) -> Option<&dyn Watch> {
        self.watcher.as_deref().map(|watcher| watcher as &dyn Watch)
    }

    fn stack_bytes(&self) -> usize {
        super::stack_bytes()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
