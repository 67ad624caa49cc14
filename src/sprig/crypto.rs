//! Passwords and secrets: `bcrypt`, `htpasswd`, `derivePassword`, `genPrivateKey`, `encryptAES`.

use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::encoding::{b64enc, decode_base64};
use super::keys::PrivateKey;
use crate::template::func::{Fault, Host, KeyType};

/// Steps of the render's budget for work that is slow on purpose: some 50 ms and 150 ms.
const BCRYPT_STEPS: u64 = 500_000;
const SCRYPT_STEPS: u64 = 1_500_000;
/// `bcrypt.DefaultCost` of Go.
const BCRYPT_COST: u32 = 10;
const BCRYPT_PASSWORD_BYTES_MAX: usize = 72;
const AES_BLOCK: usize = 16;
const AES_KEY: usize = 32;

/// The hash of a password, or the reason there is none: Sprig returns either as text.
pub(super) fn bcrypt(host: &dyn Host, password: &[u8]) -> Result<String, Fault> {
    host.spend(BCRYPT_STEPS)?;
    if password.len() > BCRYPT_PASSWORD_BYTES_MAX {
        return Ok("failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes".into());
    }
    let mut salt = [0; 16];
    host.random(&mut salt);
    Ok(match bcrypt::hash_with_salt(password, BCRYPT_COST, salt) {
        Ok(hash) => hash.format_for_version(bcrypt::Version::TwoA),
        Err(error) => format!("failed to encrypt string with bcrypt: {error}"),
    })
}

/// A line of a password file.
pub(super) fn htpasswd(host: &dyn Host, user: &[u8], password: &[u8]) -> Result<Vec<u8>, Fault> {
    if user.contains(&b':') {
        return Ok([b"invalid username: ", user].concat());
    }
    Ok([user, b":", bcrypt(host, password)?.as_bytes()].concat())
}

/// A password for a site from a master password, always the same one (Lyndir's Master Password, version 0).
pub(super) fn derive_password(
    host: &dyn Host,
    counter: u32,
    kind: &[u8],
    password: &[u8],
    user: &[u8],
    site: &[u8],
) -> Result<Vec<u8>, Fault> {
    const SCOPE: &[u8] = b"com.lyndir.masterpassword";
    let Some(templates) = password_templates(kind) else {
        return Ok([b"cannot find password template ", kind].concat());
    };
    host.spend(SCRYPT_STEPS)?;
    let length_of = |text: &[u8]| (text.len() as u32).to_be_bytes();
    let salt = [SCOPE, &length_of(user), user].concat();
    let parameters = scrypt::Params::new(15, 8, 2).expect("the parameters of the original are valid");
    let mut key = [0; 64];
    scrypt::scrypt(password, &salt, &parameters, &mut key).expect("64 bytes are a valid length");
    let mut code = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    code.update(&[SCOPE, &length_of(site), site, &counter.to_be_bytes()].concat());
    let seed = code.finalize().into_bytes();
    let template = templates[usize::from(seed[0]) % templates.len()];
    let character = |(class, seed): (u8, &u8)| {
        let characters = characters_of(class);
        characters[usize::from(*seed) % characters.len()]
    };
    Ok(template.bytes().zip(&seed[1..]).map(character).collect())
}

/// The shapes of a kind of password, as classes of characters.
fn password_templates(kind: &[u8]) -> Option<&'static [&'static str]> {
    Some(match kind {
        b"maximum" => &["anoxxxxxxxxxxxxxxxxx", "axxxxxxxxxxxxxxxxxno"],
        b"long" => &[
            "CvcvnoCvcvCvcv",
            "CvcvCvcvnoCvcv",
            "CvcvCvcvCvcvno",
            "CvccnoCvcvCvcv",
            "CvccCvcvnoCvcv",
            "CvccCvcvCvcvno",
            "CvcvnoCvccCvcv",
            "CvcvCvccnoCvcv",
            "CvcvCvccCvcvno",
            "CvcvnoCvcvCvcc",
            "CvcvCvcvnoCvcc",
            "CvcvCvcvCvccno",
            "CvccnoCvccCvcv",
            "CvccCvccnoCvcv",
            "CvccCvccCvcvno",
            "CvcvnoCvccCvcc",
            "CvcvCvccnoCvcc",
            "CvcvCvccCvccno",
            "CvccnoCvcvCvcc",
            "CvccCvcvnoCvcc",
            "CvccCvcvCvccno",
        ],
        b"medium" => &["CvcnoCvc", "CvcCvcno"],
        b"short" => &["Cvcn"],
        b"basic" => &["aaanaaan", "aannaaan", "aaannaaa"],
        b"pin" => &["nnnn"],
        _ => return None,
    })
}

fn characters_of(class: u8) -> &'static [u8] {
    match class {
        b'V' => b"AEIOU",
        b'C' => b"BCDFGHJKLMNPQRSTVWXYZ",
        b'v' => b"aeiou",
        b'c' => b"bcdfghjklmnpqrstvwxyz",
        b'A' => b"AEIOUBCDFGHJKLMNPQRSTVWXYZ",
        b'a' => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
        b'n' => b"0123456789",
        b'o' => b"@&%?,=[]_:-+*$#!'^~;()/.",
        _ => b"AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
    }
}

/// A private key as PEM.
pub(super) fn private_key(host: &dyn Host, kind: &[u8]) -> Result<Vec<u8>, Fault> {
    let key_type = match kind {
        b"" | b"rsa" => KeyType::Rsa4096,
        b"ecdsa" => KeyType::EcdsaP256,
        b"ed25519" => KeyType::Ed25519,
        b"dsa" => return Err("genPrivateKey \"dsa\" is not supported: DSA keys are obsolete".into()),
        _ => return Ok([b"Unknown type ", kind].concat()),
    };
    let key = PrivateKey::from_pkcs8(&host.private_key(key_type)?)
        .map_err(|error| format!("failed to generate private key: {error}"))?;
    Ok(key.to_pem().into_bytes())
}

/// AES-256 in CBC mode with a random first block; the password, padded with zeros, is the key.
pub(super) fn encrypt_aes(host: &dyn Host, password: &[u8], text: &[u8]) -> String {
    if text.is_empty() {
        return String::new();
    }
    let mut start = [0; AES_BLOCK];
    host.random(&mut start);
    let mut encryptor = cbc::Encryptor::<aes::Aes256>::new(&aes_key(password).into(), &start.into());
    let padding = AES_BLOCK - text.len() % AES_BLOCK;
    let mut blocks = text.to_vec();
    blocks.resize(text.len() + padding, padding as u8);
    for block in blocks.chunks_exact_mut(AES_BLOCK) {
        encryptor.encrypt_block(block.try_into().expect("chunks of the block size"));
    }
    b64enc(&[&start[..], &blocks].concat())
}

/// What [`encrypt_aes`] encrypted. The padding is not checked, as in the original.
pub(super) fn decrypt_aes(password: &[u8], encrypted: &[u8]) -> Result<Vec<u8>, String> {
    if encrypted.is_empty() {
        return Ok(Vec::new());
    }
    let mut blocks = decode_base64(encrypted)?;
    if blocks.len() < AES_BLOCK {
        let capacity = encrypted.len() / 4 * 3;
        // Go may cut a slice beyond its length, but not beyond its capacity: then the second cut fails.
        let bounds = match capacity < AES_BLOCK {
            true => format!("[:{AES_BLOCK}] with capacity {capacity}"),
            false => format!("[{AES_BLOCK}:{}]", blocks.len()),
        };
        return Err(format!("runtime error: slice bounds out of range {bounds}"));
    }
    let mut text = blocks.split_off(AES_BLOCK);
    if text.len() % AES_BLOCK != 0 {
        return Err("crypto/cipher: input not full blocks".into());
    }
    let start: [u8; AES_BLOCK] = blocks.try_into().expect("split at the block size");
    let mut decryptor = cbc::Decryptor::<aes::Aes256>::new(&aes_key(password).into(), &start.into());
    for block in text.chunks_exact_mut(AES_BLOCK) {
        decryptor.decrypt_block(block.try_into().expect("chunks of the block size"));
    }
    let padding = usize::from(*text.last().ok_or("runtime error: index out of range [-1]")?);
    let length = text
        .len()
        .checked_sub(padding)
        .ok_or_else(|| format!("runtime error: slice bounds out of range [:-{}]", padding - text.len()))?;
    text.truncate(length);
    Ok(text)
}

fn aes_key(password: &[u8]) -> [u8; AES_KEY] {
    let mut key = [0; AES_KEY];
    let length = password.len().min(AES_KEY);
    key[..length].copy_from_slice(&password[..length]);
    key
}
