//! Which objects a patch is for.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value as Json;

use super::resource::Id;
use crate::sprig::regex::Matcher;

/// A regular expression in Go's syntax.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Matcher);

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Matcher::parse(text).map(Pattern)
    }

    /// One that fits the whole of a text.
    fn whole(text: &str) -> Result<Self, String> {
        Pattern::parse(&format!("^(?:{text})$"))
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// The fields of a target as a person writes them. What is empty fits everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SelectorFields {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub name: String,
    pub namespace: String,
    pub label_selector: String,
    pub annotation_selector: String,
}

/// Which objects a patch is for.
#[derive(Clone, Debug)]
pub struct Selector {
    group: Option<Pattern>,
    version: Option<Pattern>,
    kind: Option<Pattern>,
    name: Option<Pattern>,
    namespace: Option<Pattern>,
    labels: Requirements,
    annotations: Requirements,
}

/// A field of a target that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadSelector {
    /// `labelSelector`
    pub field: &'static str,
    pub message: String,
}

impl Selector {
    /// Reads a target. `group` to `namespace` are regular expressions that fit the whole; the selectors are those of
    /// `kubectl get -l`.
    ///
    /// # Errors
    /// A regular expression or a selector is none.
    pub fn parse(fields: &SelectorFields) -> Result<Self, BadSelector> {
        let pattern = |field, text: &str| match text {
            "" => Ok(None),
            text => Pattern::whole(text).map(Some).map_err(|message| BadSelector { field, message }),
        };
        let requirements =
            |field, text: &str| Requirements::parse(text).map_err(|message| BadSelector { field, message });
        Ok(Selector {
            group: pattern("group", &fields.group)?,
            version: pattern("version", &fields.version)?,
            kind: pattern("kind", &fields.kind)?,
            name: pattern("name", &fields.name)?,
            namespace: pattern("namespace", &fields.namespace)?,
            labels: requirements("labelSelector", &fields.label_selector)?,
            annotations: requirements("annotationSelector", &fields.annotation_selector)?,
        })
    }

    pub(super) fn selects(&self, object: &Json) -> bool {
        let fits = |pattern: &Option<Pattern>, text: &str| pattern.as_ref().is_none_or(|p| p.matches(text));
        let id = Id::of(object);
        fits(&self.group, &id.group)
            && fits(&self.version, &id.version)
            && fits(&self.kind, &id.kind)
            && fits(&self.name, &id.name)
            && fits(&self.namespace, id.effective_namespace())
            && self.labels.hold(object.pointer("/metadata/labels"))
            && self.annotations.hold(object.pointer("/metadata/annotations"))
    }
}

/// A selector as `kubectl get -l` takes it: `app=web,tier in (a, b),!canary`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Requirements(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    DoesNotExist,
    In(Vec<String>),
    /// Holds where the key is missing, too.
    NotIn(Vec<String>),
    GreaterThan(i64),
    LessThan(i64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(&'static str),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word(word) => f.write_str(word),
            Token::Sign(sign) => f.write_str(sign),
        }
    }
}

impl Requirements {
    fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text);
        let mut rest = tokens.as_slice();
        let mut requirements = Vec::new();
        while !rest.is_empty() {
            let (requirement, left) =
                Requirement::parse(rest).map_err(|found| format!("{text:?} is not a selector: unexpected {found}"))?;
            requirements.push(requirement);
            rest = match left {
                [] => left,
                [Token::Sign(","), left @ ..] if !left.is_empty() => left,
                [found, ..] => {
                    return Err(format!("{text:?} is not a selector: unexpected {found:?}", found = found.to_string()));
                }
            };
        }
        Ok(Requirements(requirements))
    }

    fn hold(&self, table: Option<&Json>) -> bool {
        let entries: BTreeMap<&str, &str> = match table.and_then(Json::as_object) {
            Some(table) => {
                table.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default())).collect()
            }
            None => BTreeMap::new(),
        };
        self.0.iter().all(|requirement| requirement.holds(entries.get(requirement.key.as_str()).copied()))
    }
}

impl Requirement {
    /// The first requirement of tokens, and those after it; else what was found instead.
    fn parse(tokens: &[Token]) -> Result<(Self, &[Token]), String> {
        use Token::{Sign, Word};
        let unexpected = |at: &[Token]| at.first().map_or("end".to_owned(), |token| format!("{:?}", token.to_string()));
        match tokens {
            [Sign("!"), Word(key), rest @ ..] => Ok((Requirement { key: key.clone(), test: Test::DoesNotExist }, rest)),
            [Word(key), rest @ ..] => {
                let (test, rest) = match rest {
                    [Sign("=" | "=="), Word(value), rest @ ..] => (Test::In(vec![value.clone()]), rest),
                    [Sign("=" | "=="), rest @ ..] => (Test::In(vec![String::new()]), rest),
                    [Sign("!="), Word(value), rest @ ..] => (Test::NotIn(vec![value.clone()]), rest),
                    [Sign("!="), rest @ ..] => (Test::NotIn(vec![String::new()]), rest),
                    [Sign(sign @ (">" | "<")), Word(number), rest @ ..] => {
                        let number = number.parse().map_err(|_| format!("{number:?}, which is no whole number"))?;
                        (if *sign == ">" { Test::GreaterThan(number) } else { Test::LessThan(number) }, rest)
                    }
                    [Word(word), Sign("("), rest @ ..] if word == "in" || word == "notin" => {
                        let (values, rest) = values(rest).map_err(unexpected)?;
                        (if word == "in" { Test::In(values) } else { Test::NotIn(values) }, rest)
                    }
                    [] | [Sign(","), ..] => (Test::Exists, rest),
                    _ => return Err(unexpected(rest)),
                };
                Ok((Requirement { key: key.clone(), test }, rest))
            }
            _ => Err(unexpected(tokens)),
        }
    }

    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::Exists => value.is_some(),
            Test::DoesNotExist => value.is_none(),
            Test::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Test::GreaterThan(than) => number().is_some_and(|number| number > *than),
            Test::LessThan(than) => number().is_some_and(|number| number < *than),
        }
    }
}

/// What stands between parentheses, and the tokens after them; else the tokens from the wrong one on.
fn values(mut tokens: &[Token]) -> Result<(Vec<String>, &[Token]), &[Token]> {
    let mut values = vec![String::new()];
    loop {
        tokens = match tokens {
            [Token::Sign(")"), rest @ ..] => return Ok((values, rest)),
            [Token::Sign(","), rest @ ..] => {
                values.push(String::new());
                rest
            }
            [Token::Word(word), rest @ ..] => {
                let last = values.last_mut().expect("values begins with one element and only grows");
                if !last.is_empty() {
                    return Err(tokens);
                }
                last.clone_from(word);
                rest
            }
            _ => return Err(tokens),
        };
    }
}

fn tokens(text: &str) -> Vec<Token> {
    const SIGNS: [&str; 9] = ["==", "!=", "=", "!", ">", "<", ",", "(", ")"];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let length = match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            Some(sign) => {
                tokens.push(Token::Sign(sign));
                sign.len()
            }
            None => {
                let end = rest.find(|c: char| c.is_whitespace() || "=!><,()".contains(c)).unwrap_or(rest.len());
                tokens.push(Token::Word(rest[..end].to_owned()));
                end
            }
        };
        rest = rest[length..].trim_start();
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_are_those_of_kubectl() {
        let labels = json!({"app": "web", "size": "5", "empty": ""});
        for (selector, holds) in [
            ("", true),
            ("app=web", true),
            ("app == web , size=5", true),
            ("app=db", false),
            ("app!=db", true),
            ("tier!=db", true),
            ("tier=db", false),
            ("app", true),
            ("!app", false),
            ("!tier", true),
            ("app in (db, web)", true),
            ("app notin (db,web)", false),
            ("tier notin (db)", true),
            ("empty=", true),
            ("empty in ()", true),
            ("size>4,size<6", true),
            ("app>4", false),
        ] {
            assert_eq!(Requirements::parse(selector).unwrap().hold(Some(&labels)), holds, "{selector}");
        }
    }

    #[test]
    fn what_is_no_selector_is_told() {
        for (selector, message) in [
            ("=a", r#""=a" is not a selector: unexpected "=""#),
            ("a b", r#""a b" is not a selector: unexpected "b""#),
            ("a in (b", r#""a in (b" is not a selector: unexpected end"#),
            ("a,", r#""a," is not a selector: unexpected ",""#),
            ("a>b", r#""a>b" is not a selector: unexpected "b", which is no whole number"#),
        ] {
            assert_eq!(Requirements::parse(selector).unwrap_err(), message);
        }
        let fields = SelectorFields { name: "web-(".into(), ..SelectorFields::default() };
        let error = Selector::parse(&fields).unwrap_err();
        assert_eq!(error.field, "name");
    }
}
