//! Certificates of `genCA`, `genSelfSignedCert`, `genSignedCert` and `buildCustomCert`.
//!
//! The structure is what Go 1.26 `x509.CreateCertificate` makes of Sprig's template: a random 128-bit serial number,
//! the extensions key usage, extended key usage (server and client), basic constraints, key identifiers and
//! alternative names, in that order. Keys, the clock and randomness come from the host.

use std::any::Any;
use std::net::IpAddr;
use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::der::{self, tag};
use super::duration::SECOND;
use super::encoding::decode_base64;
use super::keys::PrivateKey;
use super::pem;
use super::strings::printed;
use super::time::Time;
use crate::template::func::{Fault, Host, KeyType};
use crate::value::{Kind, List, Object, Value, strconv};

/// Object identifiers, encoded.
mod oid {
    pub(super) const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    pub(super) const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1D, 0x0E];
    pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x0F];
    pub(super) const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1D, 0x11];
    pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
    pub(super) const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1D, 0x23];
    pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x25];
    pub(super) const SERVER_AUTHENTICATION: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
    pub(super) const CLIENT_AUTHENTICATION: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
}

/// `sprig.certificate`: a certificate and its key, both as PEM.
#[derive(Debug)]
pub(super) struct Certificate {
    cert: Value,
    key: Value,
}

impl Certificate {
    fn value(cert: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Value {
        let certificate = Certificate { cert: Value::string(cert.into()), key: Value::string(key.into()) };
        Value::Object(Rc::new(certificate))
    }
}

impl Object for Certificate {
    fn type_name(&self) -> &str {
        "sprig.certificate"
    }

    fn kind(&self) -> Kind {
        Kind::Struct
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Cert" => Some(self.cert.clone()),
            "Key" => Some(self.key.clone()),
            _ => None,
        }
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![("Cert", self.cert.clone()), ("Key", self.key.clone())]
    }

    fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "Cert": self.cert.freeze(), "Key": self.key.freeze() })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Where a new certificate's key comes from.
pub(super) enum Key<'p> {
    /// A new RSA key of 2048 bits.
    New,
    /// One the chart has, as PEM.
    Pem(&'p [u8]),
}

impl Key<'_> {
    fn load(&self, host: &dyn Host) -> Result<PrivateKey, Fault> {
        Ok(match self {
            Key::New => {
                let pkcs8 = host.private_key(KeyType::Rsa2048)?;
                PrivateKey::from_pkcs8(&pkcs8).map_err(|error| format!("error generating rsa key: {error}"))?
            }
            Key::Pem(text) => PrivateKey::from_pem(text).map_err(|error| format!("parsing private key: {error}"))?,
        })
    }
}

/// What a certificate is issued for.
pub(super) struct Subject<'s> {
    pub(super) common_name: &'s [u8],
    pub(super) days_valid: i64,
    pub(super) addresses: &'s [Value],
    pub(super) dns_names: &'s [Value],
}

impl<'s> Subject<'s> {
    /// With the alternative names of lists from the template.
    pub(super) fn new(common_name: &'s [u8], addresses: &'s List, dns_names: &'s List, days_valid: i64) -> Self {
        Subject { common_name, days_valid, addresses: addresses.as_slice(), dns_names: dns_names.as_slice() }
    }
}

/// A new certificate authority, signed by itself.
pub(super) fn authority(host: &dyn Host, common_name: &[u8], days_valid: i64, key: Key<'_>) -> Result<Value, Fault> {
    let key = key.load(host)?;
    let subject = Subject { common_name, days_valid, addresses: &[], dns_names: &[] };
    issue(host, &subject, Role::Authority, &key, None)
}

/// A certificate signed by itself.
pub(super) fn self_signed(host: &dyn Host, subject: &Subject<'_>, key: Key<'_>) -> Result<Value, Fault> {
    issue(host, subject, Role::Leaf, &key.load(host)?, None)
}

/// A certificate signed by an authority.
pub(super) fn signed(host: &dyn Host, subject: &Subject<'_>, authority: &Value, key: Key<'_>) -> Result<Value, Fault> {
    let key = key.load(host)?;
    let Value::Object(authority) = authority else {
        return Err("unable to decode certificate".into());
    };
    let text_of = |field: &str| match authority.field(field) {
        Some(Value::Str(text)) => text,
        _ => "".into(),
    };
    let block = pem::decode(text_of("Cert").as_bytes()).ok_or("unable to decode certificate")?;
    let parsed = Parsed::read(&block.bytes)
        .map_err(|error| format!("error parsing certificate: decodedSignerCert.Bytes: {error}"))?;
    let signer = PrivateKey::from_pem(text_of("Key").as_bytes())
        .map_err(|error| format!("error parsing private key: {error}"))?;
    issue(host, subject, Role::Leaf, &key, Some(Issuer { certificate: parsed, key: &signer }))
}

/// A certificate and key that the chart has, both PEM in base64, once they are seen to be such.
pub(super) fn custom(cert: &[u8], key: &[u8]) -> Result<Value, String> {
    let cert = decode_base64(cert).map_err(|_| "unable to decode base64 certificate")?;
    let key = decode_base64(key).map_err(|_| "unable to decode base64 private key")?;
    let block = pem::decode(&cert).ok_or("unable to decode certificate")?;
    Parsed::read(&block.bytes).map_err(|error| format!("error parsing certificate: decodedCert.Bytes: {error}"))?;
    PrivateKey::from_pem(&key).map_err(|error| format!("error parsing private key: {error}"))?;
    Ok(Certificate::value(cert, key))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Authority,
    Leaf,
}

/// What is needed of the certificate that signs another.
struct Issuer<'k> {
    certificate: Parsed,
    key: &'k PrivateKey,
}

/// What is needed of a certificate that was read.
struct Parsed {
    subject: Vec<u8>,
    public_key_info: Vec<u8>,
    subject_key_id: Vec<u8>,
}

impl Parsed {
    fn read(certificate: &[u8]) -> Result<Parsed, String> {
        Parsed::read_structure(certificate).ok_or_else(|| "x509: malformed certificate".to_owned())
    }

    fn read_structure(certificate: &[u8]) -> Option<Parsed> {
        let mut outer = der::open_sequence(certificate)?;
        let mut signed = outer.next_if(tag::SEQUENCE)?.parts();
        outer.next_if(tag::SEQUENCE)?;
        outer.next_if(tag::BIT_STRING)?;
        signed.next_if(tag::context_structure(0)); // version
        signed.next_if(tag::INTEGER)?; // serial number
        signed.next_if(tag::SEQUENCE)?; // signature algorithm
        signed.next_if(tag::SEQUENCE)?; // issuer
        signed.next_if(tag::SEQUENCE)?; // validity
        let subject = signed.next_if(tag::SEQUENCE)?.whole.to_vec();
        let public_key_info = signed.next_if(tag::SEQUENCE)?.whole.to_vec();
        signed.next_if(tag::context(1));
        signed.next_if(tag::context(2));
        let mut subject_key_id = Vec::new();
        if let Some(extensions) = signed.next_if(tag::context_structure(3)) {
            let mut extensions = extensions.parts().next_if(tag::SEQUENCE)?.parts();
            while !extensions.is_at_end() {
                let mut extension = extensions.next_if(tag::SEQUENCE)?.parts();
                let id = extension.next_if(tag::OBJECT_IDENTIFIER)?.content;
                extension.next_if(tag::BOOLEAN);
                let value = extension.next_if(tag::OCTET_STRING)?;
                if id == oid::SUBJECT_KEY_ID {
                    subject_key_id = value.parts().next_if(tag::OCTET_STRING)?.content.to_vec();
                }
            }
        }
        Some(Parsed { subject, public_key_info, subject_key_id })
    }
}

/// Makes a certificate, signed by the issuer or by its own key.
fn issue(
    host: &dyn Host,
    subject: &Subject<'_>,
    role: Role,
    key: &PrivateKey,
    issuer: Option<Issuer<'_>>,
) -> Result<Value, Fault> {
    let alternative_names = alternative_names(subject)?;
    let failed = |error: &str| Fault::Failed(format!("error creating certificate: {error}"));
    let mut serial = [0; 16];
    host.random(&mut serial);
    let name = distinguished_name(subject.common_name).map_err(failed)?;
    let issuer_name = issuer.as_ref().map_or(&name, |issuer| &issuer.certificate.subject);
    let signer = issuer.as_ref().map_or(key, |issuer| issuer.key);
    if let Some(issuer) = &issuer
        && issuer.certificate.public_key_info != signer.public_key_info()
    {
        return Err(failed("x509: provided PrivateKey doesn't match parent's PublicKey"));
    }
    let mut extensions = vec![
        key_usage(role),
        extension(oid::EXTENDED_KEY_USAGE, false, &extended_key_usage()),
        extension(oid::BASIC_CONSTRAINTS, true, &basic_constraints(role)),
    ];
    if role == Role::Authority {
        // RFC 7093, method 1.
        let id = &Sha256::digest(key.public_key())[..20];
        extensions.push(extension(oid::SUBJECT_KEY_ID, false, &der::octet_string(id)));
    }
    let authority_key_id = issuer.as_ref().map_or(&[][..], |issuer| &issuer.certificate.subject_key_id);
    if *issuer_name != name && !authority_key_id.is_empty() {
        let id = der::sequence(&[&der::element(tag::context(0), authority_key_id)]);
        extensions.push(extension(oid::AUTHORITY_KEY_ID, false, &id));
    }
    if !alternative_names.is_empty() {
        // They are all the certificate names if it has no subject.
        let is_critical = subject.common_name.is_empty();
        let names = der::sequence(&[&alternative_names.concat()]);
        extensions.push(extension(oid::SUBJECT_ALTERNATIVE_NAME, is_critical, &names));
    }
    let algorithm = signer.signature_algorithm();
    let to_sign = der::sequence(&[
        &der::structure(tag::context_structure(0), &[&der::unsigned(&[2])]),
        &der::unsigned(&serial),
        &algorithm,
        issuer_name,
        &validity(host, subject.days_valid).map_err(|error| failed(&error))?,
        &name,
        &key.public_key_info(),
        &der::structure(tag::context_structure(3), &[&der::sequence(&[&extensions.concat()])]),
    ]);
    let signature = signer.sign(&to_sign).map_err(|error| failed(&error))?;
    let certificate = der::sequence(&[&to_sign, &algorithm, &der::bit_string(&signature)]);
    Ok(Certificate::value(pem::encode("CERTIFICATE", &certificate), key.to_pem()))
}

/// A name of one part, or of none.
fn distinguished_name(common_name: &[u8]) -> Result<Vec<u8>, &'static str> {
    if common_name.is_empty() {
        return Ok(der::sequence(&[]));
    }
    std::str::from_utf8(common_name).map_err(|_| "asn1: string not valid UTF-8")?;
    let is_printable = common_name.iter().all(|byte| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(byte));
    let text_tag = if is_printable { tag::PRINTABLE_STRING } else { tag::UTF8_STRING };
    let attribute = der::sequence(&[&der::object_identifier(oid::COMMON_NAME), &der::element(text_tag, common_name)]);
    Ok(der::sequence(&[&der::structure(tag::SET, &[&attribute])]))
}

/// From now on, for that many days of 24 hours.
fn validity(host: &dyn Host, days: i64) -> Result<Vec<u8>, String> {
    const DAY: i64 = 24 * 3600 * SECOND;
    let start = Time::now(host);
    let end = start.add(DAY.wrapping_mul(days));
    Ok(der::sequence(&[&moment(&start)?, &moment(&end)?]))
}

fn moment(time: &Time) -> Result<Vec<u8>, String> {
    let utc = Time::utc(time.unix_seconds(), 0).civil();
    let rest = format!("{:02}{:02}{:02}{:02}{:02}Z", utc.month, utc.day, utc.hour, utc.minute, utc.second);
    match utc.year {
        1950..2050 => Ok(der::element(tag::UTC_TIME, format!("{:02}{rest}", utc.year % 100).as_bytes())),
        0..=9999 => Ok(der::element(tag::GENERALIZED_TIME, format!("{:04}{rest}", utc.year).as_bytes())),
        _ => Err("asn1: structure error: cannot represent time as GeneralizedTime".into()),
    }
}

fn extension(id: &[u8], is_critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if is_critical { der::element(tag::BOOLEAN, &[0xFF]) } else { Vec::new() };
    der::sequence(&[&der::object_identifier(id), &critical, &der::octet_string(value)])
}

/// Digital signatures and key encipherment, for an authority signing certificates as well.
fn key_usage(role: Role) -> Vec<u8> {
    // The first byte counts the unused bits at the end of the second.
    let bits: [u8; 2] = match role {
        Role::Leaf => [5, 0b1010_0000],
        Role::Authority => [2, 0b1010_0100],
    };
    extension(oid::KEY_USAGE, true, &der::element(tag::BIT_STRING, &bits))
}

fn extended_key_usage() -> Vec<u8> {
    der::sequence(&[
        &der::object_identifier(oid::SERVER_AUTHENTICATION),
        &der::object_identifier(oid::CLIENT_AUTHENTICATION),
    ])
}

fn basic_constraints(role: Role) -> Vec<u8> {
    match role {
        Role::Authority => der::sequence(&[&der::element(tag::BOOLEAN, &[0xFF])]),
        Role::Leaf => der::sequence(&[]),
    }
}

/// DNS names, then addresses.
fn alternative_names(subject: &Subject<'_>) -> Result<Vec<Vec<u8>>, Fault> {
    const DNS_NAME: u8 = tag::context(2);
    const ADDRESS: u8 = tag::context(7);
    let shown = |value: &Value| printed(value).to_text().into_owned();
    let mut addresses = Vec::new();
    for value in subject.addresses {
        let Value::Str(text) = value else {
            return Err(Fault::Failed(format!("error parsing ip: {} is not a string", shown(value))));
        };
        let text = text.to_text();
        let address: IpAddr = text.parse().map_err(|_| format!("error parsing ip: {text}"))?;
        addresses.push(match address.to_canonical() {
            IpAddr::V4(v4) => der::element(ADDRESS, &v4.octets()),
            IpAddr::V6(v6) => der::element(ADDRESS, &v6.octets()),
        });
    }
    let mut dns_names = Vec::new();
    for value in subject.dns_names {
        let Value::Str(text) = value else {
            let shown = shown(value);
            return Err(Fault::Failed(format!("error processing alternate dns name: {shown} is not a string")));
        };
        dns_names.push(text);
    }
    let mut names = Vec::new();
    for text in dns_names {
        if !text.as_bytes().is_ascii() {
            let quoted = strconv::quote(text.as_bytes());
            let quoted = String::from_utf8_lossy(&quoted);
            return Err(Fault::Failed(format!(
                "error creating certificate: x509: {quoted} cannot be encoded as an IA5String"
            )));
        }
        names.push(der::element(DNS_NAME, text.as_bytes()));
    }
    names.append(&mut addresses);
    Ok(names)
}
