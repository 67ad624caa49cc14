//! What Kubernetes asks of an object's name, by kind: the rules of `k8s.io/apimachinery`, in its words.

/// Everything that is wrong with the name of an object of this kind.
pub(super) fn problems(kind: &str, name: &str) -> Vec<String> {
    match kind.to_lowercase().as_str() {
        "service" => dns_1035_label(name),
        "namespace" => dns_label(name),
        "certificatesigningrequest" => Vec::new(),
        "role" | "clusterrole" | "rolebinding" | "clusterrolebinding" => path_segment(name),
        _ => dns_subdomain(name),
    }
}

const LABEL_LENGTH_MAX: usize = 63;
const SUBDOMAIN_LENGTH_MAX: usize = 253;

fn dns_subdomain(name: &str) -> Vec<String> {
    const RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                        and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
                        validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    of_length_and_form(name, SUBDOMAIN_LENGTH_MAX, name.split('.').all(is_label), RULE)
}

fn dns_label(name: &str) -> Vec<String> {
    const RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                        start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                        validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    of_length_and_form(name, LABEL_LENGTH_MAX, is_label(name), RULE)
}

fn dns_1035_label(name: &str) -> Vec<String> {
    const RULE: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
                        alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', \
                        regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
    let is_right = is_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase());
    of_length_and_form(name, LABEL_LENGTH_MAX, is_right, RULE)
}

fn of_length_and_form(name: &str, length_max: usize, is_right: bool, rule: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if name.len() > length_max {
        problems.push(format!("must be no more than {length_max} characters"));
    }
    if !is_right {
        problems.push(rule.to_owned());
    }
    problems
}

fn is_label(label: &str) -> bool {
    let is_alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = label.as_bytes();
    let ends_are_right =
        bytes.first().is_some_and(|b| is_alphanumeric(*b)) && bytes.last().is_some_and(|b| is_alphanumeric(*b));
    ends_are_right && bytes.iter().all(|b| is_alphanumeric(*b) || *b == b'-')
}

/// Anything that can be one part of a URL's path.
fn path_segment(name: &str) -> Vec<String> {
    if matches!(name, "." | "..") {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"].iter().filter(|part| name.contains(**part)).map(|part| format!("may not contain '{part}'")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_differ_by_kind() {
        for (kind, name, count) in [
            ("ConfigMap", "a.b-c", 0),
            ("ConfigMap", "", 1),
            ("ConfigMap", "a..b", 1),
            ("ConfigMap", "-a", 1),
            ("SERVICE", "1a", 1),
            ("Namespace", "a.b", 1),
            ("Namespace", "1", 0),
            ("ClusterRole", "System:Any Thing", 0),
            ("ClusterRole", "a/b%", 2),
            ("RoleBinding", "..", 1),
            ("CertificateSigningRequest", "", 0),
        ] {
            assert_eq!(problems(kind, name).len(), count, "{kind} {name:?}");
        }
        assert_eq!(problems("Service", &"A".repeat(64)).len(), 2);
    }
}
