//! From a chart and values to manifests, hooks and notes: byte for byte what `helm template` prints.
//!
//! Pure: clock, randomness, keys and the cluster are arguments ([`Options`]). Charts are untrusted input, so a render
//! has budgets and runs on a thread with a large stack ([`on_big_stack`]). Behaviour follows Helm v4.3.1
//! (`pkg/engine`, `pkg/action` renderResources).

mod capabilities;
mod durations;
mod error;
mod files;
mod glob;
mod helm_funcs;
mod host;
mod parsed;
mod reads;
mod scope;
mod toml;
mod toml_reader;
mod unread;

pub use capabilities::{Capabilities, HelmVersion, KubeVersion};
pub use error::{Error, Spot};
pub use host::{Entropy, Limits, Lookup, Offline, Options, Remark};
pub use parsed::ParsedTemplates;
pub use reads::{Place, Reads};
pub use unread::Unread;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use serde_json::Value as Json;

use crate::chart::{self, Chart, Crd, coalesce, schema};
use crate::manifest;
use crate::manifest::hooks::{self, Hook, Manifest};
use crate::sprig;
use crate::template::func::{Fault, FuncTable, Host, RENDER_STACK_BYTES, STACK_BYTES_DEFAULT};
use crate::template::{self, MissingKey, Set};
use crate::value::{Map, MapType, Value};
use host::RenderHost;
use reads::Watcher;
use scope::Renderable;

/// What `.Release` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseInfo {
    pub name: String,
    pub namespace: String,
    /// From 1.
    pub revision: i64,
    pub operation: Operation,
}

/// Whether a release is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Install,
    Upgrade,
}

/// What a chart renders to.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The objects of the release without hooks and CRDs, as Helm stores and prints them.
    pub manifest: String,
    /// The documents of the manifest, in its order.
    pub documents: Vec<Document>,
    /// By kind, then by file. At run time they are ordered by weight and name.
    pub hooks: Vec<Hook>,
    /// What documents that were dropped named in place of hook events.
    pub unknown_hooks: Vec<String>,
    /// `NOTES.txt` of the chart itself.
    pub notes: String,
    /// The files below `crds/`, which are not templates.
    pub crds: Vec<Crd>,
    /// What of its budgets the render used.
    pub used: Used,
    /// The chart as it was rendered, subcharts resolved and values imported: what Helm stores in its record.
    pub chart: Chart,
}

/// A document of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The template it comes from, with the chart's name before it.
    pub path: String,
    /// Where in the manifest its text stands, without its frame.
    pub text: Range<usize>,
}

/// What the templates of a chart print that is only looked at.
#[derive(Clone, Debug)]
pub struct Linted {
    /// The output of each file that is no partial, by path: helper files, notes and subcharts too.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What `required` and `fail` said, in the order of rendering. They do not end such a render.
    pub remarks: Vec<Remark>,
}

/// What a render used of its [`Limits`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    pub steps: u64,
    pub made_bytes: usize,
    pub output_bytes: usize,
}

/// Renders a chart with the user's values over its own.
///
/// Numbers among the values are `float64` to the templates, as in every values file. The calling thread needs a large
/// stack: see [`on_big_stack`].
///
/// # Errors
/// The chart does not fit the values or the cluster, a template fails, what it prints is no YAML, or a budget is spent.
pub fn render(
    chart: &Chart,
    user_values: &chart::Object,
    release: &ReleaseInfo,
    capabilities: &Capabilities,
    options: &Options,
) -> Result<Rendered, Error> {
    render_live(chart, &coalesce::thaw_object(user_values), release, capabilities, options)
}

/// Renders with live values, which may hold the `int64` that `--set` makes of a number.
///
/// # Errors
/// As [`render`].
pub fn render_live(
    chart: &Chart,
    user_values: &Map,
    release: &ReleaseInfo,
    capabilities: &Capabilities,
    options: &Options,
) -> Result<Rendered, Error> {
    render_checked(chart, user_values, release, capabilities, options, Schema::Check, None)
}

/// Whether values must fit the chart's `values.schema.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    Check,
    Skip,
}

/// As [`render_live`], and values that do not fit the chart's schema are taken all the same.
///
/// # Errors
/// As [`render`], but for the schema.
pub fn render_without_schema(
    chart: &Chart,
    user_values: &Map,
    release: &ReleaseInfo,
    capabilities: &Capabilities,
    options: &Options,
) -> Result<Rendered, Error> {
    render_checked(chart, user_values, release, capabilities, options, Schema::Skip, None)
}

/// What templates did with the values of a render.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// What they read, up to where they failed if they did.
    pub reads: Reads,
    /// The user's values that nobody knows; none where the render failed, for then nobody can tell.
    pub unread: Vec<Unread>,
}

/// Renders as [`render_live`] does, and keeps account of what templates do with the values.
///
/// # Errors
/// As [`render`].
pub fn render_watched(
    chart: &Chart,
    user_values: &Map,
    release: &ReleaseInfo,
    capabilities: &Capabilities,
    options: &Options,
    schema: Schema,
) -> (Result<Rendered, Error>, Account) {
    let watcher = Rc::new(Watcher::default());
    let rendered = render_checked(chart, user_values, release, capabilities, options, schema, Some(&watcher));
    let (reads, mentions) = watcher.take();
    let unread = match &rendered {
        Ok(rendered) => {
            let user_values = coalesce::freeze_map(user_values);
            unread::find(&rendered.chart, chart, &user_values, &reads, &mentions).unwrap_or_default()
        }
        Err(_) => Vec::new(),
    };
    (rendered, Account { reads, unread })
}

fn render_checked(
    chart: &Chart,
    user_values: &Map,
    release: &ReleaseInfo,
    capabilities: &Capabilities,
    options: &Options,
    schema: Schema,
    watcher: Option<&Rc<Watcher>>,
) -> Result<Rendered, Error> {
    chart.check_installable()?;
    let Printed { chart, mut files, used } =
        render_templates(chart, user_values, release, capabilities, options, schema, watcher)?;
    let notes_path = format!("{}/templates/NOTES.txt", chart.name());
    let notes = files.get(&notes_path).cloned().unwrap_or_default();
    files.retain(|path, _| !path.ends_with("NOTES.txt"));
    let files = files.into_iter().map(utf8).collect::<Result<_, _>>()?;
    let sorted = hooks::sort(&files)?;
    let (manifest, documents) = join(&sorted.manifests);
    Ok(Rendered {
        manifest,
        documents,
        hooks: sorted.hooks,
        unknown_hooks: sorted.unknown_hooks,
        notes: String::from_utf8_lossy(&notes).into_owned(),
        crds: chart.crds(),
        used,
        chart,
    })
}

/// Renders the templates of a chart that is only looked at, with values that are already coalesced and a chart whose
/// dependencies are already resolved. The calling thread needs a large stack: see [`on_big_stack`].
///
/// # Errors
/// A template fails other than by `required` or `fail`, or a budget is spent.
pub fn lint(
    chart: &Chart,
    values: Map,
    namespace: &str,
    capabilities: &Capabilities,
    options: &Options,
) -> Result<Linted, Error> {
    let host = RenderHost::of_lint(options.clone());
    let files = render_files(chart, values, scope::release_of_lint(namespace), capabilities, &host)?;
    Ok(Linted { files, remarks: host.into_remarks() })
}

/// What a template prints that has Sprig's functions and no data: `--name-template` of Helm's command line.
///
/// # Errors
/// The text is no template, it fails, or what it prints is not UTF-8.
pub fn name_of_template(text: &str, options: &Options) -> Result<String, Error> {
    let mut funcs = FuncTable::default();
    funcs.extend(sprig::FUNCTIONS);
    let refuse = |error: template::Error| Error::Template { message: error.to_string(), spot: None };
    let mut set = Set::new(Arc::new(funcs)).named("name-template");
    set.parse("name-template", text).map_err(refuse)?;
    let host = RenderHost::new(options.clone());
    let output = template::execute(&set, "name-template", &Value::Nil, &host, MissingKey::Default).map_err(refuse)?;
    String::from_utf8(output).map_err(|_| Error::Template { message: "the name is not UTF-8".into(), spot: None })
}

/// The chart with its dependencies resolved, and what each template printed, by path: before notes are set apart and the
/// text is read as YAML. Unlike [`render_live`], it takes libraries too.
///
/// # Errors
/// As [`render`], but for output that is no YAML.
pub fn render_apart(
    chart: &Chart,
    user_values: &Map,
    release: &ReleaseInfo,
    capabilities: &Capabilities,
    options: &Options,
) -> Result<(Chart, BTreeMap<String, Vec<u8>>), Error> {
    let printed = render_templates(chart, user_values, release, capabilities, options, Schema::Check, None)?;
    Ok((printed.chart, printed.files))
}

struct Printed {
    chart: Chart,
    files: BTreeMap<String, Vec<u8>>,
    used: Used,
}

fn render_templates(
    chart: &Chart,
    user_values: &Map,
    release: &ReleaseInfo,
    capabilities: &Capabilities,
    options: &Options,
    schema: Schema,
    watcher: Option<&Rc<Watcher>>,
) -> Result<Printed, Error> {
    let chart = chart.with_dependencies(user_values)?;
    let values = coalesce::coalesce_values(&chart, user_values)?;
    if let Some(watcher) = watcher {
        watcher.follow(&chart, &values);
    }
    if schema == Schema::Check && schema::is_present(&chart) {
        schema::validate(&chart, &Json::Object(coalesce::freeze_map(&values)))?;
    }
    check_kube_version(&chart, &capabilities.kube_version)?;

    let host = match watcher {
        Some(watcher) => RenderHost::watched(options.clone(), watcher.clone()),
        None => RenderHost::new(options.clone()),
    };
    let files = render_files(&chart, values, scope::release_map(release), capabilities, &host)?;
    let used = host.used(files.values().map(Vec::len).sum());
    Ok(Printed { chart, files, used })
}

/// Runs a render on a thread of its own, with the stack that deeply nested templates need.
///
/// # Errors
/// [`Error::Thread`] where the thread cannot be started.
///
/// # Panics
/// Where `work` does.
pub fn on_big_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("render".into()).stack_size(RENDER_STACK_BYTES);
        let work = || {
            // A part is left to the functions that templates call.
            STACK_BYTES.set(RENDER_STACK_BYTES / 8 * 7);
            work()
        };
        let thread = thread.spawn_scoped(scope, work).map_err(Error::Thread)?;
        thread.join().map_err(|panic| std::panic::resume_unwind(panic))
    })
}

thread_local! {
    /// What templates may use of the stack of this thread.
    static STACK_BYTES: Cell<usize> = const { Cell::new(STACK_BYTES_DEFAULT) };
}

/// What templates may use of the stack of this thread. A thread that is not of [`on_big_stack`] has little, so that a
/// render on it may fail where it need not, but never ends the process.
fn stack_bytes() -> usize {
    STACK_BYTES.get()
}

/// A document as Helm frames it in a manifest: `---`, the template it comes from, the text.
pub fn framed(path: &str, content: &str) -> String {
    format!("---\n# Source: {path}\n{content}\n")
}

/// The manifest of a release, and where its documents stand.
fn join(manifests: &[Manifest]) -> (String, Vec<Document>) {
    let mut text = String::new();
    let documents = manifests.iter().map(|manifest| {
        text.push_str(&framed(&manifest.path, &manifest.content));
        let end = text.len() - "\n".len();
        Document { path: manifest.path.clone(), text: end - manifest.content.len()..end }
    });
    let documents = documents.collect();
    (text, documents)
}

fn check_kube_version(chart: &Chart, kube_version: &KubeVersion) -> Result<(), Error> {
    if chart.supports_kubernetes(kube_version.comparable()) {
        return Ok(());
    }
    let (wanted, found) = (chart.metadata.kube_version.clone(), kube_version.version.clone());
    Err(Error::KubeVersion { wanted, found })
}

fn utf8((path, text): (String, Vec<u8>)) -> Result<(String, String), Error> {
    match String::from_utf8(text) {
        Ok(text) => Ok((path, text)),
        Err(_) => Err(manifest::Error::Shape { file: path, problem: "output is not UTF-8".into() }.into()),
    }
}

/// Sprig's functions with Helm's over them.
static FUNCS: LazyLock<Arc<FuncTable>> = LazyLock::new(|| {
    let mut table = FuncTable::default();
    table.extend(sprig::FUNCTIONS);
    table.extend(helm_funcs::FUNCTIONS);
    Arc::new(table)
});

fn budget_of_parsing(path: &str, fault: Fault) -> Error {
    match fault {
        Fault::Budget(message) | Fault::Failed(message) => Error::Budget(format!("{path}: {message}")),
        Fault::Template(error) | Fault::Wrapped { error, .. } => Error::Budget(error.to_string()),
    }
}

/// So many bytes of a template cost one step when they are parsed.
const PARSED_BYTES_PER_STEP: usize = 64;

/// The output of each file that is rendered for itself, by path.
fn render_files(
    chart: &Chart,
    values: Map,
    release: Value,
    capabilities: &Capabilities,
    host: &RenderHost,
) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let templates = scope::templates(chart, values, release, capabilities::value(capabilities));
    let order = in_order(&templates);
    let source = |path: &str| templates.get(path).map(|t| String::from_utf8_lossy(&t.text).into_owned());

    let mut set = Set::new(FUNCS.clone()).named("gotpl");
    let texts: Vec<(&str, &Bytes)> = order.iter().map(|path| (*path, &templates[*path].text)).collect();
    host.parsed().with_help(&Set::new(FUNCS.clone()), &texts, || {
        for (path, text) in &texts {
            host.spend((text.len() / PARSED_BYTES_PER_STEP) as u64).map_err(|fault| budget_of_parsing(path, fault))?;
            let parsed = host.parsed().get_or_parse(&set, path, text);
            set.add(&parsed.map_err(|error| error::of_parsing(&error, source))?);
        }
        Ok::<(), Error>(())
    })?;
    if let Some(watcher) = host.watcher() {
        watcher.note(set.mentions());
    }
    let mut output_bytes_left = host.limits().output_bytes_max;
    let mut files = BTreeMap::new();
    for path in order {
        if path.rsplit('/').next().is_some_and(|base| base.starts_with('_')) {
            continue;
        }
        let template = &templates[path];
        template.announce(path);
        let data = Value::Map(template.scope.with_type(MapType::Values));
        let output = template::execute(&set, path, &data, host, MissingKey::Zero)
            .map_err(|error| error::of_executing(&error, source))?;
        output_bytes_left = output_bytes_left.checked_sub(output.len()).ok_or_else(|| {
            Error::Budget(format!("{path}: more than {} bytes of output", host.limits().output_bytes_max))
        })?;
        files.insert(path.to_owned(), helm_funcs::without_no_value(output));
    }
    Ok(files)
}

/// The paths in the order of parsing and of rendering: the deepest first, and from `z` to `a`.
///
/// So definitions of a chart replace those of its subcharts, and what a template sets in the values is seen by those
/// after it in this order.
fn in_order(templates: &BTreeMap<String, Renderable>) -> Vec<&str> {
    let mut paths: Vec<&str> = templates.keys().map(String::as_str).collect();
    paths.sort_by_cached_key(|path| std::cmp::Reverse((path.matches('/').count(), *path)));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::File;
    use crate::template::func::KeyType;
    use serde_json::json;
    use std::sync::atomic::AtomicBool;

    /// Zeros for randomness, no keys.
    struct NoEntropy;

    impl Entropy for NoEntropy {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0);
        }

        fn private_key(&self, _: KeyType) -> Result<Vec<u8>, String> {
            Err("no keys in this test".into())
        }
    }

    struct OneService;

    impl Lookup for OneService {
        fn get(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Json, String> {
            match (api_version, kind, namespace, name) {
                ("v1", "Service", "apps", "web") => Ok(json!({"spec": {"port": 1_000_000}})),
                ("v1", "Secret", ..) => Err("secrets is forbidden".into()),
                _ => Ok(json!({})),
            }
        }
    }

    pub(super) fn options() -> Options {
        Options {
            now: "2026-01-02T03:04:05Z".parse().unwrap(),
            local_zone: || jiff::tz::TimeZone::UTC,
            lookup: Arc::new(OneService),
            entropy: Arc::new(NoEntropy),
            limits: Limits::default(),
            stop: Arc::default(),
            parsed: Arc::default(),
        }
    }

    fn chart(template: &str) -> Chart {
        let file = |name: &str, data: &str| File { name: name.into(), data: data.to_owned().into(), modified: None };
        let files = vec![
            file("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\nkubeVersion: '>=1.20.0-0'\n"),
            file("templates/a.yaml", template),
            file("templates/NOTES.txt", "{{ .Release.Name }} is there"),
        ];
        chart::load_files(files, &chart::Limits::default()).unwrap()
    }

    fn render_with(template: &str, options: Options) -> Result<Rendered, Error> {
        let release =
            ReleaseInfo { name: "rel".into(), namespace: "apps".into(), revision: 3, operation: Operation::Upgrade };
        let chart = chart(template);
        on_big_stack(|| render(&chart, &chart::Object::new(), &release, &Capabilities::default(), &options))?
    }

    fn fault(template: &str, options: Options) -> String {
        render_with(template, options).unwrap_err().to_string()
    }

    #[test]
    fn a_chart_is_shared_between_threads() {
        fn check<T: Send + Sync>() {}
        check::<Chart>();
        check::<Options>();
        check::<Rendered>();
    }

    #[test]
    fn manifest_is_framed_and_notes_are_apart() {
        let rendered =
            render_with("kind: A\nx: {{ .Release.Revision }} {{ .Release.IsUpgrade }}\n", options()).unwrap();
        assert_eq!(rendered.manifest, "---\n# Source: web/templates/a.yaml\nkind: A\nx: 3 true\n\n");
        assert_eq!(rendered.notes, "rel is there");
    }

    #[test]
    fn lookup_asks_once_for_what_the_template_names() {
        let template =
            r#"port: {{ (lookup "v1" "Service" "apps" "web").spec.port }} {{ lookup "v1" "Pod" "" "" | len }}"#;
        let rendered = render_with(template, options()).unwrap();
        assert!(rendered.manifest.contains("port: 1000000 0"), "{}", rendered.manifest);
        let error = fault(r#"{{ lookup "v1" "Secret" "apps" "" }}"#, options());
        assert!(error.contains("error calling lookup: secrets is forbidden"), "{error}");
    }

    #[test]
    fn randomness_is_the_one_given() {
        let rendered = render_with(r#"a: {{ randAlpha 3 }}"#, options()).unwrap();
        assert!(rendered.manifest.contains("a: AAA"), "{}", rendered.manifest);
    }

    #[test]
    fn parsed_templates_serve_the_same_text_only() {
        let options = options();
        for template in ["a: 1\n", "a: 1\n", "b: {{ .Release.Name }}\n", "a: 1\n"] {
            let rendered = render_with(template, options.clone()).unwrap();
            let text = template.replace("{{ .Release.Name }}", "rel");
            assert_eq!(rendered.manifest, format!("---\n# Source: web/templates/a.yaml\n{text}\n"));
        }
    }

    #[test]
    fn budgets_end_a_render() {
        let limits = Limits { steps_max: 10_000, ..Limits::default() };
        let error = fault("{{ range until 1000000 }}{{ . }}{{ end }}", Options { limits, ..options() });
        assert!(error.starts_with("rendering was ended: "), "{error}");

        let limits = Limits { output_bytes_max: 10, ..Limits::default() };
        let error = fault("# more than ten bytes", Options { limits, ..options() });
        assert_eq!(error, "rendering was ended: web/templates/a.yaml: more than 10 bytes of output");

        let stop = Arc::new(AtomicBool::new(true));
        let error = fault("{{ range until 10 }}{{ . }}{{ end }}", Options { stop, ..options() });
        assert!(error.contains("its time is over"), "{error}");
    }

    #[test]
    fn endless_nesting_is_an_error() {
        for template in [
            r#"{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}"#,
            r#"{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}"#,
            r#"{{ define "a" }}{{ include "b" . }}{{ end }}{{ define "b" }}{{ tpl "{{ include \"a\" . }}" . }}{{ end }}{{ include "a" . }}"#,
        ] {
            assert!(render_with(template, options()).is_err(), "{template}");
        }
    }

    /// The excerpt below the message, for a chart with a helper, a subchart with one, and a file of the test.
    fn excerpt(template: &str) -> (String, String) {
        let file = |name: &str, data: &str| File { name: name.into(), data: data.to_owned().into(), modified: None };
        let files = vec![
            file("Chart.yaml", "apiVersion: v2\nname: web\nversion: 1.0.0\n"),
            file("templates/_h.tpl", "{{ define \"web.h\" }}\n  {{ include \"kid.h\" . }}\n{{ end }}"),
            file("templates/a.yaml", template),
            file("charts/kid/Chart.yaml", "apiVersion: v2\nname: kid\nversion: 1.0.0\n"),
            file("charts/kid/templates/_h.tpl", "{{ define \"kid.h\" }}\n\n{{ .boom | fail }}{{ end }}"),
        ];
        let chart = chart::load_files(files, &chart::Limits::default()).unwrap();
        let release =
            ReleaseInfo { name: "rel".into(), namespace: "apps".into(), revision: 1, operation: Operation::Install };
        let render = || render(&chart, &chart::Object::new(), &release, &Capabilities::default(), &options());
        match on_big_stack(render).flatten().unwrap_err() {
            Error::Template { message, spot } => (message, spot.expect("the place is known").excerpt()),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn errors_show_the_line_the_caret_and_the_way_through_subcharts() {
        let (message, excerpt) = excerpt("a: 1\nb: {{ include \"web.h\" (dict \"boom\" \"no password\") }}\n");
        assert_eq!(message, "execution error at (web/templates/a.yaml:2:6): no password");
        assert_eq!(
            excerpt,
            "
 --> web/charts/kid/templates/_h.tpl:3:11
  |
3 | {{ .boom | fail }}{{ end }}
  |            ^
  = called from web/templates/_h.tpl:2:5
  = called from web/templates/a.yaml:2:6"
                .trim_start_matches('\n')
        );
    }

    #[test]
    fn errors_within_tpl_show_its_text_and_the_line_that_gave_it() {
        let template = "a: {{ tpl \"x\\n  {{ required `needed` .absent }}\" . }}\n";
        let (message, shown) = excerpt(template);
        assert_eq!(message, "execution error at (web/templates/a.yaml:1:6): needed");
        let want = "
 --> a text given to tpl:2:5
  |
2 |   {{ required `needed` .absent }}
  |      ^
 --> web/templates/a.yaml:1:6
  |
1 | a: {{ tpl \"x\\n  {{ required `needed` .absent }}\" . }}
  |       ^"
            .trim_start_matches('\n');
        assert_eq!(shown, want);

        let (message, shown) = excerpt("{{ tpl `{{ if }}` . }}");
        assert!(
            message.ends_with("cannot parse template \"{{ if }}\": template: gotpl:1: missing value for if"),
            "{message}"
        );
        assert!(
            shown.starts_with(" --> a text given to tpl:1\n  |\n1 | {{ if }}\n --> web/templates/a.yaml:1:3\n"),
            "{shown}"
        );

        // Out of the text and into a file again.
        let (_, shown) = excerpt("{{ tpl `{{ include \"kid.h\" (dict \"boom\" \"x\") }}` . }}");
        let callers: Vec<&str> = shown.lines().skip(4).collect();
        assert_eq!(callers, ["  = called from a text given to tpl:1:3", "  = called from web/templates/a.yaml:1:3"]);
    }

    #[test]
    fn functions_that_fail_show_their_place() {
        for (template, want) in [
            ("{{ mustToYaml (list .Files.Get) }}", "Get"),
            ("a: {{ mustFromJson `{` }}", "mustFromJson"),
            ("a: {{ mustToDuration `x` }}", "mustToDuration"),
            ("a: {{ (fromYaml `a: b: c`).a.b }}", "nil pointer evaluating interface {}.b"),
            ("a: {{ index (fromYaml `a: [1]`) `a` 3 }}", "index"),
        ] {
            let (message, excerpt) = excerpt(template);
            assert!(excerpt.contains(template) && excerpt.contains('^'), "{template}: {message}\n{excerpt}");
            assert!(message.contains(want), "{template}: {message}");
        }
    }

    #[test]
    fn cluster_that_is_too_old_is_refused() {
        let chart = chart("a: 1");
        let kube_version = KubeVersion::parse("v1.19.3").unwrap();
        let capabilities = Capabilities { kube_version, ..Capabilities::default() };
        let release =
            ReleaseInfo { name: "r".into(), namespace: "n".into(), revision: 1, operation: Operation::Install };
        let error = render(&chart, &chart::Object::new(), &release, &capabilities, &options()).unwrap_err();
        let want = "chart requires kubeVersion: >=1.20.0-0 which is incompatible with Kubernetes v1.19.3";
        assert_eq!(error.to_string(), want);
    }
}
