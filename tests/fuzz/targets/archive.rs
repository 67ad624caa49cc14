//! Chart archives: the bytes as they are, and as the tar inside a gzip whose checksum fits.
#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use pintle_fuzz::chart::{Limits, load_archive};
use pintle_fuzz::value::{Entries, Map};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { unpacked_bytes_max: 4 << 20, file_bytes_max: 1 << 20, entries_max: 200, ..Limits::default() };
    let _ = load_archive(bytes, &limits);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(bytes).expect("writing to memory");
    let archive = gzip.finish().expect("writing to memory");
    if let Ok(chart) = load_archive(&archive, &limits) {
        let _ = chart.check_installable();
        let _ = chart.crds();
        let _ = chart.with_dependencies(&Map::any(Entries::new()));
    }
});
