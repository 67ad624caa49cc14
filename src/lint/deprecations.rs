//! Which APIs of Kubernetes are deprecated since when, and what takes their place.

use crate::render::KubeVersion;

/// Of k8s.io/api v0.37.1, which Helm v4.3.1 is built with: apiVersion, kind, deprecated in, gone in, replacement.
const TABLE: &str = include_str!("deprecations.tsv");

/// The sentence about a deprecated API; `None` where it is not deprecated in that version, or not one of Kubernetes.
pub(super) fn warning(api_version: &str, kind: &str, kube_version: &KubeVersion) -> Option<String> {
    let mut rows = TABLE.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let row = rows.find(|row| row[..2] == [api_version, kind])?;
    let [_, _, deprecated, gone, replacement] = row[..] else { return None };
    let current = (kube_version.major.parse::<u32>().ok()?, kube_version.minor.parse::<u32>().ok()?);
    if current != (0, 0) && current < numbers(deprecated)? {
        return None;
    }
    let mut sentence = format!("{api_version} {kind} is deprecated in v{deprecated}+");
    if !gone.is_empty() {
        sentence.push_str(&format!(", unavailable in v{gone}+"));
    }
    if !replacement.is_empty() {
        sentence.push_str(&format!("; use {replacement}"));
    }
    Some(sentence)
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_whole() {
        for line in TABLE.lines() {
            let row: Vec<&str> = line.split('\t').collect();
            assert_eq!(row.len(), 5, "{line}");
            assert!(numbers(row[2]).is_some() && (row[3].is_empty() || numbers(row[3]).is_some()), "{line}");
        }
    }

    #[test]
    fn deprecation_begins_with_its_version() {
        let warning = |version: &str, kind| warning("policy/v1beta1", kind, &KubeVersion::parse(version).unwrap());
        let sentence = "policy/v1beta1 PodDisruptionBudget is deprecated in v1.21+, unavailable in v1.25+; use policy/v1 \
                        PodDisruptionBudget";
        assert_eq!(warning("1.21", "PodDisruptionBudget").as_deref(), Some(sentence));
        assert_eq!(warning("1.20", "PodDisruptionBudget"), None);
        assert_eq!(warning("1.37", "Nothing"), None);
    }
}
