//! Git packs: the bytes as they are, and with a checksum that fits.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut hasher = gix::hash::hasher(gix::hash::Kind::Sha1);
    hasher.update(bytes);
    let Ok(checksum) = hasher.try_finalize() else { return };
    let mut signed = bytes.to_vec();
    signed.extend_from_slice(checksum.as_slice());
    pintle_fuzz::read_pack(signed);
    pintle_fuzz::read_pack(bytes.to_vec());
});
