//! Whole renders: any text as a template, with a few values of each type.
#![no_main]

use libfuzzer_sys::fuzz_target;

const VALUES: &[u8] =
    b"text: some text\nwhole: 7\npart: 0.5\nyes: true\nnone: null\nlist: [c, a, b]\nmap: {a: 1, b: {c: [{}]}}\n";

fuzz_target!(|template: &[u8]| pintle_fuzz::render(template, VALUES));
