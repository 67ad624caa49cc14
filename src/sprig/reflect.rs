//! Names of types and kinds, and Go's deep equality.

use super::limits::{DEPTH_MAX, spend_on_items, spend_on_text, too_deep};
use crate::template::func::{Fault, Host};
use crate::value::{Kind, Map, Object, Value};

/// `reflect.Kind.String`.
pub(super) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "invalid",
        Kind::Bool => "bool",
        Kind::Int => "int",
        Kind::Int8 => "int8",
        Kind::Int16 => "int16",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Uint => "uint",
        Kind::Uint8 => "uint8",
        Kind::Uint16 => "uint16",
        Kind::Uint32 => "uint32",
        Kind::Uint64 => "uint64",
        Kind::Float64 => "float64",
        Kind::String => "string",
        Kind::Slice => "slice",
        Kind::Map => "map",
        Kind::Ptr => "ptr",
        Kind::Struct => "struct",
        Kind::Func => "func",
    }
}

/// Whether the value's type, or the type it points to, has this name.
pub(super) fn type_is_like(name: &[u8], value: &Value) -> bool {
    let type_name = value.type_name();
    type_name.as_bytes() == name || type_name.as_bytes().strip_prefix(b"*") == Some(name)
}

/// `reflect.DeepEqual`: same dynamic type and same content; NaN equals nothing, nil is not empty.
pub(super) fn deep_equal(host: &dyn Host, left: &Value, right: &Value) -> Result<bool, Fault> {
    DeepEqual::new(host).equal(left, right)
}

/// A comparison on its way into containers.
pub(super) struct DeepEqual<'h> {
    host: &'h dyn Host,
    depth: usize,
}

impl<'h> DeepEqual<'h> {
    pub(super) fn new(host: &'h dyn Host) -> Self {
        DeepEqual { host, depth: 0 }
    }

    pub(super) fn equal(&mut self, left: &Value, right: &Value) -> Result<bool, Fault> {
        match (left, right) {
            (Value::Nil, Value::Nil) => Ok(true),
            (Value::Bool(l), Value::Bool(r)) => Ok(l == r),
            (Value::Int(l_type, l), Value::Int(r_type, r)) => Ok(l_type == r_type && l == r),
            (Value::Uint(l_type, l), Value::Uint(r_type, r)) => Ok(l_type == r_type && l == r),
            (Value::Float(l), Value::Float(r)) => Ok(l == r),
            (Value::Str(l), Value::Str(r)) if l.as_bytes().len() == r.as_bytes().len() => {
                spend_on_text(self.host, "deepEqual", Some(l.as_bytes().len()))?;
                Ok(l == r)
            }
            (Value::Bytes(l), Value::Bytes(r)) => Ok(l == r),
            (Value::List(l), Value::List(r)) => {
                if l.element != r.element || l.items.is_some() != r.items.is_some() {
                    return Ok(false);
                }
                let is_same = std::ptr::eq(l.as_slice(), r.as_slice());
                Ok(is_same
                    || self.all_equal(l.as_slice().iter().zip(r.as_slice()), l.as_slice().len(), r.as_slice().len())?)
            }
            (Value::Map(l), Value::Map(r)) => self.maps_equal(l, r),
            (Value::Object(l), Value::Object(r)) => self.objects_equal(&**l, &**r),
            _ => Ok(false),
        }
    }

    fn maps_equal(&mut self, left: &Map, right: &Map) -> Result<bool, Fault> {
        if left.map_type != right.map_type || left.entries.is_some() != right.entries.is_some() {
            return Ok(false);
        }
        if left.is_same(right) {
            return Ok(true);
        }
        let (left, right) = (left.snapshot(), right.snapshot());
        let keys_equal = left.iter().map(|(key, _)| key).eq(right.iter().map(|(key, _)| key));
        let values = left.iter().map(|(_, value)| value).zip(right.iter().map(|(_, value)| value));
        Ok(keys_equal && self.all_equal(values, left.len(), right.len())?)
    }

    /// Structs and what pointers point to: the type, the exported fields, and the text, which shows the others.
    fn objects_equal(&mut self, left: &dyn Object, right: &dyn Object) -> Result<bool, Fault> {
        if left.type_name() != right.type_name() || left.stringer() != right.stringer() {
            return Ok(false);
        }
        let (left, right) = (left.fields(), right.fields());
        let values = left.iter().map(|(_, value)| value).zip(right.iter().map(|(_, value)| value));
        self.all_equal(values, left.len(), right.len())
    }

    fn all_equal<'v>(
        &mut self,
        pairs: impl Iterator<Item = (&'v Value, &'v Value)>,
        left_length: usize,
        right_length: usize,
    ) -> Result<bool, Fault> {
        if left_length != right_length {
            return Ok(false);
        }
        spend_on_items(self.host, "deepEqual", left_length as u128)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_deep("deepEqual"));
        }
        for (left, right) in pairs {
            if !self.equal(left, right)? {
                self.depth -= 1;
                return Ok(false);
            }
        }
        self.depth -= 1;
        Ok(true)
    }
}
