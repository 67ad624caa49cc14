//! Versions and version ranges: the first line is the range, the second a version.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pintle_fuzz::value::semver::{Constraint, Version};

fuzz_target!(|text: &str| {
    let (range, version) = text.split_once('\n').unwrap_or((text, "1.2.3"));
    let constraint = Constraint::parse(range);
    let strict = Version::parse(version);
    for version in [Version::parse_loose(version), strict].into_iter().flatten() {
        assert!(Version::parse_loose(&version.to_string()).is_ok(), "a version that was read prints as one: {version}");
        let _ = (version.next_patch(), version.next_minor(), version.next_major());
        if let Ok(constraint) = &constraint {
            assert_eq!(constraint.check(&version), constraint.validate(&version).is_empty(), "{range} {version}");
        }
    }
});
