//! One request, one answer, and only the bytes that are needed.
//!
//! `kube::Api` covers most of this room; here are the requests it has no word for: answers whose HTTP status matters
//! (201 created, 200 changed), and writes that ask for the metadata of the result alone.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use kube::client::Body;
use kube::core::{ApiResource, Status};

/// Asks for the metadata only: the body of a release Secret would come back with every write.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// What of the object comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Object,
    Metadata,
}

/// The address of an object, or of a kind where `name` is empty.
pub(super) fn path(resource: &ApiResource, namespace: &str, name: &str) -> String {
    let mut path = match resource.group.as_str() {
        "" => format!("/api/{}", resource.version),
        group => format!("/apis/{group}/{}", resource.version),
    };
    if !namespace.is_empty() {
        path.push_str("/namespaces/");
        path.push_str(namespace);
    }
    path.push('/');
    path.push_str(&resource.plural);
    if !name.is_empty() {
        path.push('/');
        path.push_str(&percent_encode(name));
    }
    path
}

/// Names of RBAC objects may hold `:` and more; a name from a chart must not reach into the rest of the address.
pub(super) fn percent_encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Sends a request; an answer other than 2xx becomes an error.
pub(super) async fn send(
    client: &kube::Client,
    method: Method,
    path_and_query: &str,
    body: Option<(&'static str, Vec<u8>)>,
    want: Want,
) -> Result<(StatusCode, Bytes), kube::Error> {
    let accept = match want {
        Want::Object => "application/json",
        Want::Metadata => METADATA_ONLY,
    };
    let mut request = Request::builder().method(method).uri(path_and_query).header(ACCEPT, accept);
    let body = match body {
        Some((content_type, bytes)) => {
            request = request.header(CONTENT_TYPE, content_type);
            Body::from(bytes)
        }
        None => Body::empty(),
    };
    let answer = client.send(request.body(body).map_err(kube::Error::HttpError)?).await?;
    let status = answer.status();
    let bytes = answer.into_body().collect_bytes().await?;
    if status.is_success() {
        return Ok((status, bytes));
    }
    let read = serde_json::from_slice::<Status>(&bytes).ok().filter(|status| status.code != 0);
    let status =
        read.unwrap_or_else(|| Status::failure(&String::from_utf8_lossy(&bytes), "").with_code(status.as_u16()));
    Err(kube::Error::Api(status.boxed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_an_object_stays_one_step_of_the_path() {
        let roles = ApiResource {
            group: "rbac.authorization.k8s.io".into(),
            version: "v1".into(),
            api_version: "rbac.authorization.k8s.io/v1".into(),
            kind: "ClusterRole".into(),
            plural: "clusterroles".into(),
        };
        assert_eq!(
            path(&roles, "", "system:x/../../y?z"),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Ax%2F..%2F..%2Fy%3Fz"
        );
    }
}
