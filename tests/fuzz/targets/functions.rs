//! Each function of templates with any arguments: the first bytes choose the function, JSON texts are its arguments.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pintle_fuzz::sprig;

/// What Helm adds and that reads a text.
const HELMS: &[&str] =
    &["tpl", "fromYaml", "fromYamlArray", "fromJson", "fromJsonArray", "fromToml", "toYaml", "toToml"];

fuzz_target!(|input: &[u8]| {
    let Some((choice, arguments)) = input.split_first_chunk::<2>() else { return };
    let choice = usize::from(u16::from_be_bytes(*choice)) % (sprig::FUNCTIONS.len() + HELMS.len());
    let name = match sprig::FUNCTIONS.get(choice) {
        Some(function) => function.name,
        None => HELMS[choice - sprig::FUNCTIONS.len()],
    };
    let mut values = serde_json::Map::new();
    let mut template = format!("{{{{ {name}");
    for (index, argument) in arguments.split(|byte| *byte == 0).take(6).enumerate() {
        let text = String::from_utf8_lossy(argument);
        // A whole number is an int, as a template's own numbers are; any other JSON its value, any other text itself.
        match (text.parse::<i64>(), serde_json::from_str(&text)) {
            (Ok(number), _) => template += &format!(" ({number})"),
            (_, parsed) => {
                values.insert(format!("v{index}"), parsed.unwrap_or_else(|_| text.into()));
                template += &format!(" .Values.v{index}");
            }
        }
    }
    let values = serde_json::to_vec(&values).expect("a map of JSON values is JSON");
    pintle_fuzz::render(format!("{template} | toString }}}}").as_bytes(), &values);
});
