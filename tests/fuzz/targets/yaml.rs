//! The YAML reader; and reading what we wrote gives what was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pintle_fuzz::{manifest, value::Value, yaml};

fuzz_target!(|text: &[u8]| {
    let _ = yaml::documents(text);
    if let Ok(text) = std::str::from_utf8(text) {
        let _ = manifest::parse(text);
    }
    let Ok(json) = yaml::to_json(text) else { return };
    let live = Value::thaw(&json);
    // Numbers of values are float64, so the comparison is of what the live value freezes to.
    let frozen = live.freeze();
    // What go-yaml, and so we, do not write such that it is read back: the key `<<` goes without quotes, and the line breaks
    // of Unicode are folded.
    if ["<<", "\u{85}", "\u{2028}", "\u{2029}"].iter().any(|lost| frozen.to_string().contains(lost)) {
        return;
    }
    for written in [yaml::marshal(&live), yaml::marshal_pretty(&live)].into_iter().flatten() {
        let again = match yaml::to_json(written.as_bytes()) {
            Ok(again) => again,
            Err(error) => panic!("our own YAML is refused: {error}\n{written}"),
        };
        assert_eq!(Value::thaw(&again).freeze(), frozen, "{written}");
    }
});
