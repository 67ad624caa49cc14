//! What a registry asks for before it answers: challenges, tokens, and which hosts may see a password.

use crate::chart::source_ref::{CredentialId, Credentials, OciUrl};
use http::HeaderValue;
use reqwest::Url;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a token lives where the answer does not say (distribution's token specification).
const TOKEN_LIFE_DEFAULT: Duration = Duration::from_secs(60);
/// A token this close to its end is not used any more.
const TOKEN_SLACK: Duration = Duration::from_secs(10);
/// A person's own credentials do not expire; they are looked at again now and then all the same.
const OWN_LIFE: Duration = Duration::from_secs(3600);

/// What `WWW-Authenticate` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Bearer { realm: String, service: Option<String> },
    Basic,
}

/// The value of an `Authorization` header and how long it may be used.
pub(super) struct Token {
    pub(super) header: HeaderValue,
    life: Duration,
}

/// Tokens by repository and identity, never shared across either.
pub(super) struct Tokens {
    held: Mutex<HashMap<(OciUrl, CredentialId), (HeaderValue, Instant)>>,
    /// Hosts that may see credentials of any registry, beside those that plainly belong to it.
    extra_hosts: Vec<String>,
}

impl Challenge {
    /// The best of the challenges we can answer: Bearer before Basic.
    pub(super) fn choose(headers: &[&str]) -> Option<Self> {
        let all: Vec<Challenge> = headers.iter().flat_map(|header| parse_challenges(header)).collect();
        let bearer = all.iter().position(|challenge| matches!(challenge, Challenge::Bearer { .. }));
        let index = bearer.or_else(|| all.iter().position(|challenge| *challenge == Challenge::Basic))?;
        all.into_iter().nth(index)
    }
}

/// Reads `Scheme name="value", name=value, Scheme …`; what is not understood is passed over.
fn parse_challenges(header: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut scheme = String::new();
    let mut parameters: HashMap<String, String> = HashMap::new();
    let mut finish = |scheme: &str, parameters: &mut HashMap<String, String>| {
        if scheme.eq_ignore_ascii_case("basic") {
            challenges.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = parameters.remove("realm")
        {
            challenges.push(Challenge::Bearer { realm, service: parameters.remove("service") });
        }
        parameters.clear();
    };
    for part in split_outside_quotes(header) {
        let (before, value) = match part.split_once('=') {
            Some((before, value)) => (before.trim(), Some(value.trim())),
            None => (part.trim(), None),
        };
        // A new scheme stands before its first parameter: `Bearer realm=…`.
        let name = match before.rsplit_once(' ') {
            Some((new_scheme, name)) => {
                finish(&scheme, &mut parameters);
                scheme = new_scheme.trim().to_owned();
                name
            }
            None if value.is_none() => {
                finish(&scheme, &mut parameters);
                scheme = before.to_owned();
                continue;
            }
            None => before,
        };
        if let Some(value) = value {
            let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
            parameters.insert(name.to_ascii_lowercase(), value.replace("\\\"", "\""));
        }
    }
    finish(&scheme, &mut parameters);
    challenges
}

fn split_outside_quotes(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut within_quotes, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if within_quotes => escaped = true,
            b'"' => within_quotes = !within_quotes,
            b',' if !within_quotes => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

impl Token {
    /// The credentials themselves; none for nobody.
    ///
    /// # Errors
    /// They hold characters that no header can carry.
    pub(super) fn of(credentials: &Credentials) -> Result<Option<Token>, UnusableCredentials> {
        Ok(authorization(credentials)?.map(|header| Token { header, life: OWN_LIFE }))
    }

    /// Reads a token server's answer.
    ///
    /// # Errors
    /// No token in it, or one that no header can carry. The text never holds any of it.
    pub(super) fn read(body: &[u8]) -> Result<Token, String> {
        #[derive(serde::Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
            expires_in: Option<u64>,
        }
        let answer: Answer = serde_json::from_slice(body).map_err(|_| "it is not JSON of the expected form")?;
        let text = answer.token.or(answer.access_token).filter(|text| !text.is_empty()).ok_or("it holds no token")?;
        let mut header = HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| "it holds control characters")?;
        header.set_sensitive(true);
        Ok(Token { header, life: answer.expires_in.map_or(TOKEN_LIFE_DEFAULT, Duration::from_secs) })
    }
}

/// Credentials with control characters in them.
#[derive(Debug)]
pub(super) struct UnusableCredentials;

/// The `Authorization` header of credentials.
pub(super) fn authorization(credentials: &Credentials) -> Result<Option<HeaderValue>, UnusableCredentials> {
    let text = match credentials {
        Credentials::Anonymous => return Ok(None),
        Credentials::Basic { username, password } => {
            let pair = format!("{username}:{password}");
            format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair))
        }
        Credentials::Bearer { token } => format!("Bearer {token}"),
    };
    let mut header = HeaderValue::try_from(text).map_err(|_| UnusableCredentials)?;
    header.set_sensitive(true);
    Ok(Some(header))
}

impl Tokens {
    pub(super) fn new(extra_hosts: Vec<String>) -> Self {
        Tokens { held: Mutex::default(), extra_hosts }
    }

    pub(super) fn get(&self, url: &OciUrl, credential: CredentialId, now: Instant) -> Option<HeaderValue> {
        let held = self.lock();
        let (header, until) = held.get(&(url.clone(), credential))?;
        (*until > now).then(|| header.clone())
    }

    pub(super) fn keep(&self, url: &OciUrl, credential: CredentialId, token: Token, now: Instant) {
        let mut held = self.lock();
        held.retain(|_, (_, until)| *until > now);
        let life = token.life.min(OWN_LIFE).saturating_sub(TOKEN_SLACK);
        held.insert((url.clone(), credential), (token.header, now + life));
    }

    pub(super) fn forget(&self, url: &OciUrl, credential: CredentialId) {
        self.lock().remove(&(url.clone(), credential));
    }

    /// Whether a registry's password may go to the token server it names.
    ///
    /// Yes for the same host; for a host under the same parent domain, as `auth.docker.io` beside
    /// `registry-1.docker.io` or `gitlab.example.com` beside `registry.example.com`; and for hosts the deployment
    /// lists. Never from HTTPS to HTTP. A public suffix of the form `co.uk` is no parent.
    pub(super) fn may_receive_credentials(&self, registry: &Url, realm: &Url) -> bool {
        let (Some(registry_host), Some(realm_host)) = (registry.host_str(), realm.host_str()) else { return false };
        if registry.scheme() == "https" && realm.scheme() != "https" {
            return false;
        }
        if registry_host == realm_host || self.extra_hosts.iter().any(|host| host == realm_host) {
            return true;
        }
        if registry_host.parse::<std::net::IpAddr>().is_ok() || registry_host.starts_with('[') {
            return false;
        }
        match registry_host.split_once('.') {
            Some((_, parent)) if is_own_domain(parent) => {
                realm_host == parent || realm_host.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
            }
            Some(_) | None => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(OciUrl, CredentialId), (HeaderValue, Instant)>> {
        // The map is whole between statements, so a panic elsewhere leaves nothing half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a domain belongs to one owner: at least two labels, and not a country's `co.uk` or `com.au`.
fn is_own_domain(domain: &str) -> bool {
    let labels: Vec<&str> = domain.split('.').collect();
    match labels.as_slice() {
        [] | [_] => false,
        [second, country] => second.len() > 3 || country.len() > 2,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_and_bearer_comes_first() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.map(Into::into) })
        };
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a:b,c:pull""#;
        assert_eq!(Challenge::choose(&[hub]), bearer("https://auth.docker.io/token", Some("registry.docker.io")));
        assert_eq!(Challenge::choose(&["Basic realm=\"x\", Bearer realm=\"https://t\""]), bearer("https://t", None));
        assert_eq!(Challenge::choose(&["basic realm=x"]), Some(Challenge::Basic));
        assert_eq!(Challenge::choose(&["Negotiate", "Basic"]), Some(Challenge::Basic));
        assert_eq!(Challenge::choose(&["Negotiate abc", "Bearer", "\"", ""]), None);
    }

    #[test]
    fn passwords_go_to_the_registrys_own_hosts_only() {
        let tokens = Tokens::new(vec!["login.example.org".into()]);
        let may = |registry: &str, realm: &str| {
            tokens.may_receive_credentials(&Url::parse(registry).unwrap(), &Url::parse(realm).unwrap())
        };
        assert!(may("https://ghcr.io", "https://ghcr.io/token"));
        assert!(may("https://registry-1.docker.io", "https://auth.docker.io/token"));
        assert!(may("https://registry.gitlab.com", "https://gitlab.com/jwt/auth"));
        assert!(may("https://registry.example.co.uk", "https://git.example.co.uk/jwt"));
        assert!(may("https://r.io", "https://login.example.org/token"));
        assert!(may("http://127.0.0.1:5000", "http://127.0.0.1:5001/token"));

        assert!(!may("https://ghcr.io", "https://evil.io/token"));
        assert!(!may("https://example.co.uk", "https://evil.co.uk/token"));
        assert!(!may("https://registry.example.com", "https://evilexample.com/token"));
        assert!(!may("https://registry.example.com", "http://registry.example.com/token"));
        assert!(!may("http://127.0.0.1:5000", "http://128.0.0.1/token"));
    }

    #[test]
    fn unreadable_tokens_are_refused_without_showing_them() {
        assert!(Token::read(br#"{"access_token": "abc", "expires_in": 300}"#).is_ok());
        for body in [&b"{}"[..], b"canary", br#"{"token": ""}"#, b"{\"token\": \"canary\\u000a\"}"] {
            let problem = Token::read(body).err().expect("refused");
            assert!(!problem.contains("canary"), "{problem}");
        }
    }

    #[test]
    fn tokens_end_and_never_serve_another_identity() {
        let tokens = Tokens::new(vec![]);
        let now = Instant::now();
        let url = OciUrl::parse("oci://r.io/a").unwrap();
        let bob = Credentials::Basic { username: "bob".into(), password: "x".into() }.id();
        tokens.keep(&url, bob, Token::read(br#"{"token": "t", "expires_in": 60}"#).unwrap(), now);
        assert!(tokens.get(&url, bob, now).is_some());
        assert!(tokens.get(&url, Credentials::Anonymous.id(), now).is_none());
        assert!(tokens.get(&url, bob, now + Duration::from_secs(51)).is_none());
    }
}
