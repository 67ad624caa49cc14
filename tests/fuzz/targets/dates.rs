//! Go's layouts of dates, durations and zones: the lines are layout, text and zone.
#![no_main]

use libfuzzer_sys::fuzz_target;

const TEMPLATE: &[u8] = br#"{{ $t := toDate .Values.layout .Values.text }}{{ dateInZone .Values.layout $t .Values.zone }}
{{ date .Values.layout now }}{{ duration .Values.text }}{{ durationRound .Values.text }}{{ dateModify .Values.text now }}
{{ toDate .Values.layout (date .Values.layout $t) }}{{ ago $t }}{{ unixEpoch $t }}{{ mustToDate .Values.layout .Values.text }}"#;

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(3, '\n');
    let mut next = || lines.next().unwrap_or("UTC");
    let values = serde_json::json!({"layout": next(), "text": next(), "zone": next()});
    pintle_fuzz::render(TEMPLATE, values.to_string().as_bytes());
});
