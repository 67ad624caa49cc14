//! JSON patches: RFC 6902 as Kustomize applies it (`gopkg.in/evanphx/json-patch.v4`).
//!
//! That library goes beyond the RFC in some places, and patches in use rely on it: `replace` sets a field that was not
//! there, an index may count from the end, `test` for null holds where the field is missing.

use std::fmt;

use serde_json::Value as Json;

/// A path into an object, `/spec/template/spec/containers/0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointer {
    text: String,
    /// Unescaped. Empty for the whole object.
    parts: Vec<String>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operation {
    Add { path: Pointer, value: Json },
    Remove { path: Pointer },
    Replace { path: Pointer, value: Json },
    Move { from: Pointer, path: Pointer },
    Copy { from: Pointer, path: Pointer },
    Test { path: Pointer, value: Json },
}

impl Operation {
    /// Reads an element of a patch.
    ///
    /// # Errors
    /// What is missing or wrong in it.
    pub(super) fn parse(json: &Json) -> Result<Self, String> {
        let Some(fields) = json.as_object() else { return Err("it is not a table with op and path".into()) };
        let text = |name: &str| match fields.get(name) {
            Some(Json::String(text)) => Ok(text.as_str()),
            Some(_) => Err(format!("its {name} is not a text")),
            None => Err(format!("it has no {name}")),
        };
        let pointer = |name: &str| Pointer::parse(text(name)?).map_err(|wrong| format!("its {name} {wrong}"));
        let value = || fields.get("value").cloned().ok_or("it has no value; write value: null for null");
        Ok(match text("op")? {
            "add" => Operation::Add { path: pointer("path")?, value: value()? },
            "remove" => Operation::Remove { path: pointer("path")? },
            "replace" => Operation::Replace { path: pointer("path")?, value: value()? },
            "move" => Operation::Move { from: pointer("from")?, path: pointer("path")? },
            "copy" => Operation::Copy { from: pointer("from")?, path: pointer("path")? },
            "test" => Operation::Test { path: pointer("path")?, value: value()? },
            other => return Err(format!("its op {other:?} is none of add, remove, replace, move, copy and test")),
        })
    }

    /// Changes an object in place.
    ///
    /// # Errors
    /// Why it does not apply; the object may be changed in part then.
    pub(super) fn apply(&self, object: &mut Json) -> Result<(), String> {
        match self {
            Operation::Add { path, value } => add(object, path, value.clone()),
            Operation::Remove { path } => remove(object, path).map(drop),
            Operation::Replace { path, value } => replace(object, path, value.clone()),
            Operation::Move { from, path } => {
                let value = remove(object, from)?;
                add(object, path, value)
            }
            Operation::Copy { from, path } => {
                let value = get(object, from)?.cloned().unwrap_or_default();
                add(object, path, value)
            }
            Operation::Test { path, value } => {
                let found = if path.parts.is_empty() { Some(&*object) } else { get(object, path)? };
                match found.unwrap_or(&Json::Null) == value {
                    true => Ok(()),
                    false => Err("the value there is another".into()),
                }
            }
        }
    }
}

/// `replace /spec/replicas`, `move /a to /b`
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operation::Add { path, .. } => write!(f, "add {}", path.text),
            Operation::Remove { path } => write!(f, "remove {}", path.text),
            Operation::Replace { path, .. } => write!(f, "replace {}", path.text),
            Operation::Move { from, path } => write!(f, "move {} to {}", from.text, path.text),
            Operation::Copy { from, path } => write!(f, "copy {} to {}", from.text, path.text),
            Operation::Test { path, .. } => write!(f, "test {}", path.text),
        }
    }
}

impl Pointer {
    fn parse(text: &str) -> Result<Self, String> {
        let parts = match text.strip_prefix('/') {
            Some(rest) => rest.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect(),
            None if text.is_empty() => Vec::new(),
            None => return Err(format!("{text:?} does not begin with a slash")),
        };
        Ok(Pointer { text: text.to_owned(), parts })
    }

    /// The table or list that holds what is pointed at, and its key there.
    fn holder<'p, 'j>(&'p self, object: &'j mut Json) -> Result<(&'j mut Json, &'p str), String> {
        let (key, parents) = self.parts.split_last().ok_or("the whole object cannot be meant here")?;
        let mut at = object;
        for (depth, part) in parents.iter().enumerate() {
            let missing = || format!("there is no /{}", parents[..=depth].join("/"));
            at = match at {
                Json::Object(table) => table.get_mut(part).ok_or_else(missing)?,
                Json::Array(items) => {
                    let index = index(part, items.len()).map_err(|_| missing())?;
                    &mut items[index]
                }
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => return Err(missing()),
            };
        }
        match at {
            Json::Object(_) | Json::Array(_) => Ok((at, key)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
                Err(format!("there is no table or list at /{}", parents.join("/")))
            }
        }
    }
}

/// The position an index means in a list; negative ones count from its end.
fn index(key: &str, length: usize) -> Result<usize, String> {
    let number: i64 = key.parse().map_err(|_| format!("{key:?} is no index of a list"))?;
    let position = match usize::try_from(number) {
        Ok(position) => Some(position),
        Err(_) => usize::try_from(number.unsigned_abs()).ok().and_then(|back| length.checked_sub(back)),
    };
    position.filter(|position| *position < length).ok_or_else(|| format!("the list has no element {key}"))
}

fn add(object: &mut Json, path: &Pointer, value: Json) -> Result<(), String> {
    match path.holder(object)? {
        (Json::Object(table), key) => drop(table.insert(key.to_owned(), value)),
        (Json::Array(items), "-") => items.push(value),
        (Json::Array(items), key) => {
            let position = index(key, items.len() + 1)?;
            items.insert(position, value);
        }
        _ => unreachable_holder(),
    }
    Ok(())
}

fn remove(object: &mut Json, path: &Pointer) -> Result<Json, String> {
    match path.holder(object)? {
        (Json::Object(table), key) => table.remove(key).ok_or_else(|| format!("there is no {}", path.text)),
        (Json::Array(items), key) => {
            let position = index(key, items.len())?;
            Ok(items.remove(position))
        }
        _ => unreachable_holder(),
    }
}

fn replace(object: &mut Json, path: &Pointer, value: Json) -> Result<(), String> {
    if path.parts.is_empty() {
        *object = value;
        return Ok(());
    }
    match path.holder(object)? {
        (Json::Object(table), key) => drop(table.insert(key.to_owned(), value)),
        (Json::Array(items), key) => {
            let position = index(key, items.len())?;
            items[position] = value;
        }
        _ => unreachable_holder(),
    }
    Ok(())
}

/// What is pointed at, `None` where the table there has no such field.
fn get<'j>(object: &'j mut Json, path: &Pointer) -> Result<Option<&'j Json>, String> {
    match path.holder(object)? {
        (Json::Object(table), key) => Ok(table.get(key)),
        (Json::Array(items), key) => {
            let position = index(key, items.len())?;
            Ok(items.get(position))
        }
        _ => unreachable_holder(),
    }
}

fn unreachable_holder() -> ! {
    unreachable!("a holder is a table or a list: checked by Pointer::holder")
}
