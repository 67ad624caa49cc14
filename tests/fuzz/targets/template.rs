//! The lexer and the parser of templates.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use pintle_fuzz::sprig;
use pintle_fuzz::template::{Set, func::FuncTable};

static FUNCTIONS: LazyLock<Arc<FuncTable>> = LazyLock::new(|| {
    let mut table = FuncTable::default();
    table.extend(sprig::FUNCTIONS);
    Arc::new(table)
});

fuzz_target!(|text: &[u8]| {
    if let Err(error) = Set::new(FUNCTIONS.clone()).named("fuzz").parse("a", text) {
        let _ = error.to_string();
    }
});
