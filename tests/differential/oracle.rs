//! The process that knows the right answers: `hack/controlplane/helm/oracle`.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::ours::{Answer, Case};

/// A running oracle.
pub(crate) struct Oracle {
    process: Child,
    questions: BufWriter<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    /// Starts the program.
    pub(crate) fn start(program: &str) -> Self {
        let mut process = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("the oracle {program} does not start: {error}"));
        let questions = BufWriter::new(process.stdin.take().expect("is piped"));
        let answers = BufReader::new(process.stdout.take().expect("is piped"));
        Oracle { process, questions, answers }
    }

    /// The answers to all cases, in order. `meanwhile` runs while the oracle works.
    pub(crate) fn ask_all<T: Send>(
        &mut self,
        cases: &[Case],
        meanwhile: impl FnOnce() -> T + Send,
    ) -> (Vec<Answer>, T) {
        let (questions, answers) = (&mut self.questions, &mut self.answers);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for case in cases {
                    serde_json::to_writer(&mut *questions, case).expect("the oracle reads");
                    questions.write_all(b"\n").expect("the oracle reads");
                }
                questions.flush().expect("the oracle reads");
            });
            let reader = scope.spawn(|| cases.iter().map(|case| read_answer(answers, case)).collect());
            let result = meanwhile();
            (reader.join().expect("the oracle answers"), result)
        })
    }

    pub(crate) fn ask(&mut self, case: &Case) -> Answer {
        let (mut answers, ()) = self.ask_all(std::slice::from_ref(case), || ());
        answers.pop().expect("one answer a case")
    }
}

fn read_answer(answers: &mut BufReader<ChildStdout>, case: &Case) -> Answer {
    let mut line = Vec::new();
    let size = answers.read_until(b'\n', &mut line).unwrap_or(0);
    assert!(size > 0, "the oracle ended at {}", serde_json::to_string(case).expect("cases are JSON"));
    serde_json::from_slice(&line).unwrap_or_else(|error| {
        panic!("the oracle answered {:?} to {case:?}: {error}", String::from_utf8_lossy(&line));
    })
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // A process that hangs must not hold up the end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
