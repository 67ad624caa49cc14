//! Strategic merge patches as Kustomize merges them (kyaml `yaml/merge2` and `yaml/walk`), which is not quite as
//! kubectl does: new elements of a list come first, lists of unknown kinds are replaced as a whole.
//!
//! Object and patch share nodes while they are merged, as they do there: a table that the patch adds *is* the patch's,
//! and is walked as its own patch, and a field that is set takes over the content of a node, not the node. The outcome
//! for lists depends on it, so nodes live in one store here and are named by their number.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::Problem;
use super::keys::Rule;
use super::resource::Id;

/// How many elements of lists may be looked at. Lists are searched element by element for each element.
const STEPS_MAX: usize = 20_000_000;

const DIRECTIVE: &str = "$patch";

/// The object with the patch merged into it; `None` where the patch deletes it. Its kind, name and namespace stay.
pub(super) fn apply(object: &Json, patch: &Json) -> Result<Option<Json>, Problem> {
    let id = Id::of(object);
    let mut patch = patch.clone();
    patch["apiVersion"] = object.get("apiVersion").cloned().unwrap_or_default();

    let mut nodes = Nodes { all: Vec::new(), steps_left: STEPS_MAX };
    let (dest, patch) = (nodes.thaw(object), nodes.thaw(&patch));
    let merged = nodes.merge(Some(dest), Some(patch), None, &mut Vec::new()).map_err(|fault| fault.of(&id))?;
    let merged = merged.map(|merged| nodes.freeze(merged));
    let Some(Json::Object(mut merged)) = merged.filter(|merged| merged.as_object().is_some_and(|it| !it.is_empty()))
    else {
        return Ok(None);
    };
    merged.insert("kind".into(), id.kind.as_str().into());
    let metadata = merged.entry("metadata").or_insert(Json::Null);
    if metadata.is_null() {
        *metadata = Json::Object(Map::new());
    }
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("name".into(), id.name.as_str().into());
        match id.namespace.as_str() {
            "" => drop(metadata.remove("namespace")),
            namespace => drop(metadata.insert("namespace".into(), namespace.into())),
        }
    }
    let merged = Json::Object(merged);
    match directive_left(&merged, &mut Vec::new()) {
        Some((directive, field)) => Err(Problem::Directive { object: id.to_string(), field, directive }),
        None => Ok(Some(merged)),
    }
}

/// A directive that was not followed, because it stands below a list that is not merged.
fn directive_left(json: &Json, path: &mut Vec<String>) -> Option<(String, String)> {
    match json {
        Json::Object(table) => table.iter().find_map(|(key, value)| {
            if key == DIRECTIVE {
                return Some((format!("{key}: {}", value.as_str().unwrap_or_default()), path.join(".")));
            }
            path.push(key.clone());
            let found = directive_left(value, path);
            path.pop();
            found
        }),
        Json::Array(items) => items.iter().find_map(|item| directive_left(item, path)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => None,
    }
}

/// The number of a node.
type NodeId = usize;

#[derive(Clone, Debug)]
enum Node {
    Null,
    /// A bool, a number or a text.
    Scalar(Json),
    List(Vec<NodeId>),
    Table(BTreeMap<String, NodeId>),
}

struct Nodes {
    all: Vec<Node>,
    steps_left: usize,
}

/// Why a merge failed, before the object is known.
enum Fault {
    Shape { field: String, found: &'static str, wanted: &'static str },
    NotA { field: String, wanted: &'static str },
    Lost { field: String, lost: String, instead: String },
    Budget,
}

impl Fault {
    fn of(self, id: &Id) -> Problem {
        let object = id.to_string();
        match self {
            Fault::Shape { field, found, wanted } => Problem::Shape { object, field, found, wanted },
            Fault::NotA { field, wanted } => Problem::NotA { object, field, wanted },
            Fault::Lost { field, lost, instead } => Problem::Lost { object, field, lost, instead },
            Fault::Budget => Problem::Budget { object },
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

impl Directive {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "merge" => Directive::Merge,
            "replace" => Directive::Replace,
            "delete" => Directive::Delete,
            _ => return None,
        })
    }
}

impl Node {
    fn shape(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Scalar(_) => "a scalar",
            Node::List(_) => "a list",
            Node::Table(_) => "a table",
        }
    }
}

/// What a key of a list's element says: the values of its merge keys as text, empty where it has none.
type Values = Vec<String>;

impl Nodes {
    fn thaw(&mut self, json: &Json) -> NodeId {
        let node = match json {
            Json::Null => Node::Null,
            Json::Bool(_) | Json::Number(_) | Json::String(_) => Node::Scalar(json.clone()),
            Json::Array(items) => Node::List(items.iter().map(|item| self.thaw(item)).collect()),
            Json::Object(table) => {
                Node::Table(table.iter().map(|(key, value)| (key.clone(), self.thaw(value))).collect())
            }
        };
        self.add(node)
    }

    fn freeze(&self, id: NodeId) -> Json {
        match &self.all[id] {
            Node::Null => Json::Null,
            Node::Scalar(json) => json.clone(),
            Node::List(items) => items.iter().map(|item| self.freeze(*item)).collect(),
            Node::Table(table) => table.iter().map(|(key, value)| (key.clone(), self.freeze(*value))).collect(),
        }
    }

    fn add(&mut self, node: Node) -> NodeId {
        self.all.push(node);
        self.all.len() - 1
    }

    fn items(&self, id: NodeId) -> &[NodeId] {
        match &self.all[id] {
            Node::List(items) => items,
            Node::Null | Node::Scalar(_) | Node::Table(_) => &[],
        }
    }

    fn field(&self, id: NodeId, name: &str) -> Option<NodeId> {
        match &self.all[id] {
            Node::Table(table) => table.get(name).copied(),
            Node::Null | Node::Scalar(_) | Node::List(_) => None,
        }
    }

    /// A scalar as it is written; nothing for collections.
    fn text(&self, id: NodeId) -> String {
        match &self.all[id] {
            Node::Scalar(Json::String(text)) => text.clone(),
            Node::Scalar(json) => json.to_string(),
            Node::Null => "null".to_owned(),
            Node::List(_) | Node::Table(_) => String::new(),
        }
    }

    fn is_null(&self, id: NodeId) -> bool {
        matches!(self.all[id], Node::Null)
    }

    fn is_null_or_empty_table(&self, id: NodeId) -> bool {
        match &self.all[id] {
            Node::Null => true,
            Node::Table(table) => table.is_empty(),
            Node::Scalar(_) | Node::List(_) => false,
        }
    }

    /// Merges what the patch says into what is there; either may be missing. `None`: nothing is left.
    fn merge(
        &mut self,
        dest: Option<NodeId>,
        patch: Option<NodeId>,
        rule: Option<Rule>,
        path: &mut Vec<String>,
    ) -> Result<Option<NodeId>, Fault> {
        let given = |nodes: &Self, id: Option<NodeId>| id.filter(|id| !nodes.is_null(*id));
        let (here, there) = (given(self, dest), given(self, patch));
        if let (Some(here), Some(there)) = (here, there) {
            let (found, wanted) = (self.all[here].shape(), self.all[there].shape());
            if found != wanted {
                return Err(Fault::Shape { field: path.join("."), found, wanted });
            }
        }
        let rule = rule.or_else(|| [here, there].into_iter().flatten().find_map(|id| self.rule_of_object(id)));
        match (here.or(there).map(|id| &self.all[id]), rule) {
            (None | Some(Node::Table(_)), rule) => self.merge_tables(dest, patch, rule, path),
            (Some(Node::List(_)), Some(Rule::List(keys, element))) => {
                let element = element.map(Rule::Table);
                self.merge_lists(dest, patch, keys, element, path)
            }
            (Some(Node::List(_) | Node::Scalar(_) | Node::Null), _) => {
                Ok(patch.or(dest).filter(|id| !self.is_null(*id)))
            }
        }
    }

    /// A table with kind and version inside another is an object too.
    fn rule_of_object(&self, id: NodeId) -> Option<Rule> {
        let text = |name| self.field(id, name).map(|field| self.text(field));
        Rule::of_kind(&text("apiVersion")?, &text("kind")?)
    }

    fn merge_tables(
        &mut self,
        dest: Option<NodeId>,
        patch: Option<NodeId>,
        rule: Option<Rule>,
        path: &mut Vec<String>,
    ) -> Result<Option<NodeId>, Fault> {
        let dest = match (dest, patch) {
            (dest, None) => match dest {
                // A null that the chart wrote stays.
                Some(dest) if self.is_null(dest) => return Ok(Some(dest)),
                Some(dest) => dest,
                None => return Ok(None),
            },
            (_, Some(patch)) if self.is_null(patch) => return Ok(None),
            (dest, Some(patch)) => match (self.take_directive(patch), dest.filter(|dest| !self.is_null(*dest))) {
                (Directive::Delete, _) => return Ok(None),
                (Directive::Merge, Some(dest)) => dest,
                (Directive::Replace, _) | (Directive::Merge, None) => patch,
            },
        };
        let mut names: BTreeSet<String> = BTreeSet::new();
        for id in [Some(dest), patch].into_iter().flatten() {
            if let Node::Table(table) = &self.all[id] {
                names.extend(table.keys().cloned());
            }
        }
        for name in names {
            let below = rule.and_then(|rule| rule.field(&name));
            let (from, to) = (patch.and_then(|patch| self.field(patch, &name)), self.field(dest, &name));
            path.push(name);
            let merged = self.merge(to, from, below, path)?;
            let name = path.pop().expect("pushed four lines above");
            self.set_field(dest, name, merged);
        }
        Ok(Some(dest))
    }

    fn set_field(&mut self, table: NodeId, name: String, value: Option<NodeId>) {
        let held = self.field(table, &name);
        match (held, value) {
            (Some(held), Some(value)) => {
                if held != value {
                    self.all[held] = self.all[value].clone();
                }
            }
            (_, value) => {
                if let Node::Table(fields) = &mut self.all[table] {
                    match value {
                        Some(value) => drop(fields.insert(name, value)),
                        None => drop(fields.remove(&name)),
                    }
                }
            }
        }
    }

    /// The directive of a table, which is taken out of it.
    fn take_directive(&mut self, patch: NodeId) -> Directive {
        let directive = self.field(patch, DIRECTIVE).and_then(|id| Directive::parse(&self.text(id)));
        if directive.is_some() {
            self.set_field(patch, DIRECTIVE.to_owned(), None);
        }
        directive.unwrap_or(Directive::Merge)
    }

    /// The directive of a list: an element that holds nothing else. All elements with it are taken out.
    fn take_list_directive(&mut self, patch: NodeId) -> Result<Directive, Fault> {
        let element = self.items(patch).iter().copied().find(|item| self.field(*item, DIRECTIVE).is_some());
        let Some(element) = element else { return Ok(Directive::Merge) };
        let is_alone = matches!(&self.all[element], Node::Table(table) if table.len() == 1);
        let text = self.field(element, DIRECTIVE).map(|id| self.text(id)).unwrap_or_default();
        match Directive::parse(&text) {
            Some(directive) if is_alone => {
                self.set_element(patch, None, &[DIRECTIVE], &[text])?;
                Ok(directive)
            }
            _ => Ok(Directive::Merge),
        }
    }

    fn merge_lists(
        &mut self,
        dest: Option<NodeId>,
        patch: Option<NodeId>,
        keys: &[&str],
        element: Option<Rule>,
        path: &mut Vec<String>,
    ) -> Result<Option<NodeId>, Fault> {
        let dest = match (dest.filter(|dest| !self.is_null(*dest)), patch) {
            (dest, None) => match dest {
                Some(dest) => dest,
                None => return Ok(None),
            },
            (_, Some(patch)) if self.is_null(patch) => return Ok(None),
            // As Kustomize has it, directives in a list that is not there yet are not followed.
            (None, Some(patch)) => patch,
            (Some(dest), Some(patch)) => match self.take_list_directive(patch)? {
                Directive::Delete => return Ok(None),
                Directive::Replace => patch,
                Directive::Merge => dest,
            },
        };
        // Elements of the patch come first.
        let lists: Vec<NodeId> = patch.into_iter().chain([dest]).collect();
        let keys = if keys.is_empty() { &[""] } else { keys };
        let mut all: Vec<Values> = Vec::new();
        let mut seen: BTreeSet<Values> = BTreeSet::new();
        for list in lists {
            for item in self.items(list) {
                let values = self.key_values(*item, keys);
                if seen.insert(values.clone()) {
                    all.push(values);
                }
            }
        }
        if keys.len() > 1 {
            complete(&mut all);
        }

        let is_there_before = patch != Some(dest);
        let mut unfound: Vec<NodeId> = patch.map(|patch| self.items(patch).to_vec()).unwrap_or_default();
        let added = self.add(Node::List(Vec::new()));
        let mut used: Vec<&str> = Vec::new();
        for values in &all {
            let (valid_keys, valid_values) = valid(&all, values, keys);
            let (find_keys, find_values) = valid(std::slice::from_ref(&valid_values), &valid_values, &valid_keys);
            let to = self.find(dest, &find_keys, &find_values)?;
            let from = match patch {
                Some(patch) => self.find(patch, &find_keys, &find_values)?,
                None => None,
            };
            if is_there_before && let Some(from) = from {
                unfound.retain(|item| *item != from);
                let directive = self.field(from, DIRECTIVE).map(|id| self.text(id));
                if to.is_some() && directive.is_some_and(|text| Directive::parse(&text) == Some(Directive::Replace)) {
                    let lost = format!("$patch: replace of the element with {}", said(&find_keys, &find_values));
                    let instead = "delete it and add it under another name, or use a JSON patch".to_owned();
                    return Err(Fault::Lost { field: path.join("."), lost, instead });
                }
            }
            let merged = self.merge(to, from, element, path)?;
            match merged.filter(|id| !self.is_null_or_empty_table(*id)) {
                Some(merged) => {
                    self.complete_keys(merged, &valid_keys, &valid_values, path)?;
                    self.set_element(added, Some(merged), &valid_keys, &valid_values)?;
                }
                None => self.set_element(dest, None, &valid_keys, &valid_values)?,
            }
            used = valid_keys;
        }
        if all.is_empty() {
            return Ok(Some(dest));
        }
        if is_there_before && let Some(lost) = unfound.first() {
            let lost = format!("the element with {}", said(keys, &self.key_values(*lost, keys)));
            let instead = format!("give {} as the object has them", keys.join(" and "));
            return Err(Fault::Lost { field: path.join("."), lost, instead });
        }
        self.append(added, dest, &used, path)?;
        Ok(Some(added))
    }

    /// What the keys say of an element; for a list without keys, the element itself.
    fn key_values(&self, item: NodeId, keys: &[&str]) -> Values {
        if keys == [""] {
            return vec![self.text(item)];
        }
        let value = |key: &&str| {
            self.field(item, key).map(|id| match self.all[id] {
                Node::Scalar(_) => self.text(id),
                Node::Null | Node::List(_) | Node::Table(_) => String::new(),
            })
        };
        keys.iter().map(|key| value(key).unwrap_or_default()).collect()
    }

    /// The first element with these values.
    fn find(&mut self, list: NodeId, keys: &[&str], values: &[String]) -> Result<Option<NodeId>, Fault> {
        self.spend(self.items(list).len())?;
        let is_it = |item: &&NodeId| match keys {
            [""] => values.first().is_some_and(|value| self.text(**item) == *value),
            _ => keys
                .iter()
                .zip(values)
                .all(|(key, value)| self.field(**item, key).is_some_and(|field| self.text(field) == *value)),
        };
        Ok(self.items(list).iter().find(is_it).copied())
    }

    /// An element that was found by a key has it.
    fn complete_keys(
        &mut self,
        element: NodeId,
        keys: &[&str],
        values: &[String],
        path: &[String],
    ) -> Result<(), Fault> {
        for (key, value) in keys.iter().zip(values) {
            if self.field(element, key).is_some() || value.is_empty() {
                continue;
            }
            let scalar = Node::Scalar(Json::String(value.clone()));
            match (&self.all[element], *key) {
                (Node::Scalar(_), "") => self.all[element] = scalar,
                (Node::Table(_), key) => {
                    let scalar = self.add(scalar);
                    self.set_field(element, key.to_owned(), Some(scalar));
                }
                _ => return Err(Fault::NotA { field: path.join("."), wanted: "a list of tables" }),
            }
        }
        Ok(())
    }

    /// Puts an element in place of those with the same values, at the end if there are none. Without an element, those
    /// are taken out. A missing value is the same as any.
    fn set_element(
        &mut self,
        list: NodeId,
        element: Option<NodeId>,
        keys: &[&str],
        values: &[String],
    ) -> Result<(), Fault> {
        self.spend(self.items(list).len())?;
        let for_tables =
            keys.first().is_some_and(|key| !key.is_empty()) && values.first().is_some_and(|value| !value.is_empty());
        let mut found = false;
        let mut kept = Vec::new();
        for item in self.items(list).iter().copied() {
            if self.is_null_or_empty_table(item) {
                continue;
            }
            let is_table = matches!(self.all[item], Node::Table(_));
            if !is_table && for_tables {
                kept.push(item);
            } else if self.is_like(item, keys, values) {
                found = true;
                kept.extend(element);
            } else if !values.is_empty() {
                kept.push(item);
            }
        }
        if !found {
            kept.extend(element);
        }
        self.all[list] = Node::List(kept);
        Ok(())
    }

    fn is_like(&self, item: NodeId, keys: &[&str], values: &[String]) -> bool {
        // A key without a value says what the key before it said, as in Kustomize.
        let mut last = false;
        keys.iter().enumerate().all(|(index, key)| {
            if let Some(value) = values.get(index) {
                last = match *key {
                    "" => self.text(item) == *value,
                    key => self.field(item, key).is_some_and(|id| value.is_empty() || self.text(id) == *value),
                };
            }
            last
        })
    }

    /// Puts each element of a list into another, in place of those with the same values.
    fn append(&mut self, to: NodeId, from: NodeId, keys: &[&str], path: &[String]) -> Result<(), Fault> {
        for item in self.items(from).to_vec() {
            if keys == [""] {
                let value = self.text(item);
                self.set_element(to, Some(item), keys, &[value])?;
                continue;
            }
            if matches!(self.all[item], Node::Scalar(_) | Node::List(_)) {
                return Err(Fault::NotA { field: path.join("."), wanted: "a list of tables" });
            }
            let mut values = Vec::new();
            for key in keys {
                match self.field(item, key) {
                    Some(field) => values.push(self.text(field)),
                    None => {
                        if let Node::List(items) = &mut self.all[to] {
                            items.push(item);
                        }
                    }
                }
            }
            if keys.len() > 1 {
                self.set_element(to, None, keys, &values)?;
            }
            self.set_element(to, Some(item), keys, &values)?;
        }
        Ok(())
    }

    fn spend(&mut self, steps: usize) -> Result<(), Fault> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(Fault::Budget)?;
        Ok(())
    }
}

/// `containerPort 8080`
fn said(keys: &[&str], values: &[String]) -> String {
    let pairs = keys.iter().zip(values).filter(|(_, value)| !value.is_empty());
    let said: Vec<String> = pairs.map(|(key, value)| format!("{key} {value}").trim().to_owned()).collect();
    if said.is_empty() { format!("no {}", keys.join(" and ")) } else { said.join(" and ") }
}

/// Elements that differ only in that one leaves a key out are the same one: a port without its protocol.
fn complete(all: &mut [Values]) {
    for i in 0..all.len() {
        for j in 0..all.len() {
            if let Some(both) = joined(&all[i], &all[j]) {
                all[i].clone_from(&both);
                all[j] = both;
            }
        }
    }
}

/// Both in one, if they agree in a key and contradict each other in none.
fn joined(one: &[String], other: &[String]) -> Option<Values> {
    let pairs = || one.iter().zip(other);
    let contradict = pairs().any(|(a, b)| a != b && !a.is_empty() && !b.is_empty());
    let agree = pairs().any(|(a, b)| a == b);
    (agree && !contradict).then(|| pairs().map(|(a, b)| if a.is_empty() { b } else { a }.clone()).collect())
}

/// The keys that any of the elements has, with the values of one. All keys where none has any.
fn valid<'k>(all: &[Values], values: &[String], keys: &[&'k str]) -> (Vec<&'k str>, Values) {
    let is_used = |index: usize| all.iter().any(|values| values.get(index).is_some_and(|value| !value.is_empty()));
    let used: Vec<usize> = (0..keys.len()).filter(|index| is_used(*index)).collect();
    if used.is_empty() {
        return (keys.to_vec(), values.to_vec());
    }
    let of = |index: &usize| values.get(*index).cloned().unwrap_or_default();
    (used.iter().map(|index| keys[*index]).collect(), used.iter().map(of).collect())
}
