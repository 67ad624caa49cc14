//! The tables of `tests/oracle` against what real Helm answered (`hack/fuzz golden` writes it).
//!
//! Answers are compared byte by byte. Of schemas, of lines for `--set` and of values of another type than a table,
//! refusals are compared as such: the words are our own.

use std::fs;

use crate::ours::{self, Answer, Case, Kind};
use crate::tables;

#[test]
fn tables_are_answered_as_helm_answers() {
    let mut unequal = Vec::new();
    let mut count = 0;
    for table in tables::all() {
        let want = fs::read_to_string(tables::want_path(table.name)).unwrap();
        assert_eq!(want.lines().count(), table.cases.len(), "{}: `hack/fuzz golden` writes the answers", table.name);
        let answers: Vec<Answer> =
            pintle::render::on_big_stack(|| table.cases.iter().map(ours::answer).collect()).unwrap();
        for ((case, want), got) in table.cases.iter().zip(want.lines()).zip(answers) {
            let want: Answer = serde_json::from_str(want).unwrap();
            count += 1;
            if got != want && !(is_about_refusal(table.name, case) && are_refusals(&want, &got)) {
                let case = serde_json::to_string(case).unwrap();
                unequal.push(format!("{}: {case}\n  want {want:?}\n  got  {got:?}", table.name));
            }
        }
    }
    assert!(unequal.is_empty(), "{} of {count} are not equal:\n{}", unequal.len(), unequal.join("\n"));
    assert!(count >= 500, "only {count} cases");
}

fn is_about_refusal(table: &str, case: &Case) -> bool {
    matches!(table, "schemas" | "charts") || case.kind == Kind::Set
}

fn are_refusals(want: &Answer, got: &Answer) -> bool {
    matches!((want, got), (Answer::Error(_), Answer::Error(_)))
}
