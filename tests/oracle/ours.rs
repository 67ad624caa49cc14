//! What Pintle makes of a case of the oracle: the other side of `hack/controlplane/helm/oracle`, field by field.
//!
//! The clock stands at the same moment, and the randomness is the same stream.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::chart::strvals::{self, Reading};
use pintle::chart::{self, Chart, File, coalesce, values};
use pintle::entropy::SystemEntropy;
use pintle::manifest::hooks::Hook;
use pintle::render::{
    self, Capabilities, Entropy, KubeVersion, Limits, Offline, Operation, Options, ReleaseInfo, Rendered, framed,
};
use pintle::template::func::KeyType;
use pintle::value::{Map, Value, fmt, json};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One question. The kind says which of the fields count.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    /// The files of the chart by path; `Chart.yaml` may be left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) files: BTreeMap<String, Text>,
    /// The user's values as YAML.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub(crate) values: Text,
    /// `--set` and its like, in order: the name of the flag and its value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) set: Vec<(String, String)>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) kube_version: String,
    /// Whether the oracle describes certificates and keys in the output instead of giving them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) describe: bool,
    /// What it describes, for [`Kind::Describe`].
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub(crate) text: Text,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "the tables ask fewer kinds of questions than the fuzzer")]
pub(crate) enum Kind {
    /// What each template prints.
    #[default]
    Files,
    /// What `helm template` prints.
    Chart,
    /// The values after `--set`, with their Go types.
    Set,
    /// A values file as JSON.
    Values,
    /// The oracle alone: certificates and keys in a text described.
    Describe,
    /// The oracle alone: the functions of Sprig.
    Functions,
}

/// A text of any bytes; `base64:…` on the way where it is not UTF-8.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) Vec<u8>);

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    Files(BTreeMap<String, Text>),
    Text(Text),
    Error(Text),
    Panic(Text),
}

impl Case {
    /// A chart of one template.
    pub(crate) fn template(template: impl Into<Vec<u8>>) -> Self {
        Case::default().file("templates/t", template)
    }

    #[must_use]
    pub(crate) fn file(mut self, path: &str, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), Text(text.into()));
        self
    }

    #[must_use]
    pub(crate) fn values(mut self, yaml: impl Into<Vec<u8>>) -> Self {
        self.values = Text(yaml.into());
        self
    }
}

impl Text {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

const NOT_UTF8: &str = "base64:";

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.0.escape_ascii().to_string().replace("\\\"", "\""), f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.starts_with(NOT_UTF8) => serializer.serialize_str(text),
            _ => serializer.serialize_str(&format!("{NOT_UTF8}{}", STANDARD.encode(&self.0))),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Text(match text.strip_prefix(NOT_UTF8) {
            Some(encoded) => STANDARD.decode(encoded).map_err(serde::de::Error::custom)?,
            None => text.into_bytes(),
        }))
    }
}

/// The answer to a case, on a thread with a large stack. A panic is an answer, and always a wrong one.
pub(crate) fn answer(case: &Case) -> Answer {
    let outcome = std::panic::catch_unwind(|| match case.kind {
        Kind::Files => render_files(case).map(Answer::Files),
        Kind::Chart => template(case).map(|text| Answer::Text(Text(text.into_bytes()))),
        Kind::Set => set_values(case).map(|text| Answer::Text(Text(text))),
        Kind::Values => read_values(case).map(|text| Answer::Text(Text(text))),
        Kind::Describe | Kind::Functions => Err("only the oracle answers this".into()),
    });
    match outcome {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::Error(Text(error.into_bytes())),
        Err(cause) => {
            let text = cause.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("a panic without text");
            Answer::Panic(Text(text.into()))
        }
    }
}

fn render_files(case: &Case) -> Result<BTreeMap<String, Text>, String> {
    let (chart, values) = load(case)?;
    let capabilities = capabilities(case)?;
    let (_, files) = render::render_apart(&chart, &values, &release(), &capabilities, &options()).map_err(chain)?;
    Ok(files.into_iter().map(|(path, text)| (path, Text(text))).collect())
}

fn template(case: &Case) -> Result<String, String> {
    let (chart, values) = load(case)?;
    let capabilities = capabilities(case)?;
    let rendered = render::render_live(&chart, &values, &release(), &capabilities, &options()).map_err(chain)?;
    Ok(printed(&rendered))
}

fn printed(rendered: &Rendered) -> String {
    let crds: String = rendered.crds.iter().map(|crd| framed(&crd.path, &String::from_utf8_lossy(&crd.data))).collect();
    let mut text = format!("{}\n", format!("{crds}{}", rendered.manifest).trim());
    for hook in &rendered.hooks {
        text.push_str(&framed(&hook.path, &hook.manifest));
        text.push_str(&hook_line(hook));
    }
    format!("{text}NOTES:\n{}", rendered.notes)
}

fn hook_line(hook: &Hook) -> String {
    let events = serde_json::to_value(&hook.events).expect("words are JSON");
    let events: Vec<&str> = events.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
    let (events, policies) = (events.join(" "), hook.delete_policies.join(" "));
    format!("# {} {} [{events}] {} [{policies}]\n", hook.kind, hook.name, hook.weight)
}

fn load(case: &Case) -> Result<(Chart, Map), String> {
    let file = |name: &str, data: &[u8]| File { name: name.into(), data: data.to_vec().into(), modified: None };
    let mut files: Vec<File> = case.files.iter().map(|(name, text)| file(name, &text.0)).collect();
    if !case.files.contains_key("Chart.yaml") {
        files.insert(0, file("Chart.yaml", b"apiVersion: v2\nname: c\nversion: 1.2.3\nappVersion: \"4.5\"\n"));
    }
    let chart = chart::load_files(files, &chart::Limits::default()).map_err(chain)?;
    let values = coalesce::thaw_object(&values::read("values", &case.values.0).map_err(chain)?);
    set(case, &values)?;
    Ok((chart, values))
}

fn set(case: &Case, values: &Map) -> Result<(), String> {
    for (flag, line) in &case.set {
        let mut content = |path: &str| Ok(format!("<{path}>"));
        let reading = match flag.as_str() {
            "set" => Reading::Typed,
            "set-string" => Reading::Text,
            "set-json" => Reading::Json,
            "set-file" => Reading::Content(&mut content),
            other => return Err(format!("there is no --{other}")),
        };
        strvals::parse_into(line, values, reading).map_err(chain)?;
    }
    Ok(())
}

fn set_values(case: &Case) -> Result<Vec<u8>, String> {
    let values = coalesce::thaw_object(&values::read("values", &case.values.0).map_err(chain)?);
    set(case, &values)?;
    Ok(fmt::sprintf(b"%#v", &[Value::Map(values)]))
}

fn read_values(case: &Case) -> Result<Vec<u8>, String> {
    let values = values::read("values", &case.values.0).map_err(chain)?;
    json::marshal(&Value::Map(coalesce::thaw_object(&values)), json::Html::Escape)
}

fn chain(error: impl std::error::Error) -> String {
    pintle::text::chain(&error)
}

fn release() -> ReleaseInfo {
    ReleaseInfo { name: "rel".into(), namespace: "testns".into(), revision: 1, operation: Operation::Install }
}

fn capabilities(case: &Case) -> Result<Capabilities, String> {
    let mut capabilities = Capabilities::default();
    if !case.kube_version.is_empty() {
        let version = KubeVersion::parse(&case.kube_version);
        capabilities.kube_version =
            version.map_err(|error| format!("invalid kube version '{}': {error}", case.kube_version))?;
    }
    Ok(capabilities)
}

fn options() -> Options {
    Options {
        now: "2000-01-01T00:00:00Z".parse().expect("is a time"),
        local_zone: || jiff::tz::TimeZone::UTC,
        parsed: Arc::default(),
        lookup: Arc::new(Offline),
        entropy: Arc::new(Stream(Mutex::new((0, Vec::new())))),
        limits: Limits { steps_max: 20_000_000, ..Limits::default() },
        stop: Arc::default(),
    }
}

/// The bytes of splitmix64 from seed 0: the state, and what is left of the last number.
struct Stream(Mutex<(u64, Vec<u8>)>);

impl Entropy for Stream {
    fn fill(&self, buffer: &mut [u8]) {
        let mut stream = self.0.lock().expect("nobody panics while holding it");
        let (state, left) = &mut *stream;
        for byte in buffer {
            if left.is_empty() {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                left.extend((z ^ (z >> 31)).to_be_bytes());
            }
            *byte = left.pop().expect("was filled just now");
        }
    }

    fn private_key(&self, key_type: KeyType) -> Result<Vec<u8>, String> {
        SystemEntropy.private_key(key_type)
    }
}
