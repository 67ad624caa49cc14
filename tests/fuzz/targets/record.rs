//! Records of releases in Helm's format: the bytes as they are, and as the JSON inside.
#![no_main]

use base64::Engine;
use libfuzzer_sys::fuzz_target;
use pintle_fuzz::release::codec;

fuzz_target!(|bytes: &[u8]| {
    let _ = codec::decode(bytes);
    let record = base64::engine::general_purpose::STANDARD.encode(bytes);
    let Ok(release) = codec::decode(record.as_bytes()) else { return };
    let again = codec::decode(&codec::encode(&release)).expect("our own record is read");
    assert_eq!(codec::encode(&again), codec::encode(&release));
});
