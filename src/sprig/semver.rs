//! `semver` and `semverCompare`: versions as objects with fields to read and compare.

use std::any::Any;
use std::cmp::Ordering;
use std::rc::Rc;

use super::argument::uint64;
use crate::value::semver::{Constraint, Version};
use crate::value::{Kind, Object, Signature, Type, Value};

/// Whether the version is in the range; ranges follow [`Constraint`].
///
/// # Errors
/// The range or the version cannot be read.
pub(super) fn compare(constraint: &[u8], version: &[u8]) -> Result<bool, String> {
    let constraint = Constraint::parse(&String::from_utf8_lossy(constraint))?;
    Ok(constraint.check(&Version::parse_loose(&String::from_utf8_lossy(version))?))
}

/// A version, read as charts write it.
///
/// # Errors
/// The text is no version.
pub(super) fn version(text: &[u8]) -> Result<Value, String> {
    let version = Version::parse_loose(&String::from_utf8_lossy(text))?;
    Ok(Value::Object(Rc::new(VersionObject { version, is_pointer: true })))
}

/// What Sprig's `deepCopy` makes of a version: it cannot see the numbers, so the copy is 0.0.0. `None` for other values.
pub(super) fn deep_copy(value: &Value) -> Option<Value> {
    let Value::Object(object) = value else { return None };
    let is_pointer = object.as_any().downcast_ref::<VersionObject>()?.is_pointer;
    let version = Version::parse("0.0.0").expect("a version");
    Some(Value::Object(Rc::new(VersionObject { version, is_pointer })))
}

/// `*semver.Version`, or `semver.Version`, which its `Inc…` and `Set…` methods return.
#[derive(Debug)]
struct VersionObject {
    version: Version,
    is_pointer: bool,
}

impl Object for VersionObject {
    fn type_name(&self) -> &str {
        if self.is_pointer { "*semver.Version" } else { "semver.Version" }
    }

    fn kind(&self) -> Kind {
        if self.is_pointer { Kind::Ptr } else { Kind::Struct }
    }

    fn field(&self, _name: &str) -> Option<Value> {
        None
    }

    fn method(&self, name: &str) -> Option<Signature> {
        let parameters: &'static [Type] = match name {
            "Major" | "Minor" | "Patch" | "Prerelease" | "Metadata" | "String" | "IncMajor" | "IncMinor"
            | "IncPatch" | "MarshalJSON" | "MarshalText" | "Value" => &[],
            "SetPrerelease" | "SetMetadata" => &[Type::String],
            // These have pointer receivers, which a plain structure in a template does not offer.
            "Original" if self.is_pointer => &[],
            "Compare" | "Equal" | "GreaterThan" | "GreaterThanEqual" | "LessThan" | "LessThanEqual"
                if self.is_pointer =>
            {
                &[Type::Any]
            }
            _ => return None,
        };
        Some(Signature { parameters, variadic: false })
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        let version = &self.version;
        let plain = |version: Result<Version, String>| {
            version.map(|version| Value::Object(Rc::new(VersionObject { version, is_pointer: false })))
        };
        let text = |index: usize| String::from_utf8_lossy(super::argument::string(arguments, index)).into_owned();
        let order = || other_version(arguments).map(|other| version.cmp(other));
        Ok(match name {
            "Major" => uint64(version.major),
            "Minor" => uint64(version.minor),
            "Patch" => uint64(version.patch),
            "Prerelease" => Value::string(version.prerelease.as_str()),
            "Metadata" => Value::string(version.metadata.as_str()),
            "Original" => Value::string(version.original()),
            "String" | "Value" => Value::string(version.to_string()),
            "MarshalText" => Value::Bytes(version.to_string().into_bytes().into()),
            "MarshalJSON" => Value::Bytes(format!("\"{version}\"").into_bytes().into()),
            "IncMajor" => plain(version.next_major())?,
            "IncMinor" => plain(version.next_minor())?,
            "IncPatch" => plain(version.next_patch())?,
            "SetPrerelease" => plain(version.with_prerelease(&text(0)))?,
            "SetMetadata" => plain(version.with_metadata(&text(0)))?,
            "Compare" => Value::int(order()? as i64),
            "Equal" => Value::Bool(!matches!(arguments, [Value::Nil]) && order()? == Ordering::Equal),
            "GreaterThan" => Value::Bool(order()? == Ordering::Greater),
            "GreaterThanEqual" => Value::Bool(order()? != Ordering::Less),
            "LessThan" => Value::Bool(order()? == Ordering::Less),
            "LessThanEqual" => Value::Bool(order()? != Ordering::Greater),
            _ => return Err(format!("{} has no method {name}", self.type_name())),
        })
    }

    fn stringer(&self) -> Option<String> {
        Some(self.version.to_string())
    }

    fn to_json(&self) -> serde_json::Value {
        self.version.to_string().into()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The argument of a comparison, which must be another version by pointer; Go follows a nil one.
fn other_version(arguments: &[Value]) -> Result<&Version, String> {
    let found = match arguments {
        [Value::Nil] => return Err("runtime error: invalid memory address or nil pointer dereference".into()),
        [Value::Object(object)] => object.as_any().downcast_ref::<VersionObject>(),
        _ => None,
    };
    found.filter(|other| other.is_pointer).map(|other| &other.version).ok_or_else(|| {
        let found = arguments.first().map_or_else(String::new, Value::type_name);
        format!("wrong type for value; expected *semver.Version; got {found}")
    })
}
