//! The language of `--set` and `valuesFrom.targetPath`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pintle_fuzz::chart::strvals::{Reading, parse_into};
use pintle_fuzz::value::{Entries, Map, Value};

fuzz_target!(|line: &str| {
    let mut content = |name: &str| Ok(name.to_owned());
    for reading in [Reading::Typed, Reading::Text, Reading::Json, Reading::Content(&mut content)] {
        let destination = Map::any(Entries::from([("a".into(), Value::list(vec![Value::int(1)]))]));
        let _ = parse_into(line, &destination, reading);
        let _ = Value::Map(destination).freeze();
    }
});
