//! Values as Go sees them: dynamic types, shared maps, byte strings.
//!
//! A template engine that must print what Go prints needs Go's own distinctions: `int` is not
//! `int64`, `[]string` is not `[]interface {}`, a nil map is not an empty one, and two names may hold the same
//! map so that `set` through one is seen through the other. Nothing here knows templates, YAML or Kubernetes.
//!
//! Two forms of data exist:
//! - [`Value`], alive during one render, on one thread: maps are shared and mutable (`Rc<RefCell>`).
//! - [`serde_json::Value`], frozen: what charts, values files and Kubernetes objects are kept as between renders
//!   (`Send`, shared behind an `Arc`). [`Value::thaw`] and [`Value::freeze`] go from one to the other.

pub mod fmt;
pub mod json;
pub mod semver;
pub mod shape;
pub mod strconv;
pub mod unicode;
pub mod weigh;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

/// A value of one of Go's dynamic types.
#[derive(Clone, Debug)]
pub enum Value {
    /// The nil interface: no type, no value. Prints `<no value>` at the top of an action, `<nil>` inside containers.
    Nil,
    Bool(bool),
    /// A signed integer of a Go type; the number always fits it.
    Int(IntType, i64),
    /// An unsigned integer of a Go type; the number always fits it.
    Uint(UintType, u64),
    /// `float64`, the type of every number that came through YAML or JSON.
    Float(f64),
    Str(Str),
    /// `[]byte`.
    Bytes(Bytes),
    List(List),
    Map(Map),
    /// A Go struct or pointer with fields and methods: `.Capabilities.KubeVersion`, a semver, a certificate.
    Object(Rc<dyn Object>),
}

/// Go's signed integer types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntType {
    Int,
    Int8,
    Int16,
    Int32,
    Int64,
    /// `time.Duration`: an int64 of nanoseconds that prints as `1m30s`.
    Duration,
    /// `time.Month`: prints as `January`.
    Month,
    /// `time.Weekday`: prints as `Sunday`.
    Weekday,
}

/// Go's unsigned integer types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UintType {
    Uint,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
}

/// A Go string: any bytes, mostly UTF-8. Cloning shares.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str(Arc<[u8]>);

/// A Go slice. Elements are never changed in place by a template, so cloning shares.
#[derive(Clone, Debug)]
pub struct List {
    pub element: ElementType,
    /// `None` is the nil slice: prints `[]` as an empty one does, but is `null` in JSON.
    pub items: Option<Rc<[Value]>>,
}

/// The element types of slices that Helm, Sprig and the values produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// `[]interface {}`
    Any,
    /// `[]string`
    String,
    /// `[]int`
    Int,
    /// `[][]interface {}`
    AnyList,
    /// `[]map[string]interface {}`
    AnyMap,
    /// `common.VersionSet`, a `[]string` with the method `Has`: `.Capabilities.APIVersions`.
    Versions,
}

/// A Go map with string keys, shared and mutable: clones are the same map.
#[derive(Clone, Debug)]
pub struct Map {
    pub map_type: MapType,
    /// `None` is the nil map: reading finds nothing, writing panics in Go and fails here.
    pub entries: Option<Rc<RefCell<Entries>>>,
}

/// The entries of a map in the order Go prints them (bytewise by key).
pub type Entries = BTreeMap<Str, Value>;

/// The map types that Helm, Sprig and the values produce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapType {
    /// `map[string]interface {}`
    Any,
    /// `common.Values`, Helm's named type with methods; assignable where `map[string]interface {}` is asked for.
    Values,
    /// `map[string]string`
    String,
    /// `map[string]int`
    Int,
    /// `map[string][]byte`, named `engine.files`, with the methods of `.Files`.
    Files,
}

/// A Go struct, or a pointer to one.
pub trait Object: std::fmt::Debug {
    /// The Go type as `%T` prints it, for example `*semver.Version`.
    fn type_name(&self) -> &str;
    /// What `reflect.Kind` says of it: [`Kind::Ptr`], [`Kind::Struct`], [`Kind::Func`]…
    fn kind(&self) -> Kind;
    /// The exported field of that name.
    fn field(&self, name: &str) -> Option<Value>;
    /// The exported method of that name, with its parameter types. It is called through [`Object::call`].
    fn method(&self, _name: &str) -> Option<Signature> {
        None
    }
    /// Calls a method that [`Object::method`] knows, with arguments already checked against its signature.
    ///
    /// # Errors
    /// What the Go method would return as its error, as text.
    fn call(&self, name: &str, _arguments: &[Value]) -> Result<Value, String> {
        Err(format!("{} has no method {name}", self.type_name()))
    }
    /// The text of Go's `String()` or `Error()` method where the type has one; `fmt` uses it for `%v` and `%s`.
    fn stringer(&self) -> Option<String> {
        None
    }
    /// The text of Go's `GoString()` method where the type has one; `fmt` uses it for `%#v`.
    fn go_string(&self) -> Option<String> {
        None
    }
    /// The text of a `String()` method that only the pointer has. A template action that prints a value reached
    /// through a pointer uses it (`{{ .Capabilities.KubeVersion }}`); `fmt` does not, once the value was passed to a
    /// function.
    fn pointer_stringer(&self) -> Option<String> {
        None
    }
    /// The copy that a function gets as its argument, where it is another than the value: a struct without the methods
    /// that only the pointer has.
    fn copied(&self) -> Option<Value> {
        None
    }
    /// The fields in order, for `fmt` of a struct without `String()`: `{v1 2}`, and for JSON.
    fn fields(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }
    /// What `json.Marshal` makes of it.
    fn to_json(&self) -> serde_json::Value;
    /// For functions that take back what another function made (`semver` results, `date` arguments).
    fn as_any(&self) -> &dyn std::any::Any;
}

/// Parameter types of a function or method a template may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The types of the parameters; for a variadic function the last one repeats, none or more times.
    pub parameters: &'static [Type],
    pub variadic: bool,
}

/// A Go type as a template's argument rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// `interface {}`: takes anything, nil too.
    Any,
    /// `reflect.Value`: as `Any`, used by the built-ins.
    Reflect,
    Bool,
    Int,
    Int32,
    Int64,
    Uint8,
    Uint32,
    Float64,
    String,
    Bytes,
    /// `[]interface {}`
    AnyList,
    /// `[]string`
    StringList,
    /// `map[string]interface {}`
    AnyMap,
    /// `map[string]string`
    StringMap,
    /// `time.Time`
    Time,
    /// `time.Duration`
    Duration,
    /// `sprig.certificate`
    Certificate,
    /// `io.Writer`, which no template value is: the parameter of `.Values.Encode`.
    Writer,
}

impl std::fmt::Display for Type {
    /// The type as Go's `reflect.Type` prints it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Type::Any => "interface {}",
            Type::Reflect => "reflect.Value",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Int32 => "int32",
            Type::Int64 => "int64",
            Type::Uint8 => "uint8",
            Type::Uint32 => "uint32",
            Type::Float64 => "float64",
            Type::String => "string",
            Type::Bytes => "[]uint8",
            Type::AnyList => "[]interface {}",
            Type::StringList => "[]string",
            Type::AnyMap => "map[string]interface {}",
            Type::StringMap => "map[string]string",
            Type::Time => "time.Time",
            Type::Duration => "time.Duration",
            Type::Certificate => "sprig.certificate",
            Type::Writer => "io.Writer",
        })
    }
}

/// `reflect.Kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Invalid,
    Bool,
    Int,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Float64,
    String,
    Slice,
    Map,
    Ptr,
    Struct,
    Func,
}

impl Str {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, with invalid UTF-8 replaced by U+FFFD.
    pub fn to_text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Str(text.as_bytes().into())
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Str(text.into_bytes().into())
    }
}

impl From<Vec<u8>> for Str {
    fn from(bytes: Vec<u8>) -> Self {
        Str(bytes.into())
    }
}

impl From<Arc<[u8]>> for Str {
    fn from(bytes: Arc<[u8]>) -> Self {
        Str(bytes)
    }
}

impl From<&[u8]> for Str {
    fn from(bytes: &[u8]) -> Self {
        Str(bytes.into())
    }
}

/// A key is looked up by its bytes without making a [`Str`].
impl std::borrow::Borrow<[u8]> for Str {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Str {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.to_text())
    }
}

impl List {
    /// A `[]interface {}`.
    pub fn any(items: Vec<Value>) -> Self {
        List { element: ElementType::Any, items: Some(items.into()) }
    }

    /// A slice of another element type.
    pub fn typed(element: ElementType, items: Vec<Value>) -> Self {
        List { element, items: Some(items.into()) }
    }

    /// The elements; none for the nil slice.
    pub fn as_slice(&self) -> &[Value] {
        self.items.as_deref().unwrap_or(&[])
    }
}

impl Map {
    /// A new `map[string]interface {}` holding these entries.
    pub fn any(entries: Entries) -> Self {
        Map::typed(MapType::Any, entries)
    }

    /// A new map of another type.
    pub fn typed(map_type: MapType, entries: Entries) -> Self {
        Map { map_type, entries: Some(Rc::new(RefCell::new(entries))) }
    }

    /// The value at a key, or `None` where the key is absent (a key holding nil gives `Some(Value::Nil)`).
    pub fn get(&self, key: &[u8]) -> Option<Value> {
        self.entries.as_ref()?.borrow().get(key).cloned()
    }

    /// Sets a key, for every holder of this map. Does nothing on the nil map, where Go panics: callers check.
    pub fn set(&self, key: impl Into<Str>, value: Value) {
        if let Some(entries) = &self.entries {
            entries.borrow_mut().insert(key.into(), value);
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.as_ref().map_or(0, |entries| entries.borrow().len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries as they are now, in key order. Holding no borrow, so that a loop body may change the map.
    pub fn snapshot(&self) -> Vec<(Str, Value)> {
        match &self.entries {
            Some(entries) => entries.borrow().iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            None => Vec::new(),
        }
    }

    /// The same map object under another Go type: `common.Values(m)`.
    pub fn with_type(&self, map_type: MapType) -> Self {
        Map { map_type, entries: self.entries.clone() }
    }

    /// Whether both names hold the same map object.
    pub fn is_same(&self, other: &Map) -> bool {
        match (&self.entries, &other.entries) {
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        }
    }
}

impl Value {
    /// A Go string.
    pub fn string(text: impl Into<Str>) -> Self {
        Value::Str(text.into())
    }

    /// A Go `int`.
    pub fn int(number: i64) -> Self {
        Value::Int(IntType::Int, number)
    }

    /// A Go `int64`.
    pub fn int64(number: i64) -> Self {
        Value::Int(IntType::Int64, number)
    }

    /// A `[]interface {}`.
    pub fn list(items: Vec<Value>) -> Self {
        Value::List(List::any(items))
    }

    /// A `[]string`.
    pub fn strings<S: Into<Str>>(items: impl IntoIterator<Item = S>) -> Self {
        Value::List(List::typed(ElementType::String, items.into_iter().map(Value::string).collect()))
    }

    /// A `map[string]interface {}`.
    pub fn map(entries: Entries) -> Self {
        Value::Map(Map::any(entries))
    }

    /// Makes mutable Go values of frozen data, as `json.Unmarshal` into `interface {}` does: every number becomes
    /// `float64`.
    pub fn thaw(frozen: &serde_json::Value) -> Self {
        match frozen {
            serde_json::Value::Null => Value::Nil,
            serde_json::Value::Bool(b) => Value::Bool(*b),
            serde_json::Value::Number(n) => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(s) => Value::string(s.as_str()),
            serde_json::Value::Array(items) => Value::list(items.iter().map(Value::thaw).collect()),
            serde_json::Value::Object(fields) => {
                Value::map(fields.iter().map(|(k, v)| (Str::from(k.as_str()), Value::thaw(v))).collect())
            }
        }
    }

    /// What `json.Marshal` and a reader would make of it: the frozen form.
    ///
    /// Floats that are whole numbers become integers where a 64-bit type holds them, as JSON text does not tell them apart.
    /// NaN and infinities, which JSON refuses, become null: callers that must refuse them check first.
    pub fn freeze(&self) -> serde_json::Value {
        match self {
            Value::Nil => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Int(_, n) => (*n).into(),
            Value::Uint(_, n) => (*n).into(),
            Value::Float(f) if f.is_finite() => serde_json::Value::Number(json::number(*f)),
            Value::Float(_) => serde_json::Value::Null,
            Value::Str(s) => json::go_text(s.as_bytes()).into(),
            Value::Bytes(b) => base64::Engine::encode(&base64::engine::general_purpose::STANDARD, b).into(),
            Value::List(List { items: None, .. }) | Value::Map(Map { entries: None, .. }) => serde_json::Value::Null,
            Value::List(list) => list.as_slice().iter().map(Value::freeze).collect(),
            Value::Map(map) => {
                map.snapshot().iter().map(|(k, v)| (json::go_text(k.as_bytes()).into_owned(), v.freeze())).collect()
            }
            Value::Object(object) => object.to_json(),
        }
    }

    /// `reflect.Kind` of the dynamic type.
    pub fn kind(&self) -> Kind {
        match self {
            Value::Nil => Kind::Invalid,
            Value::Bool(_) => Kind::Bool,
            Value::Int(IntType::Int | IntType::Month | IntType::Weekday, _) => Kind::Int,
            Value::Int(IntType::Int8, _) => Kind::Int8,
            Value::Int(IntType::Int16, _) => Kind::Int16,
            Value::Int(IntType::Int32, _) => Kind::Int32,
            Value::Int(IntType::Int64 | IntType::Duration, _) => Kind::Int64,
            Value::Uint(UintType::Uint, _) => Kind::Uint,
            Value::Uint(UintType::Uint8, _) => Kind::Uint8,
            Value::Uint(UintType::Uint16, _) => Kind::Uint16,
            Value::Uint(UintType::Uint32, _) => Kind::Uint32,
            Value::Uint(UintType::Uint64, _) => Kind::Uint64,
            Value::Float(_) => Kind::Float64,
            Value::Str(_) => Kind::String,
            Value::Bytes(_) | Value::List(_) => Kind::Slice,
            Value::Map(_) => Kind::Map,
            Value::Object(object) => object.kind(),
        }
    }

    /// The dynamic type as `%T` prints it; `<nil>` for the nil interface.
    pub fn type_name(&self) -> String {
        match self {
            Value::Nil => "<nil>".into(),
            Value::Bool(_) => "bool".into(),
            Value::Int(int_type, _) => int_type.name().into(),
            Value::Uint(uint_type, _) => uint_type.name().into(),
            Value::Float(_) => "float64".into(),
            Value::Str(_) => "string".into(),
            Value::Bytes(_) => "[]uint8".into(),
            Value::List(list) => list.element.list_name().into(),
            Value::Map(map) => map.map_type.name().into(),
            Value::Object(object) => object.type_name().to_owned(),
        }
    }

    /// What a template calls true: not zero, not empty. Structs and non-nil pointers are true.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(b) => *b,
            Value::Int(_, n) => *n != 0,
            Value::Uint(_, n) => *n != 0,
            Value::Float(f) => *f != 0.0,
            Value::Str(s) => !s.as_bytes().is_empty(),
            Value::Bytes(b) => !b.is_empty(),
            Value::List(list) => !list.as_slice().is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::Object(_) => true,
        }
    }
}

impl IntType {
    fn name(self) -> &'static str {
        match self {
            IntType::Int => "int",
            IntType::Int8 => "int8",
            IntType::Int16 => "int16",
            IntType::Int32 => "int32",
            IntType::Int64 => "int64",
            IntType::Duration => "time.Duration",
            IntType::Month => "time.Month",
            IntType::Weekday => "time.Weekday",
        }
    }
}

impl UintType {
    fn name(self) -> &'static str {
        match self {
            UintType::Uint => "uint",
            UintType::Uint8 => "uint8",
            UintType::Uint16 => "uint16",
            UintType::Uint32 => "uint32",
            UintType::Uint64 => "uint64",
        }
    }
}

impl ElementType {
    fn list_name(self) -> &'static str {
        match self {
            ElementType::Any => "[]interface {}",
            ElementType::String => "[]string",
            ElementType::Int => "[]int",
            ElementType::AnyList => "[][]interface {}",
            ElementType::AnyMap => "[]map[string]interface {}",
            ElementType::Versions => "common.VersionSet",
        }
    }
}

impl MapType {
    fn name(self) -> &'static str {
        match self {
            MapType::Any => "map[string]interface {}",
            MapType::Values => "common.Values",
            MapType::String => "map[string]string",
            MapType::Int => "map[string]int",
            MapType::Files => "engine.files",
        }
    }
}
