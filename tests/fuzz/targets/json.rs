//! The JSON reader of `fromJson`; and reading what we wrote gives what was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pintle_fuzz::value::Value;
use pintle_fuzz::value::json::{self, Html};

fuzz_target!(|text: &[u8]| {
    let Ok(read) = json::unmarshal(text) else { return };
    let live = Value::thaw(&read);
    let written = json::marshal(&live, Html::Escape).expect("what JSON held can be written as JSON");
    let again = json::unmarshal(&written).expect("our own JSON is read");
    assert_eq!(Value::thaw(&again).freeze(), live.freeze(), "{}", String::from_utf8_lossy(&written));
});
