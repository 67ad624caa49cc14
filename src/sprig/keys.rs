//! Private keys for certificates: RSA, ECDSA on the NIST curves, Ed25519.
//!
//! They are written as Sprig writes them: PKCS#1, SEC 1 and PKCS#8. DSA is refused by name: no client takes it any
//! more.

use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};

use super::der::{self, tag};
use super::pem;

/// Object identifiers, encoded.
mod oid {
    pub(super) const RSA_ENCRYPTION: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
    pub(super) const SHA256_WITH_RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0B];
    pub(super) const EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
    pub(super) const ED25519: &[u8] = &[0x2B, 0x65, 0x70];
}

/// A curve with the hash that Go signs with on it.
pub(super) struct Curve {
    /// Object identifier, encoded.
    id: &'static [u8],
    algorithm: &'static EcdsaSigningAlgorithm,
    /// Object identifier of the signature algorithm, encoded.
    signature_id: &'static [u8],
}

static CURVES: [Curve; 3] = [
    Curve {
        id: &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07],
        algorithm: &ECDSA_P256_SHA256_ASN1_SIGNING,
        signature_id: &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02],
    },
    Curve {
        id: &[0x2B, 0x81, 0x04, 0x00, 0x22],
        algorithm: &ECDSA_P384_SHA384_ASN1_SIGNING,
        signature_id: &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03],
    },
    Curve {
        id: &[0x2B, 0x81, 0x04, 0x00, 0x23],
        algorithm: &ECDSA_P521_SHA512_ASN1_SIGNING,
        signature_id: &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x04],
    },
];

/// A private key.
pub(super) enum PrivateKey {
    Rsa { pkcs1: Vec<u8>, pair: rsa::KeyPair },
    Ecdsa { curve: &'static Curve, scalar: Vec<u8>, pair: EcdsaKeyPair },
    Ed25519 { seed: Vec<u8>, pair: Ed25519KeyPair },
}

impl PrivateKey {
    /// # Errors
    /// The bytes are no key in PKCS#8, or one of a kind that is not supported.
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<PrivateKey, String> {
        let malformed = || "x509: failed to parse private key".to_owned();
        let mut parts = der::open_sequence(pkcs8).ok_or_else(malformed)?;
        parts.next_if(tag::INTEGER).ok_or_else(malformed)?;
        let mut algorithm = parts.next_if(tag::SEQUENCE).ok_or_else(malformed)?.parts();
        let id = algorithm.next_if(tag::OBJECT_IDENTIFIER).ok_or_else(malformed)?.content;
        let key = parts.next_if(tag::OCTET_STRING).ok_or_else(malformed)?;
        match id {
            oid::RSA_ENCRYPTION => PrivateKey::from_pkcs1(key.content),
            oid::EC_PUBLIC_KEY => {
                let curve = algorithm.next_if(tag::OBJECT_IDENTIFIER).map(|curve| curve.content);
                PrivateKey::from_sec1(key.content, curve)
            }
            oid::ED25519 => {
                let seed = key.parts().next_if(tag::OCTET_STRING).ok_or_else(malformed)?.content;
                let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| malformed())?;
                Ok(PrivateKey::Ed25519 { seed: seed.to_vec(), pair })
            }
            _ => Err("x509: PKCS#8 wrapping contained private key with unknown algorithm".into()),
        }
    }

    fn from_pkcs1(pkcs1: &[u8]) -> Result<PrivateKey, String> {
        let pair =
            rsa::KeyPair::from_der(pkcs1).map_err(|reason| format!("x509: failed to parse private key: {reason}"))?;
        Ok(PrivateKey::Rsa { pkcs1: pkcs1.to_vec(), pair })
    }

    /// An elliptic key; the curve is named in it or given.
    fn from_sec1(sec1: &[u8], curve: Option<&[u8]>) -> Result<PrivateKey, String> {
        let malformed = || "x509: failed to parse EC private key".to_owned();
        let mut parts = der::open_sequence(sec1).ok_or_else(malformed)?;
        parts.next_if(tag::INTEGER).ok_or_else(malformed)?;
        let scalar = parts.next_if(tag::OCTET_STRING).ok_or_else(malformed)?.content;
        let named = parts.next_if(tag::context_structure(0));
        let named = named.and_then(|named| named.parts().next_if(tag::OBJECT_IDENTIFIER)).map(|id| id.content);
        let id = curve.or(named);
        let curve = CURVES.iter().find(|curve| Some(curve.id) == id).ok_or("x509: unknown elliptic curve")?;
        let minimal = der::sequence(&[
            &der::unsigned(&[1]),
            &der::octet_string(scalar),
            &der::structure(tag::context_structure(0), &[&der::object_identifier(curve.id)]),
        ]);
        let pair = EcdsaKeyPair::from_private_key_der(curve.algorithm, &minimal).map_err(|_| malformed())?;
        let scalar: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(|_| malformed())?;
        let scalar = scalar.as_ref().to_vec();
        Ok(PrivateKey::Ecdsa { curve, scalar, pair })
    }

    /// # Errors
    /// The text holds no key; in Sprig's words.
    pub(super) fn from_pem(text: &[u8]) -> Result<PrivateKey, String> {
        let block = pem::decode(text).ok_or("no PEM data in input")?;
        if block.label == "PRIVATE KEY" {
            return PrivateKey::from_pkcs8(&block.bytes).map_err(|error| format!("decoding PEM as PKCS#8: {error}"));
        }
        let Some(kind) = block.label.strip_suffix(" PRIVATE KEY") else {
            return Err(format!("no private key data in PEM block of type {}", block.label));
        };
        match kind {
            "RSA" => PrivateKey::from_pkcs1(&block.bytes)
                .map_err(|error| format!("parsing RSA private key from PEM: {error}")),
            "EC" => PrivateKey::from_sec1(&block.bytes, None)
                .map_err(|error| format!("parsing EC private key from PEM: {error}")),
            "DSA" => Err("DSA keys are not supported".into()),
            _ => Err(format!("invalid private key type {kind}")),
        }
    }

    pub(super) fn to_pem(&self) -> String {
        match self {
            PrivateKey::Rsa { pkcs1, .. } => pem::encode("RSA PRIVATE KEY", pkcs1),
            PrivateKey::Ecdsa { curve, scalar, pair } => {
                let sec1 = der::sequence(&[
                    &der::unsigned(&[1]),
                    &der::octet_string(scalar),
                    &der::structure(tag::context_structure(0), &[&der::object_identifier(curve.id)]),
                    &der::structure(tag::context_structure(1), &[&der::bit_string(pair.public_key().as_ref())]),
                ]);
                pem::encode("EC PRIVATE KEY", &sec1)
            }
            PrivateKey::Ed25519 { seed, .. } => {
                let pkcs8 = der::sequence(&[
                    &der::unsigned(&[0]),
                    &der::sequence(&[&der::object_identifier(oid::ED25519)]),
                    &der::octet_string(&der::octet_string(seed)),
                ]);
                pem::encode("PRIVATE KEY", &pkcs8)
            }
        }
    }

    /// The public key as it stands in a certificate's bit string.
    pub(super) fn public_key(&self) -> &[u8] {
        match self {
            PrivateKey::Rsa { pair, .. } => pair.public_key().as_ref(),
            PrivateKey::Ecdsa { pair, .. } => pair.public_key().as_ref(),
            PrivateKey::Ed25519 { pair, .. } => pair.public_key().as_ref(),
        }
    }

    /// `SubjectPublicKeyInfo`
    pub(super) fn public_key_info(&self) -> Vec<u8> {
        let algorithm = match self {
            PrivateKey::Rsa { .. } => {
                der::sequence(&[&der::object_identifier(oid::RSA_ENCRYPTION), &der::element(tag::NULL, &[])])
            }
            PrivateKey::Ecdsa { curve, .. } => {
                der::sequence(&[&der::object_identifier(oid::EC_PUBLIC_KEY), &der::object_identifier(curve.id)])
            }
            PrivateKey::Ed25519 { .. } => der::sequence(&[&der::object_identifier(oid::ED25519)]),
        };
        der::sequence(&[&algorithm, &der::bit_string(self.public_key())])
    }

    /// The `AlgorithmIdentifier` of this key's signatures.
    pub(super) fn signature_algorithm(&self) -> Vec<u8> {
        match self {
            PrivateKey::Rsa { .. } => {
                der::sequence(&[&der::object_identifier(oid::SHA256_WITH_RSA), &der::element(tag::NULL, &[])])
            }
            PrivateKey::Ecdsa { curve, .. } => der::sequence(&[&der::object_identifier(curve.signature_id)]),
            PrivateKey::Ed25519 { .. } => der::sequence(&[&der::object_identifier(oid::ED25519)]),
        }
    }

    /// # Errors
    /// The library would not sign with this key.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        let refused = |_| "x509: the key cannot sign".to_owned();
        // ECDSA needs a random number that must never repeat: the library's own source, not one that a test may fix.
        let random = SystemRandom::new();
        match self {
            PrivateKey::Rsa { pair, .. } => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(refused)?;
                Ok(signature)
            }
            PrivateKey::Ecdsa { pair, .. } => Ok(pair.sign(&random, message).map_err(refused)?.as_ref().to_vec()),
            PrivateKey::Ed25519 { pair, .. } => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}
