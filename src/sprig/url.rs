//! `urlParse` and `urlJoin`, by the rules of Go's `net/url`: more lenient than RFC 3986, stricter than browsers.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::reflect::kind_name;
use super::strings::find;
use crate::template::func::Fault;
use crate::value::{Entries, Map, Str, Value, strconv};

/// A URL in parts, all of them unescaped except the query.
#[derive(Default)]
struct Url {
    scheme: Vec<u8>,
    opaque: Vec<u8>,
    user: Option<User>,
    host: Vec<u8>,
    path: Vec<u8>,
    query: Vec<u8>,
    fragment: Vec<u8>,
}

struct User {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

/// The part of a URL a text stands in: it decides what must be escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    User,
    Host,
    /// The zone of an IPv6 address.
    Zone,
    Fragment,
}

/// The parts of a URL as a dictionary; absent ones are empty.
pub(super) fn parse(text: &[u8]) -> Result<Map, Fault> {
    let url = Url::parse(text).map_err(|error| format!("unable to parse url: {error}"))?;
    let hostname = url.hostname().to_vec();
    let userinfo = url.user.as_ref().map(User::escaped).unwrap_or_default();
    let entries = [
        ("scheme", url.scheme),
        ("host", url.host),
        ("hostname", hostname),
        ("path", url.path),
        ("query", url.query),
        ("opaque", url.opaque),
        ("fragment", url.fragment),
        ("userinfo", userinfo),
    ];
    Ok(Map::any(entries.into_iter().map(|(key, part)| (Str::from(key), Value::string(part))).collect::<Entries>()))
}

/// Whether a text is a whole URL, as in the first line of an HTTP request: with a scheme, without a fragment.
pub fn is_request_url(text: &str) -> bool {
    !text.is_empty() && Url::parse_before_fragment(text.as_bytes()).is_ok_and(|url| !url.scheme.is_empty())
}

/// The host, with its port, and the path of a URL; `None` where the text is none.
pub fn host_and_path(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    Url::parse(text.as_bytes()).ok().map(|url| (url.host, url.path))
}

/// The URL of the parts in a dictionary.
pub(super) fn join(parts: &Map) -> Result<Vec<u8>, Fault> {
    let mut url = Url {
        scheme: text_at(parts, "scheme")?,
        host: text_at(parts, "host")?,
        path: text_at(parts, "path")?,
        query: text_at(parts, "query")?,
        opaque: text_at(parts, "opaque")?,
        fragment: text_at(parts, "fragment")?,
        user: None,
    };
    let userinfo = text_at(parts, "userinfo")?;
    if !userinfo.is_empty() {
        let carrier = [b"proto://", &userinfo[..], b"@host"].concat();
        let parsed = Url::parse(&carrier).map_err(|error| format!("unable to parse userinfo in dict: {error}"))?;
        url.user = parsed.user;
    }
    Ok(url.text())
}

fn text_at(parts: &Map, key: &str) -> Result<Vec<u8>, Fault> {
    match parts.get(key.as_bytes()) {
        None => Ok(Vec::new()),
        Some(Value::Str(text)) => Ok(text.as_bytes().to_vec()),
        Some(Value::Nil) => Err("runtime error: invalid memory address or nil pointer dereference".into()),
        Some(other) => Err(Fault::Failed(format!(
            "unable to parse {key} key, must be of type string, but {} found",
            kind_name(other.kind())
        ))),
    }
}

fn quoted(text: &[u8]) -> String {
    String::from_utf8_lossy(&strconv::quote(text)).into_owned()
}

impl Url {
    /// # Errors
    /// As Go's `url.Parse`.
    fn parse(text: &[u8]) -> Result<Url, String> {
        let (before, fragment) = cut(text, b'#');
        let error_in = |part: &[u8], error: String| format!("parse {}: {error}", quoted(part));
        let mut url = Url::parse_before_fragment(before).map_err(|error| error_in(before, error))?;
        url.fragment = unescape(fragment.unwrap_or_default(), Part::Fragment).map_err(|error| error_in(text, error))?;
        Ok(url)
    }

    fn parse_before_fragment(text: &[u8]) -> Result<Url, String> {
        if text.iter().any(u8::is_ascii_control) {
            return Err("net/url: invalid control character in URL".into());
        }
        let mut url = Url::default();
        if text == b"*" {
            url.path = text.to_vec();
            return Ok(url);
        }
        let (scheme, rest) = split_scheme(text)?;
        url.scheme = scheme.to_ascii_lowercase();
        let (mut rest, query) = cut(rest, b'?');
        url.query = query.unwrap_or_default().to_vec();
        if !rest.starts_with(b"/") {
            if !url.scheme.is_empty() {
                url.opaque = rest.to_vec();
                return Ok(url);
            }
            if cut(rest, b'/').0.contains(&b':') {
                return Err("first path segment in URL cannot contain colon".into());
            }
        }
        if let Some(behind) = rest.strip_prefix(b"//")
            && (!url.scheme.is_empty() || !behind.starts_with(b"/"))
        {
            let end = behind.iter().position(|b| *b == b'/').unwrap_or(behind.len());
            let (authority, path) = behind.split_at(end);
            rest = path;
            url.parse_authority(authority)?;
        }
        url.path = unescape(rest, Part::Path)?;
        Ok(url)
    }

    fn parse_authority(&mut self, authority: &[u8]) -> Result<(), String> {
        let at = authority.iter().rposition(|b| *b == b'@');
        self.host = parse_host(&self.scheme, at.map_or(authority, |at| &authority[at + 1..]))?;
        let Some(at) = at else { return Ok(()) };
        let userinfo = &authority[..at];
        let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte);
        if !userinfo.iter().all(is_allowed) {
            return Err("net/url: invalid userinfo".into());
        }
        let (name, password) = cut(userinfo, b':');
        self.user = Some(User {
            name: unescape(name, Part::User)?,
            password: password.map(|password| unescape(password, Part::User)).transpose()?,
        });
        Ok(())
    }

    /// The host without port and brackets.
    fn hostname(&self) -> &[u8] {
        let colon = self.host.iter().rposition(|b| *b == b':').filter(|colon| is_port(&self.host[*colon..]));
        let host = &self.host[..colon.unwrap_or(self.host.len())];
        host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host)
    }

    fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if !self.scheme.is_empty() {
            text.extend_from_slice(&self.scheme);
            text.push(b':');
        }
        if self.opaque.is_empty() {
            self.push_hierarchy(&mut text);
        } else {
            text.extend_from_slice(&self.opaque);
        }
        if !self.query.is_empty() {
            text.push(b'?');
            text.extend_from_slice(&self.query);
        }
        if !self.fragment.is_empty() {
            text.push(b'#');
            text.extend_from_slice(&escape(&self.fragment, Part::Fragment));
        }
        text
    }

    /// `//user@host/path`
    fn push_hierarchy(&self, text: &mut Vec<u8>) {
        let has_authority = !self.host.is_empty() || self.user.is_some();
        if has_authority || !self.scheme.is_empty() && !self.path.is_empty() {
            text.extend_from_slice(b"//");
        }
        if let Some(user) = &self.user {
            text.extend_from_slice(&user.escaped());
            text.push(b'@');
        }
        text.extend_from_slice(&escape(&self.host, Part::Host));
        let path = if self.path == b"*" { self.path.clone() } else { escape(&self.path, Part::Path) };
        if !path.is_empty() && path[0] != b'/' && !self.host.is_empty() {
            text.push(b'/');
        }
        // Otherwise the first segment would read as a scheme.
        if text.is_empty() && cut(&path, b'/').0.contains(&b':') {
            text.extend_from_slice(b"./");
        }
        text.extend_from_slice(&path);
    }
}

impl User {
    fn escaped(&self) -> Vec<u8> {
        let mut text = escape(&self.name, Part::User);
        if let Some(password) = &self.password {
            text.push(b':');
            text.extend_from_slice(&escape(password, Part::User));
        }
        text
    }
}

/// The text before the mark and the text behind it.
fn cut(text: &[u8], mark: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|b| *b == mark) {
        Some(place) => (&text[..place], Some(&text[place + 1..])),
        None => (text, None),
    }
}

/// The scheme, empty if there is none, and the rest.
fn split_scheme(text: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let is_scheme = |(index, byte): (usize, &u8)| {
        byte.is_ascii_alphabetic() || index > 0 && (byte.is_ascii_digit() || b"+-.".contains(byte))
    };
    let length = text.iter().enumerate().take_while(|indexed| is_scheme(*indexed)).count();
    match (length, text.get(length)) {
        (0, Some(b':')) => Err("missing protocol scheme".into()),
        (_, Some(b':')) => Ok((&text[..length], &text[length + 1..])),
        _ => Ok((b"", text)),
    }
}

fn parse_host(scheme: &[u8], host: &[u8]) -> Result<Vec<u8>, String> {
    match host.iter().rposition(|b| *b == b'[') {
        Some(0) => return parse_bracketed_host(host),
        Some(_) => return Err("invalid IP-literal".into()),
        None => {}
    }
    // For other schemes lists of hosts are let through, as databases have them.
    let is_web = scheme == b"http" || scheme == b"https";
    let is_colon = |b: &u8| *b == b':';
    let colon = if is_web { host.iter().position(is_colon) } else { host.iter().rposition(is_colon) };
    if let Some(port) = colon.map(|colon| &host[colon..]).filter(|port| !is_port(port)) {
        return Err(format!("invalid port {} after host", quoted(port)));
    }
    unescape(host, Part::Host)
}

/// `[fe80::1%25en0]:80`
fn parse_bracketed_host(host: &[u8]) -> Result<Vec<u8>, String> {
    let Some(close) = host.iter().rposition(|b| *b == b']') else {
        return Err("missing ']' in host".into());
    };
    let (address, port) = (&host[1..close], &host[close + 1..]);
    if !is_port(port) {
        return Err(format!("invalid port {} after host", quoted(port)));
    }
    let zone = find(address, b"%25").unwrap_or(address.len());
    let mut unescaped = unescape(&address[..zone], Part::Host)?;
    unescaped.extend(unescape(&address[zone..], Part::Zone)?);
    let text = String::from_utf8_lossy(&unescaped).into_owned();
    if text.parse::<Ipv4Addr>().is_ok() {
        return Err("invalid IP-literal".into());
    }
    let (address, zone) = text.split_once('%').map_or((&*text, None), |(address, zone)| (address, Some(zone)));
    if address.parse::<Ipv6Addr>().is_err() || zone == Some("") {
        return Err(format!("invalid host: ParseAddr({}): unable to parse IP", quoted(&unescaped)));
    }
    Ok([b"[", &unescaped[..], b"]", port].concat())
}

/// Whether the text is empty, or a colon and digits, or a colon alone.
fn is_port(text: &[u8]) -> bool {
    text.is_empty() || text[0] == b':' && text[1..].iter().all(u8::is_ascii_digit)
}

fn must_escape(byte: u8, part: Part) -> bool {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        return false;
    }
    let plain: &[u8] = match part {
        Part::Path => b"$&+,/:;=@",
        Part::User => b"$&+,;=",
        Part::Host | Part::Zone => b"!$&'()*+,;=:[]<>\"",
        Part::Fragment => b"$&+,/:;=?@!()*",
    };
    !plain.contains(&byte)
}

fn escape(text: &[u8], part: Part) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len());
    for byte in text {
        if must_escape(*byte, part) {
            escaped.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            escaped.push(*byte);
        }
    }
    escaped
}

fn unescape(text: &[u8], part: Part) -> Result<Vec<u8>, String> {
    let invalid = |escape: &[u8]| format!("invalid URL escape {}", quoted(escape));
    let mut unescaped = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        if *first != b'%' {
            if matches!(part, Part::Host | Part::Zone) && first.is_ascii() && must_escape(*first, part) {
                return Err(format!("invalid character {} in host name", quoted(&[*first])));
            }
            unescaped.push(*first);
            rest = behind;
            continue;
        }
        let digit = |index: usize| behind.get(index).and_then(|byte| char::from(*byte).to_digit(16));
        let Some((high, low)) = digit(0).zip(digit(1)) else {
            return Err(invalid(&rest[..rest.len().min(3)]));
        };
        let byte = (high * 16 + low) as u8;
        let (escape, behind) = rest.split_at(3);
        let is_allowed = match part {
            // Only bytes beyond ASCII may be escaped in a host.
            Part::Host => byte >= 0x80 || escape == b"%25",
            Part::Zone => escape == b"%25" || byte == b' ' || !must_escape(byte, Part::Host),
            Part::Path | Part::User | Part::Fragment => true,
        };
        if !is_allowed {
            return Err(invalid(escape));
        }
        unescaped.push(byte);
        rest = behind;
    }
    Ok(unescaped)
}
