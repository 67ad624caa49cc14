//! Sprig's functions as templates call them, against what the real ones gave.

use std::any::Any;
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Arc;

use super::FUNCTIONS;
use super::keys::PrivateKey;
use crate::template::func::{Fault, FuncTable, Host, KeyType};
use crate::template::{MissingKey, Set, execute};
use crate::value::Value;

/// The 13th of September 2020, 12:26:40 UTC; randomness that repeats; a budget.
struct TestHost {
    seed: Cell<u64>,
    steps_left: Cell<u64>,
}

impl Host for TestHost {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_second(1_600_000_000).unwrap()
    }

    fn local_zone(&self) -> jiff::tz::TimeZone {
        jiff::tz::TimeZone::UTC
    }

    fn random(&self, buffer: &mut [u8]) {
        for byte in buffer {
            self.seed.set(self.seed.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            *byte = (self.seed.get() >> 33) as u8;
        }
    }

    fn private_key(&self, key_type: KeyType) -> Result<Vec<u8>, Fault> {
        use aws_lc_rs::rand::SystemRandom;
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
        let random = SystemRandom::new();
        let document = match key_type {
            KeyType::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
            KeyType::EcdsaP256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random),
            KeyType::Rsa2048 | KeyType::Rsa4096 => return Err("this test makes no RSA keys".into()),
        };
        Ok(document.unwrap().as_ref().to_vec())
    }

    fn spend(&self, steps: u64) -> Result<(), Fault> {
        let left = self.steps_left.get().checked_sub(steps).ok_or_else(|| Fault::Budget("too many steps".into()))?;
        self.steps_left.set(left);
        Ok(())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn run(template: &str, values: &Value) -> Result<String, String> {
    let host = TestHost { seed: Cell::new(7), steps_left: Cell::new(10_000_000) };
    let mut functions = FuncTable::default();
    functions.extend(FUNCTIONS);
    let mut set = Set::new(Arc::new(functions));
    set.parse("t", template).map_err(|error| error.to_string())?;
    match execute(&set, "t", values, &host, MissingKey::Zero) {
        Ok(output) => Ok(String::from_utf8_lossy(&output).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[track_caller]
fn check(template: &str, expected: &str) {
    let outcome = run(template, &Value::Nil).unwrap_or_else(|error| error);
    assert_eq!(outcome, expected, "{template}");
}

#[track_caller]
fn check_error(template: &str, part: &str) {
    let error = run(template, &Value::Nil).expect_err(template);
    assert!(error.contains(part), "{template}: {error}");
}

/// `golden/calls.jsonl` is written by a Go program that runs each template with the real Sprig.
#[test]
fn calls_print_what_sprig_prints() {
    let mut lines = include_str!("golden/calls.jsonl").lines().filter(|line| !line.starts_with('#'));
    let header: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let mut wrong = Vec::new();
    for line in lines {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let template = case["template"].as_str().unwrap();
        let expected = match case.get("output") {
            Some(output) => Ok(output.as_str().unwrap().to_owned()),
            None => Err(case["error"].as_str().unwrap().to_owned()),
        };
        let outcome = run(template, &Value::thaw(&header["values"]));
        if outcome != expected {
            wrong.push(format!("{template}\n  expected {expected:?}\n  printed  {outcome:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_name_of_sprig_is_there_once() {
    let names: HashSet<_> = FUNCTIONS.iter().map(|function| function.name).collect();
    assert_eq!(names.len(), FUNCTIONS.len());
    assert_eq!(names.len(), 209);
    assert!(!names.contains("env") && !names.contains("expandenv"));
}

#[test]
fn changes_of_a_map_are_seen_by_all_who_hold_it() {
    check(r#"{{ $a := dict "x" 1 }}{{ $b := $a }}{{ $_ := set $b "x" 2 }}{{ $a.x }}"#, "2");
    // A sub-map taken over by merge is the same map in both.
    let shared =
        r#"{{ $a := dict }}{{ $b := dict "m" (dict) }}{{ $_ := merge $a $b }}{{ $_ := set $a.m "y" 2 }}{{ $b }}"#;
    check(shared, "map[m:map[y:2]]");
    check(r#"{{ $a := dict "m" (dict) }}{{ $b := deepCopy $a }}{{ $_ := set $b.m "y" 2 }}{{ $a }}"#, "map[m:map[]]");
}

#[test]
fn differs_from_sprig_keys_and_values_go_by_key() {
    check(r#"{{ keys (dict "b" 1 "a" 2) (dict "0" 3) }}"#, "[a b 0]");
    check(r#"{{ values (dict "b" 1 "a" 2) }}"#, "[2 1]");
}

#[test]
fn differs_from_sprig_sort_alpha_leaves_its_argument_alone() {
    check(r#"{{ $l := splitList "," "b,a" }}{{ sortAlpha $l }}{{ $l }}"#, "[a b][b a]");
}

#[test]
fn clock_is_the_hosts() {
    check(r#"{{ now | date "2006-01-02 15:04:05" }}"#, "2020-09-13 12:26:40");
    check(r#"{{ date "2006" "no date" }}"#, "2020");
    check("{{ now }}", "2020-09-13 12:26:40 +0000 UTC");
    check("{{ ago (now | dateModify \"-90s\") }}", "1m30s");
    check("{{ durationRound (now | dateModify \"-50h\") }}", "2d");
    check("{{ now.Year }} {{ now.Month }} {{ now.Weekday }} {{ now.YearDay }}", "2020 September Sunday 257");
    check("{{ (now.AddDate 0 1 20).Format \"Jan 2\" }} {{ now.Unix }} {{ now | mustToRawJson }}", {
        "Nov 2 1600000000 \"2020-09-13T12:26:40Z\""
    });
    check("{{ ((now | dateModify \"2h\").Sub now) }} {{ now.Before (now | dateModify \"1ns\") }}", "2h0m0s true");
}

#[test]
fn random_texts_have_their_length_and_alphabet() {
    check(r#"{{ regexMatch "^[0-9A-Za-z]{40}$" (randAlphaNum 40) }}"#, "true");
    check(r#"{{ regexMatch "^[A-Za-z]{40}$" (randAlpha 40) }}"#, "true");
    check(r#"{{ regexMatch "^[0-9]{40}$" (randNumeric 40) }}"#, "true");
    check(r#"{{ regexMatch "^[ -~]{40}$" (randAscii 40) }}"#, "true");
    check("{{ randAlphaNum -1 }}|{{ randAlphaNum 0 }}", "|");
    check("{{ len (randBytes 20) }} {{ len (shuffle \"hello\") }}", "28 5");
    let uuid = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";
    check(&format!("{{{{ regexMatch {uuid:?} uuidv4 }}}}"), "true");
    check("{{ $n := randInt 5 8 }}{{ and (ge $n 5) (lt $n 8) }}", "true");
    check_error("{{ randInt 3 3 }}", "invalid argument to Intn");
}

#[test]
fn calls_that_would_take_too_much_are_refused() {
    check_error(r#"{{ repeat 1000000000 "aaaaaaaaaa" }}"#, "repeat would make a text longer than 64 MiB");
    check_error("{{ until 1000000000 }}", "until would make a list of more than 1048576 items");
    check_error("{{ seq 1 9000000000000000000 }}", "seq would make a list");
    check_error(r#"{{ nindent 100000000 "a" }}"#, "longer than 64 MiB");
    check_error(r#"{{ repeat 60000000 "a" | replace "a" "bb" }}"#, "replace would make a text");
    check_error("{{ randAlphaNum 100000000 }}", "randAlphaNum of more than");
    check_error("{{ randBytes 100000000 }}", "randBytes of more than");
    check_error(r#"{{ range until 100 }}{{ bcrypt "x" }}{{ end }}"#, "too many steps");
    check_error(
        r#"{{ $d := dict }}{{ $_ := set $d "d" $d }}{{ deepCopy $d }}"#,
        "deepCopy met a map that holds itself",
    );
}

#[test]
fn patterns_too_large_to_compile_are_refused() {
    let nested = |depth: usize| {
        let (open, close) = ("(".repeat(depth), ")".repeat(depth));
        format!(r#"{{{{ mustRegexMatch "{open}a{close}" "a" }}}}"#)
    };
    check(&nested(200), "true");
    check_error(&nested(1000), "expression nests too deeply");
    check_error(
        r#"{{ mustRegexMatch "(\\pL{1000}){1}(\\pL{1000}){1}(\\pL{999}[a-z]){1}" "a" }}"#,
        "expression too large",
    );
}

#[test]
fn derived_passwords_are_always_the_same() {
    let derive = |kind: &str| format!(r#"{{{{ derivePassword 1 {kind:?} "password" "user" "example.com" }}}}"#);
    check(&derive("long"), "ZedaFaxcZaso9*");
    check(&derive("maximum"), "pf4zS1LjCg&LjhsZ7T2~");
    check(&derive("nothing"), "cannot find password template nothing");
}

#[test]
fn passwords_are_hashed_with_bcrypt() {
    let line = run(r#"{{ htpasswd "user" "secret" }}"#, &Value::Nil).unwrap();
    let hash = line.strip_prefix("user:").unwrap();
    assert!(hash.starts_with("$2a$10$"));
    assert!(bcrypt::verify("secret", hash).unwrap());
    check(r#"{{ htpasswd "a:b" "secret" }}"#, "invalid username: a:b");
    check(r#"{{ repeat 73 "x" | bcrypt }}"#, {
        "failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes"
    });
}

#[test]
fn encrypted_texts_are_decrypted() {
    check(
        r#"{{ encryptAES "key" "a text longer than one block" | decryptAES "key" }}"#,
        "a text longer than one block",
    );
    check(r#"{{ encryptAES "key" "" }}|{{ decryptAES "key" "" }}"#, "|");
    // Made by Sprig's own tests of the format.
    check(r#"{{ decryptAES "secretkey" "30tEfhuJSVRhpG97XCuWgz2okj7L8vQ1s6V9zVUPeDQ=" }}"#, "plaintext");
    check_error(r#"{{ decryptAES "key" "YWJj" }}"#, "slice bounds out of range [:16] with capacity 3");
}

#[test]
fn keys_are_written_and_read_back() {
    for (kind, label) in [("ecdsa", "EC PRIVATE KEY"), ("ed25519", "PRIVATE KEY")] {
        let pem = run(&format!("{{{{ genPrivateKey {kind:?} }}}}"), &Value::Nil).unwrap();
        assert!(pem.starts_with(&format!("-----BEGIN {label}-----\n")), "{pem}");
        assert_eq!(PrivateKey::from_pem(pem.as_bytes()).unwrap().to_pem(), pem);
    }
    check(r#"{{ genPrivateKey "x" }}"#, "Unknown type x");
    check_error(r#"{{ genPrivateKey "dsa" }}"#, "genPrivateKey \"dsa\" is not supported");
}

#[test]
fn authority_signs_certificates() {
    let template = r#"
        {{- $ca := genCAWithKey "ca" 365 (genPrivateKey "ecdsa") }}
        {{- $leaf := genSignedCertWithKey "leaf" (list "10.0.0.1") (list "a.example") 10 $ca (genPrivateKey "ed25519") }}
        {{- $again := buildCustomCert ($leaf.Cert | b64enc) ($leaf.Key | b64enc) }}
        {{- typeOf $ca }} {{ eq $leaf.Cert $again.Cert }} {{ regexFind "^-----BEGIN [A-Z ]+-----" $leaf.Key }}"#;
    check(template, "sprig.certificate true -----BEGIN PRIVATE KEY-----");
    let signed = |ips: &str, names: &str| {
        format!(r#"{{{{ $k := genPrivateKey "ecdsa" }}}}{{{{ genSelfSignedCertWithKey "x" {ips} {names} 1 $k }}}}"#)
    };
    check_error(&signed(r#"(list "1.2.3")"#, "nil"), "error parsing ip: 1.2.3");
    check_error(&signed("(list 1)", "nil"), "error parsing ip: 1 is not a string");
    check_error(&signed("nil", "(list 1)"), "error processing alternate dns name: 1 is not a string");
    check_error(&signed("nil", r#"(list "é")"#), "cannot be encoded as an IA5String");
    check_error(r#"{{ genCAWithKey "x" 1 "no key" }}"#, "parsing private key: no PEM data in input");
    check_error(r#"{{ buildCustomCert "!" "" }}"#, "unable to decode base64 certificate");
}

#[test]
fn zones_come_from_the_bundled_database() {
    let berlin = r#"{{ dateInZone "2006-01-02 15:04 MST -0700" 1588723200 "Europe/Berlin" }}"#;
    check(berlin, "2020-05-06 02:00 CEST +0200");
    // Unknown zones, and those in the wrong case, are UTC.
    check(r#"{{ dateInZone "15:04 MST" 1588723200 "europe/berlin" }}"#, "00:00 UTC");
}

#[test]
fn versions_are_compared_by_their_methods() {
    check(r#"{{ $v := semver "v1.2.3-rc.1+b" }}{{ $v.Major }} {{ $v.Prerelease }} {{ $v.Original }} {{ $v }}"#, {
        "1 rc.1 v1.2.3-rc.1+b 1.2.3-rc.1+b"
    });
    check(r#"{{ (semver "1.2.3").Compare (semver "1.10.0") }}"#, "-1");
    check(r#"{{ (semver "1.2.3").IncMinor }} {{ (semver "1.2").Equal (semver "1.2.0") }}"#, "1.3.0 true");
}
