//! Functions whose output is random by nature, checked by what must hold of it.
//!
//! The templates here print what does not depend on the random numbers: lengths, alphabets, whether a decrypted text is
//! the one encrypted. Certificates and keys are described by Go's `crypto/x509`, ours and Sprig's alike, and the
//! descriptions must be equal: names, dates, usages, extensions, which key signed what, what a client would accept.

use crate::compare::Verdict;
use crate::oracle::Oracle;
use crate::ours::{self, Answer, Case, Kind};

/// Templates whose output must be equal although what they look at is random.
const PROPERTIES: &[&str] = &[
    r#"{{ range $n := list 0 1 7 40 -1 }}{{ len (randAlphaNum $n) }} {{ len (randAlpha $n) }} {{ len (randNumeric $n) }} {{ len (randAscii $n) }};{{ end }}"#,
    r#"{{ randAlphaNum 4000 | splitList "" | uniq | sortAlpha | join "" }}"#,
    r#"{{ randAlpha 4000 | splitList "" | uniq | sortAlpha | join "" }}"#,
    r#"{{ randNumeric 2000 | splitList "" | uniq | sortAlpha | join "" }}"#,
    r#"{{ randAscii 6000 | splitList "" | uniq | sortAlpha | join "" }}"#,
    r#"{{ ne (randAlphaNum 30) (randAlphaNum 30) }} {{ ne uuidv4 uuidv4 }}"#,
    r#"{{ regexMatch "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$" uuidv4 }}"#,
    r#"{{ $seen := dict }}{{ range until 400 }}{{ $_ := set $seen (toString (randInt -3 4)) true }}{{ end }}{{ keys $seen | sortAlpha }}"#,
    r#"{{ randInt 5 6 }}"#,
    r#"{{ randInt 3 3 }}"#,
    r#"{{ randInt 5 3 }}"#,
    r#"{{ shuffle "hello wörld" | splitList "" | sortAlpha | join "" }} {{ shuffle "" }} {{ len (shuffle "aaaa\xff") }}"#,
    r#"{{ len (randBytes 16 | b64dec) }} {{ randBytes 0 }}"#,
    r#"{{ randBytes -1 }}"#,
    r#"{{ $c := encryptAES "key" "plain text, longer than one block" }}{{ decryptAES "key" $c }} {{ len (b64dec $c) }}"#,
    r#"{{ htpasswd "user" "secret" | trunc 12 }} {{ len (htpasswd "user" "secret") }} {{ htpasswd "a:b" "c" }}"#,
    r#"{{ bcrypt "" | trunc 7 }} {{ len (bcrypt "x") }} {{ repeat 73 "x" | bcrypt }}"#,
    r#"{{ typeOf (genCA "x" 1) }} {{ kindOf (genCA "x" 1) }}"#,
    r#"{{ genPrivateKey "nothing" }}"#,
];

/// Templates that print certificates and keys, which are compared as Go describes them.
const CERTIFICATES: &[&str] = &[
    "{{ genPrivateKey \"rsa\" }}",
    "{{ genPrivateKey \"\" }}",
    "{{ genPrivateKey \"ecdsa\" }}",
    "{{ genPrivateKey \"ed25519\" }}",
    "{{ $c := genCA \"an authority\" 365 }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ $c := genCA \"\" 0 }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ $c := genCA \"negative\" -1 }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ $c := genCA \"ünïcode * @ 'x'\" 10 }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ $c := genCA \"till 2050\" 18262 }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ $c := genCA \"after 2050\" 18600 }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ $c := genSelfSignedCert \"self\" (list \"10.0.0.1\" \"::1\") (list \"a.example\" \"*.b.example\") 90 }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ $c := genSelfSignedCert \"no names\" nil nil 90 }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ $c := genSelfSignedCert \"empty lists\" (list) (list) 1 }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ $c := genSelfSignedCert \"mapped\" (list \"::ffff:1.2.3.4\" \"fe80::1\") (list \"\") 1 }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ $ca := genCA \"ca\" 365 }}{{ $c := genSignedCert \"leaf\" (list \"127.0.0.1\") (list \"svc\" \"svc.ns.svc\") 30 $ca }}{{ $ca.Cert }}{{ $ca.Key }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ $ca := genCA \"ca\" 365 }}{{ $i := genSignedCert \"not an authority\" nil nil 30 $ca }}{{ $c := genSignedCert \"leaf\" nil (list \"x.y\") 3 $i }}{{ $ca.Cert }}{{ $i.Cert }}{{ $c.Cert }}",
    "{{ $ca := genCA \"ca\" 365 }}{{ $b := buildCustomCert (b64enc $ca.Cert) (b64enc $ca.Key) }}{{ $c := genSignedCert \"leaf\" nil (list \"x.y\") 3 $b }}{{ $b.Cert }}{{ $b.Key }}{{ $c.Cert }}{{ $c.Key }}{{ eq $b.Cert $ca.Cert }}",
    "{{ $k := genPrivateKey \"ecdsa\" }}{{ $c := genCAWithKey \"ec\" 5 $k }}{{ $c.Cert }}{{ $c.Key }}{{ eq $k $c.Key }}",
    "{{ $k := genPrivateKey \"ed25519\" }}{{ $c := genCAWithKey \"ed\" 5 $k }}{{ $c.Cert }}{{ $c.Key }}{{ eq $k $c.Key }}",
    "{{ $k := genPrivateKey \"rsa\" }}{{ $c := genCAWithKey \"rsa\" 5 $k }}{{ $c.Cert }}{{ $c.Key }}{{ eq $k $c.Key }}",
    "{{ $k := genPrivateKey \"ecdsa\" }}{{ $c := genSelfSignedCertWithKey \"ec\" (list \"1.2.3.4\") (list \"a.b\") 5 $k }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ $k := genPrivateKey \"ecdsa\" }}{{ $ca := genCAWithKey \"ca\" 5 (genPrivateKey \"ed25519\") }}{{ $c := genSignedCertWithKey \"ec\" nil (list \"a.b\") 5 $ca $k }}{{ $ca.Cert }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ $k := genPrivateKey \"ed25519\" }}{{ $ca := genCAWithKey \"ca\" 5 (genPrivateKey \"ecdsa\") }}{{ $c := genSignedCertWithKey \"ed\" nil (list \"a.b\") 5 $ca $k }}{{ $ca.Cert }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ (genSelfSignedCert \"x\" (list \"1.2.3\") nil 1).Cert }}",
    "{{ (genSelfSignedCert \"x\" (list 1) nil 1).Cert }}",
    "{{ (genSelfSignedCert \"x\" nil (list 1) 1).Cert }}",
    "{{ (genSelfSignedCert \"x\" nil (list \"é\") 1).Cert }}",
    "{{ (genSelfSignedCert \"x\" \"1.2.3.4\" nil 1).Cert }}",
    "{{ (genCAWithKey \"x\" 1 \"no key\").Cert }}",
    "{{ (genCAWithKey \"x\" 1 (genCA \"y\" 1).Cert).Cert }}",
    "{{ (buildCustomCert \"!\" \"\").Cert }}",
    "{{ (buildCustomCert \"eA==\" \"eA==\").Cert }}",
    "{{ $c := genCA \"x\" 1 }}{{ (buildCustomCert (b64enc $c.Cert) \"!\").Cert }}",
    "{{ $c := genCA \"x\" 1 }}{{ (buildCustomCert (b64enc $c.Key) (b64enc $c.Key)).Cert }}",
    "{{ $c := genCA \"x\" 1 }}{{ (buildCustomCert (b64enc $c.Cert) (b64enc $c.Cert)).Cert }}",
];

/// Certificates of a key that both sides have: the same bytes, as serial number and clock are the same too.
const WITH_KEY: &[&str] = &[
    "{{ $c := genCAWithKey \"rsa\" 5 KEY }}{{ $c.Cert }}{{ $c.Key }}",
    "{{ $c := genSelfSignedCertWithKey \"rsa\" (list \"1.2.3.4\" \"::1\") (list \"a.b\" \"*.c\") 20000 KEY }}{{ $c.Cert }}",
    "{{ $ca := genCAWithKey \"ünï\" 5 KEY }}{{ (genSignedCertWithKey \"leaf\" nil (list \"a.b\") 5 $ca KEY).Cert }}",
    "{{ $ca := genCAWithKey \"ca\" 5 KEY }}{{ $b := buildCustomCert (b64enc $ca.Cert) (b64enc $ca.Key) }}{{ $b }}",
];

/// What each side encrypts, the other one decrypts; passwords too.
const CROSSED: &[(&str, &str)] = &[
    ("{{ encryptAES \"key\" \"text\" }}", "{{ decryptAES \"key\" OTHER }}"),
    ("{{ encryptAES \"\" \"exactly 16 bytes\" }}", "{{ decryptAES \"\" OTHER }}"),
    (
        "{{ encryptAES \"a key that is longer than thirty-two bytes\" \"\\xff\\x00 ü\" }}",
        "{{ decryptAES \"a key that is longer than thirty-two bytes\" OTHER | printf \"%q\" }}",
    ),
];

/// Runs all of them.
pub(crate) fn check(oracle: &mut Oracle) -> Vec<(Case, Verdict)> {
    let mut outcomes = Vec::new();
    for template in PROPERTIES {
        let case = Case::template(*template);
        let (theirs, mine) = (oracle.ask(&case), ours::answer(&case));
        outcomes.push((case, Verdict::of(&theirs, &mine)));
    }
    for template in CERTIFICATES {
        let case = Case { describe: true, ..Case::template(*template) };
        let theirs = oracle.ask(&case);
        let mine = described(oracle, ours::answer(&case));
        outcomes.push((case, Verdict::of(&theirs, &mine)));
    }
    for kind in ["rsa", "ed25519"] {
        let key = only_text(&oracle.ask(&Case::template(format!("{{{{ genPrivateKey {kind:?} }}}}"))));
        for template in WITH_KEY {
            let case = Case::template(template.replace("KEY", &format!("{key:?}")));
            let (theirs, mine) = (oracle.ask(&case), ours::answer(&case));
            outcomes.push((case, Verdict::of(&theirs, &mine)));
        }
    }
    for (make, read) in CROSSED {
        let case = Case::template(*make);
        let read_with = |text: &Answer| Case::template(read.replace("OTHER", &format!("{:?}", only_text(text))));
        let (theirs, mine) = (oracle.ask(&case), ours::answer(&case));
        let of_mine = oracle.ask(&read_with(&mine));
        let of_theirs = ours::answer(&read_with(&theirs));
        outcomes.push((case, Verdict::of(&of_mine, &of_theirs)));
    }
    outcomes
}

fn described(oracle: &mut Oracle, answer: Answer) -> Answer {
    let Answer::Files(files) = answer else { return answer };
    let mut describe = |text| match oracle.ask(&Case { kind: Kind::Describe, text, ..Case::default() }) {
        Answer::Text(text) => text,
        other => panic!("the oracle describes every text, not {other:?}"),
    };
    Answer::Files(files.into_iter().map(|(path, text)| (path, describe(text))).collect())
}

fn only_text(answer: &Answer) -> String {
    match answer {
        Answer::Files(files) => files.values().map(|text| String::from_utf8_lossy(&text.0).into_owned()).collect(),
        other => format!("{other:?}"),
    }
}
