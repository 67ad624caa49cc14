//! Random bytes and new private keys, for the edges to pass into rendering.

use std::fs::File;
use std::io::Read;
use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use aws_lc_rs::{rand, rsa};

use crate::render::Entropy;
use crate::template::func::KeyType;

static DEVICE: LazyLock<Option<File>> = LazyLock::new(|| File::open("/dev/urandom").ok());

/// The randomness of the operating system.
#[derive(Clone, Copy, Debug)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        // Not from aws-lc: it gathers timing jitter for some 15 ms before its first byte, as long as a whole render.
        let read = DEVICE.as_ref().is_some_and(|mut device| device.read_exact(buffer).is_ok());
        if !read {
            rand::fill(buffer).expect("the random generator does not fail once it is seeded");
        }
    }

    fn private_key(&self, key_type: KeyType) -> Result<Vec<u8>, String> {
        let refused = |_| format!("no {key_type:?} key could be generated");
        match key_type {
            KeyType::Rsa2048 => rsa_key(KeySize::Rsa2048),
            KeyType::Rsa4096 => rsa_key(KeySize::Rsa4096),
            KeyType::EcdsaP256 => {
                let random = rand::SystemRandom::new();
                let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(refused)?;
                Ok(key.as_ref().to_vec())
            }
            KeyType::Ed25519 => {
                let key = Ed25519KeyPair::generate_pkcs8(&rand::SystemRandom::new()).map_err(refused)?;
                Ok(key.as_ref().to_vec())
            }
        }
    }
}

fn rsa_key(size: KeySize) -> Result<Vec<u8>, String> {
    let key = rsa::KeyPair::generate(size).map_err(|_| "no RSA key could be generated".to_owned())?;
    let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&key);
    Ok(der.map_err(|_| "an RSA key could not be written".to_owned())?.as_ref().to_vec())
}
