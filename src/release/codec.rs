//! Helm's storage format, both ways: a Secret that holds base64 of gzip of JSON.
//!
//! Fields, what is left out and what is null are as Helm v4 writes them (`pkg/storage/driver`, `pkg/release/v1`,
//! `pkg/chart/v2`). Helm's record calls the revision `version`; only this file says so too. Records that are not
//! compressed, and empty texts where times should be, are read as Helm reads them.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::history::Entry;
use super::time::{Time, empty_is_none};
use super::{
    ApplyMethod, ChartVersion, Hook, Info, InvalidReleaseName, JsonMap, Release, ReleaseId, ReleaseName,
    ReleaseSummary, Revision, Status, StoredChart, StoredFile,
};

/// The type of Secrets that hold releases.
pub const SECRET_TYPE: &str = "helm.sh/release.v1";

/// The most a Secret may hold: Kubernetes allows 1 MiB, some of it goes to names and labels.
pub const DATA_BYTES_MAX: usize = 1024 * 1024 - 1024;

/// More than any chart needs: a record that inflates further is refused.
const JSON_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The labels that Helm itself sets.
const SYSTEM_LABELS: [&str; 6] = ["name", "owner", "status", "version", "createdAt", "modifiedAt"];

/// Why a Secret is no release.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("the secret holds no release record")]
    NoRecord,
    #[error("the release record is not base64")]
    NotBase64(#[source] base64::DecodeError),
    #[error("the release record cannot be decompressed")]
    NotGzip(#[source] std::io::Error),
    #[error("the release record is larger than {} MiB", JSON_BYTES_MAX / 1024 / 1024)]
    TooLarge,
    #[error("the release record is not the JSON of a release")]
    NotJson(#[source] serde_json::Error),
    #[error("the release record has no valid name")]
    BadName(#[source] InvalidReleaseName),
    #[error("the release record has no revision")]
    NoRevision,
}

/// Why a release cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error(
        "the record of release {release} takes {size_bytes} bytes, but a Secret holds at most {DATA_BYTES_MAX}; \
         the biggest parts are {biggest}: leave files out of the chart with .helmignore, or shorten the values"
    )]
    TooLarge { release: ReleaseId, size_bytes: usize, biggest: String },
}

/// The time of a write, and whether it is the first: Helm's labels tell.
#[derive(Clone, Copy, Debug)]
pub enum WrittenAt {
    Created(Timestamp),
    Modified(Timestamp),
}

/// The name of the Secret that holds a revision: `sh.helm.release.v1.podinfo.v7`.
pub fn secret_name(name: &ReleaseName, revision: Revision) -> String {
    format!("sh.helm.release.v1.{name}.{}", revision.tag())
}

/// The label selector that finds the Secrets of one release.
pub fn selector(name: &ReleaseName) -> String {
    format!("owner=helm,name={name}")
}

/// The Secret that holds a release, with Helm's labels and the release's own.
pub fn to_secret(release: &Release, written: WrittenAt) -> Result<Secret, EncodeError> {
    let record = encode(release);
    check_size(release, record.len())?;
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(secret_name(&release.id.name, release.revision)),
            namespace: Some(release.id.namespace.clone()),
            labels: Some(secret_labels(release, written)),
            ..ObjectMeta::default()
        },
        type_: Some(SECRET_TYPE.to_owned()),
        data: Some(BTreeMap::from([("release".to_owned(), ByteString(record))])),
        ..Secret::default()
    })
}

/// Whether a record of this size fits into a Secret.
pub fn check_size(release: &Release, size_bytes: usize) -> Result<(), EncodeError> {
    if size_bytes <= DATA_BYTES_MAX {
        return Ok(());
    }
    Err(EncodeError::TooLarge { release: release.id.clone(), size_bytes, biggest: biggest_parts(release) })
}

/// The labels of a release's Secret. As with Helm, the time of creation is gone after the first update.
pub fn secret_labels(release: &Release, written: WrittenAt) -> BTreeMap<String, String> {
    let mut labels = release.labels.clone();
    labels.retain(|key, _| !SYSTEM_LABELS.contains(&key.as_str()));
    let (key, at) = match written {
        WrittenAt::Created(at) => ("createdAt", at),
        WrittenAt::Modified(at) => ("modifiedAt", at),
    };
    labels.extend([
        (key.to_owned(), at.as_second().to_string()),
        ("name".to_owned(), release.id.name.to_string()),
        ("owner".to_owned(), "helm".to_owned()),
        ("status".to_owned(), release.info.status.to_string()),
        ("version".to_owned(), release.revision.to_string()),
    ]);
    labels
}

/// Reads a release whole.
pub fn from_secret(secret: &Secret) -> Result<Release, DecodeError> {
    let mut release = decode(record_of(secret)?)?;
    release.labels = secret.metadata.labels.clone().unwrap_or_default();
    release.labels.retain(|key, _| !SYSTEM_LABELS.contains(&key.as_str()));
    Ok(release)
}

/// Reads what history needs and the manifest, without keeping charts and values.
pub fn light_from_secret(secret: &Secret) -> Result<Light, DecodeError> {
    let record: LightRecord = parse(&inflate(record_of(secret)?)?)?;
    let empty = BTreeMap::new();
    let labels = secret.metadata.labels.as_ref().unwrap_or(&empty);
    let annotations = secret.metadata.annotations.as_ref().unwrap_or(&empty);
    let (summary, manifest, hooks) = record.parts()?;
    Ok(Light { entry: Entry::new(summary, labels, annotations), manifest, hooks })
}

/// A revision without its chart and values.
#[derive(Clone, Debug)]
pub struct Light {
    pub entry: Entry,
    pub manifest: String,
    pub hooks: Vec<Hook>,
}

/// The bytes that Helm keeps under the key `release`: base64 of gzip of JSON. (The API encodes them once more.)
pub fn encode(release: &Release) -> Vec<u8> {
    let json = serde_json::to_vec(&Record::of(release)).expect("a release has only text keys");
    let mut gzip = GzEncoder::new(Vec::with_capacity(json.len() / 4), Compression::best());
    let compressed = gzip.write_all(&json).and_then(|()| gzip.finish()).expect("writing to memory cannot fail");
    BASE64.encode(compressed).into_bytes()
}

/// Reads the bytes under the key `release`. Labels are not among them.
pub fn decode(record: &[u8]) -> Result<Release, DecodeError> {
    parse::<OwnedRecord>(&inflate(record)?)?.release()
}

fn record_of(secret: &Secret) -> Result<&[u8], DecodeError> {
    let data = secret.data.as_ref().and_then(|data| data.get("release")).ok_or(DecodeError::NoRecord)?;
    Ok(&data.0)
}

fn inflate(record: &[u8]) -> Result<Vec<u8>, DecodeError> {
    const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b, 0x08];
    let bytes = BASE64.decode(record).map_err(DecodeError::NotBase64)?;
    if !bytes.starts_with(GZIP_MAGIC) {
        return Ok(bytes);
    }
    let mut json = Vec::with_capacity(bytes.len() * 5);
    GzDecoder::new(&bytes[..]).take(JSON_BYTES_MAX).read_to_end(&mut json).map_err(DecodeError::NotGzip)?;
    if json.len() as u64 == JSON_BYTES_MAX {
        return Err(DecodeError::TooLarge);
    }
    Ok(json)
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(json).map_err(DecodeError::NotJson)
}

/// The three biggest parts with their sizes: what to look at when a record does not fit.
fn biggest_parts(release: &Release) -> String {
    let files = release.chart.templates.iter().chain(&release.chart.files);
    let mut parts: Vec<_> = files.map(|file| (file.data.len(), file.name.as_str())).collect();
    parts.push((release.manifest.len(), "the rendered manifest"));
    parts.push((release.chart.schema.as_ref().map_or(0, Vec::len), "values.schema.json"));
    let values = release.config.as_ref().and_then(|values| serde_json::to_vec(values).ok());
    parts.push((values.map_or(0, |values| values.len()), "the values"));
    parts.retain(|(size, _)| *size > 0);
    parts.sort_by(|a, b| b.cmp(a));
    let parts: Vec<_> =
        parts.iter().take(3).map(|(size, name)| format!("{name} ({} KiB)", size.div_ceil(1024))).collect();
    parts.join(", ")
}

/// A record as it is written.
#[derive(Serialize)]
struct Record<'a> {
    name: &'a str,
    info: InfoRecord,
    chart: ChartRecord<'a>,
    #[serde(skip_serializing_if = "is_empty_map")]
    config: Option<&'a JsonMap>,
    #[serde(skip_serializing_if = "str::is_empty")]
    manifest: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    hooks: &'a [Hook],
    version: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    apply_method: Option<ApplyMethod>,
}

#[derive(Serialize)]
struct ChartRecord<'a> {
    metadata: Option<&'a JsonMap>,
    lock: &'a Option<serde_json::Value>,
    templates: Option<Vec<FileRecord<'a>>>,
    values: &'a Option<JsonMap>,
    schema: Option<String>,
    schemamodtime: ZeroTime,
    files: Option<Vec<FileRecord<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modtime: Option<Time>,
}

#[derive(Serialize)]
struct FileRecord<'a> {
    name: &'a str,
    data: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    modtime: Option<Time>,
}

/// A time that Go writes even when it is zero.
struct ZeroTime(Option<Time>);

impl Serialize for ZeroTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(time) => time.serialize(serializer),
            None => serializer.serialize_str("0001-01-01T00:00:00Z"),
        }
    }
}

fn is_empty_map(map: &Option<&JsonMap>) -> bool {
    map.is_none_or(JsonMap::is_empty)
}

impl<'a> Record<'a> {
    fn of(release: &'a Release) -> Self {
        let chart = &release.chart;
        Record {
            name: release.id.name.as_str(),
            info: InfoRecord::of(&release.info),
            chart: ChartRecord {
                metadata: (!chart.metadata.is_empty()).then_some(&chart.metadata),
                lock: &chart.lock,
                templates: file_records(&chart.templates),
                values: &chart.values,
                schema: chart.schema.as_ref().map(|schema| BASE64.encode(schema)),
                schemamodtime: ZeroTime(chart.schema_modified),
                files: file_records(&chart.files),
                modtime: chart.modified,
            },
            config: release.config.as_ref(),
            manifest: &release.manifest,
            hooks: &release.hooks,
            version: release.revision.0,
            namespace: &release.id.namespace,
            apply_method: release.apply_method,
        }
    }
}

fn file_records<'a>(files: &'a [StoredFile]) -> Option<Vec<FileRecord<'a>>> {
    let record =
        |file: &'a StoredFile| FileRecord { name: &file.name, data: BASE64.encode(&file.data), modtime: file.modified };
    (!files.is_empty()).then(|| files.iter().map(record).collect())
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct InfoRecord {
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "empty_is_none")]
    first_deployed: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "empty_is_none")]
    last_deployed: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "empty_is_none")]
    deleted: Option<Time>,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollback_revision: Option<Revision>,
    #[serde(skip_serializing_if = "String::is_empty")]
    notes: String,
}

impl InfoRecord {
    fn of(info: &Info) -> Self {
        InfoRecord {
            first_deployed: info.first_deployed,
            last_deployed: info.last_deployed,
            deleted: info.deleted,
            description: info.description.clone(),
            status: info.status,
            rollback_revision: info.rollback_revision,
            notes: info.notes.clone(),
        }
    }

    fn info(self) -> Info {
        Info {
            first_deployed: self.first_deployed,
            last_deployed: self.last_deployed,
            deleted: self.deleted,
            description: self.description,
            status: self.status,
            rollback_revision: self.rollback_revision.filter(|revision| revision.0 > 0),
            notes: self.notes,
        }
    }
}

/// A record as it is read, whole.
#[derive(Deserialize)]
struct OwnedRecord {
    #[serde(default)]
    name: String,
    #[serde(default)]
    info: InfoRecord,
    #[serde(default)]
    chart: Option<OwnedChart>,
    #[serde(default)]
    config: Option<JsonMap>,
    #[serde(default)]
    manifest: String,
    #[serde(default, deserialize_with = "null_is_default")]
    hooks: Vec<Hook>,
    #[serde(default)]
    version: u32,
    #[serde(default)]
    namespace: String,
    #[serde(default, deserialize_with = "empty_method_is_none")]
    apply_method: Option<ApplyMethod>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OwnedChart {
    #[serde(deserialize_with = "null_is_default")]
    metadata: JsonMap,
    lock: Option<serde_json::Value>,
    #[serde(deserialize_with = "null_is_default")]
    templates: Vec<OwnedFile>,
    values: Option<JsonMap>,
    schema: Option<String>,
    #[serde(deserialize_with = "empty_is_none")]
    schemamodtime: Option<Time>,
    #[serde(deserialize_with = "null_is_default")]
    files: Vec<OwnedFile>,
    #[serde(deserialize_with = "empty_is_none")]
    modtime: Option<Time>,
}

#[derive(Deserialize)]
struct OwnedFile {
    name: String,
    #[serde(default)]
    data: Option<String>,
    #[serde(default, deserialize_with = "empty_is_none")]
    modtime: Option<Time>,
}

/// A record as it is read for history: what it leaves out is skipped, not built.
#[derive(Deserialize)]
struct LightRecord {
    #[serde(default)]
    name: String,
    #[serde(default)]
    info: InfoRecord,
    #[serde(default)]
    chart: Option<LightChart>,
    #[serde(default)]
    manifest: String,
    #[serde(default, deserialize_with = "null_is_default")]
    hooks: Vec<Hook>,
    #[serde(default)]
    version: u32,
    #[serde(default)]
    namespace: String,
    #[serde(default, deserialize_with = "empty_method_is_none")]
    apply_method: Option<ApplyMethod>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LightChart {
    metadata: Option<LightMetadata>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LightMetadata {
    name: String,
    version: String,
    app_version: String,
}

impl OwnedRecord {
    fn release(self) -> Result<Release, DecodeError> {
        let chart = self.chart.unwrap_or_default();
        Ok(Release {
            id: release_id(self.namespace, &self.name)?,
            revision: revision(self.version)?,
            info: self.info.info(),
            chart: StoredChart {
                metadata: chart.metadata,
                lock: chart.lock,
                templates: stored_files(chart.templates)?,
                values: chart.values,
                schema: chart.schema.map(|text| BASE64.decode(text).map_err(DecodeError::NotBase64)).transpose()?,
                schema_modified: chart.schemamodtime,
                files: stored_files(chart.files)?,
                modified: chart.modtime,
            },
            config: self.config,
            manifest: self.manifest,
            hooks: self.hooks,
            apply_method: self.apply_method,
            labels: BTreeMap::new(),
        })
    }
}

impl LightRecord {
    fn parts(self) -> Result<(ReleaseSummary, String, Vec<Hook>), DecodeError> {
        let metadata = self.chart.and_then(|chart| chart.metadata).unwrap_or_default();
        let summary = ReleaseSummary {
            id: release_id(self.namespace, &self.name)?,
            revision: revision(self.version)?,
            info: self.info.info(),
            chart: ChartVersion { name: metadata.name, version: metadata.version, app_version: metadata.app_version },
            apply_method: self.apply_method,
        };
        Ok((summary, self.manifest, self.hooks))
    }
}

fn release_id(namespace: String, name: &str) -> Result<ReleaseId, DecodeError> {
    Ok(ReleaseId { namespace, name: ReleaseName::parse(name).map_err(DecodeError::BadName)? })
}

fn revision(number: u32) -> Result<Revision, DecodeError> {
    if number == 0 { Err(DecodeError::NoRevision) } else { Ok(Revision(number)) }
}

fn stored_files(files: Vec<OwnedFile>) -> Result<Vec<StoredFile>, DecodeError> {
    let stored = |file: OwnedFile| {
        let data = BASE64.decode(file.data.unwrap_or_default()).map_err(DecodeError::NotBase64)?;
        Ok(StoredFile { name: file.name, data, modified: file.modtime })
    };
    files.into_iter().map(stored).collect()
}

/// Go reads `null` into a slice or map as nil.
fn null_is_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Old records hold no method, or an empty one.
fn empty_method_is_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ApplyMethod>, D::Error> {
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some("") => Ok(None),
        Some("csa") => Ok(Some(ApplyMethod::ClientSide)),
        Some("ssa") => Ok(Some(ApplyMethod::ServerSide)),
        Some(other) => Err(D::Error::unknown_variant(other, &["csa", "ssa"])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Secrets that Helm v4.3.1 wrote: an install, an upgrade and a rollback of a small chart with a hook and a schema,
    /// and a bare failed record. `record` is the value under `release`, `json` what it holds.
    fn written_by_helm() -> Vec<Value> {
        serde_json::from_str(include_str!("testdata/want.helm-v4.3.1.json")).unwrap()
    }

    fn json_of(record: &[u8]) -> Value {
        parse(&inflate(record).unwrap()).unwrap()
    }

    #[test]
    fn records_of_helm_are_written_back_as_helm_wrote_them() {
        let all = written_by_helm();
        assert_eq!(all.len(), 4);
        for secret in all {
            let release = decode(secret["record"].as_str().unwrap().as_bytes()).unwrap();
            let mut want = secret["json"].clone();
            if release.id.name.as_str() == "bare" {
                // We always write a chart; Helm leaves it out of a record that has none, which no command makes.
                want["chart"] = json!({"metadata": null, "lock": null, "templates": null, "values": null,
                    "schema": null, "schemamodtime": "0001-01-01T00:00:00Z", "files": null});
            }
            assert_eq!(json_of(&encode(&release)), want);
        }
    }

    #[test]
    fn secrets_carry_the_labels_of_helm() {
        for want in written_by_helm() {
            let mut release = decode(want["record"].as_str().unwrap().as_bytes()).unwrap();
            if let Some(team) = want["labels"]["team"].as_str() {
                release.labels.insert("team".to_owned(), team.to_owned());
            }
            let (key, wrap): (_, fn(Timestamp) -> WrittenAt) = match want["labels"].get("createdAt") {
                Some(_) => ("createdAt", WrittenAt::Created),
                None => ("modifiedAt", WrittenAt::Modified),
            };
            let at = Timestamp::from_second(want["labels"][key].as_str().unwrap().parse().unwrap()).unwrap();
            let secret = to_secret(&release, wrap(at)).unwrap();
            assert_eq!(secret.metadata.name.as_deref(), want["name"].as_str());
            assert_eq!(secret.type_.as_deref(), want["type"].as_str());
            assert_eq!(serde_json::to_value(&secret.metadata.labels).unwrap(), want["labels"]);
            assert_eq!(from_secret(&secret).unwrap(), release);
        }
    }

    #[test]
    fn light_reading_sees_what_full_reading_sees() {
        for want in written_by_helm() {
            let release = decode(want["record"].as_str().unwrap().as_bytes()).unwrap();
            let secret = to_secret(&release, WrittenAt::Created(Timestamp::UNIX_EPOCH)).unwrap();
            let light = light_from_secret(&secret).unwrap();
            assert_eq!(light.entry.release, release.summary());
            assert_eq!(light.manifest, release.manifest);
            assert_eq!(light.hooks, release.hooks);
        }
    }

    #[test]
    fn old_records_are_read() {
        let plain = BASE64.encode(
            json!({"name": "web", "version": 2, "namespace": "apps", "chart": null, "hooks": null, "apply_method": "",
                "info": {"status": "superseded", "deleted": "", "first_deployed": "", "last_deployed": null}})
            .to_string(),
        );
        let release = decode(plain.as_bytes()).unwrap();
        assert_eq!((release.revision, release.info.status), (Revision(2), Status::Superseded));
        assert_eq!((release.info.deleted, release.info.first_deployed), (None, None));
        assert_eq!(release.apply_method, None);
    }

    #[test]
    fn broken_records_say_what_is_broken() {
        let error = |record: &str| crate::text::chain(&decode(record.as_bytes()).unwrap_err());
        assert!(error("%").starts_with("the release record is not base64: "));
        assert!(
            error(&BASE64.encode([0x1f, 0x8b, 0x08, 0])).starts_with("the release record cannot be decompressed: ")
        );
        assert!(error(&BASE64.encode("7")).starts_with("the release record is not the JSON of a release: "));
        assert_eq!(
            error(&BASE64.encode(r#"{"version": 1}"#)),
            "the release record has no valid name: the release name is empty"
        );
        assert_eq!(error(&BASE64.encode(r#"{"name": "web"}"#)), "the release record has no revision");
    }

    #[test]
    fn a_record_too_large_names_the_biggest_parts() {
        let mut release = decode(written_by_helm()[1]["record"].as_str().unwrap().as_bytes()).unwrap();
        // Bytes that do not compress.
        let mut state = 1_u64;
        let noise = (0..1_000_000).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u8
        });
        let file = StoredFile { name: "files/big.bin".to_owned(), data: noise.collect(), modified: None };
        release.chart.files.push(file);
        let error = to_secret(&release, WrittenAt::Created(Timestamp::UNIX_EPOCH)).unwrap_err().to_string();
        assert!(
            error.contains("a Secret holds at most 1047552; the biggest parts are files/big.bin (977 KiB), "),
            "{error}"
        );
    }
}
