//! Leader election: which of several controllers works, as one Lease tells it.
//!
//! Pure: what was seen and what time it is come in, what to do comes out. Reading, writing and waiting is
//! `cluster::lease`. The rules are client-go's (`tools/leaderelection`), so that what people and tools know of Leases
//! holds for ours. A lease only spares work: what keeps two controllers from harm are the fences of the release records.
//!
//! The clocks of two machines are never compared. A lease of somebody else has expired when *this* process has seen no
//! change of it for its whole duration, by its own monotonic clock; the times in a lease are for people.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Retries are spread over this many retry periods more, so that those who wait do not come at once (client-go).
const JITTER: f64 = 1.2;
/// What a lease that was given back says of its duration; the field may not be 0 (client-go).
const RELEASED_DURATION: Duration = Duration::from_secs(1);

/// How long everything takes. Flux's figures are the default: 12 requests a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    lease_duration: Duration,
    renew_deadline: Duration,
    retry_period: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    #[error("the lease duration must be whole seconds, at least one")]
    LeaseDuration,
    #[error("the renew deadline must be shorter than the lease duration")]
    RenewDeadline,
    #[error("the renew deadline must be longer than {JITTER} retry periods, and a retry period at least 10ms")]
    RetryPeriod,
}

impl Default for Terms {
    fn default() -> Self {
        Terms {
            lease_duration: Duration::from_secs(35),
            renew_deadline: Duration::from_secs(30),
            retry_period: Duration::from_secs(5),
        }
    }
}

impl Terms {
    /// # Errors
    /// Terms under which two could hold the lease, or nobody could keep it.
    pub fn new(lease_duration: Duration, renew_deadline: Duration, retry_period: Duration) -> Result<Self, TermsError> {
        if lease_duration.is_zero() || lease_duration.subsec_nanos() != 0 {
            return Err(TermsError::LeaseDuration);
        }
        if renew_deadline >= lease_duration {
            return Err(TermsError::RenewDeadline);
        }
        if retry_period < Duration::from_millis(10) || renew_deadline <= retry_period.mul_f64(JITTER) {
            return Err(TermsError::RetryPeriod);
        }
        Ok(Terms { lease_duration, renew_deadline, retry_period })
    }

    /// For how long others keep away after they saw the lease change.
    pub fn lease_duration(&self) -> Duration {
        self.lease_duration
    }

    /// How long a holder goes on without having renewed the lease. The rest of the lease's duration is for what is in
    /// flight then.
    pub fn renew_deadline(&self) -> Duration {
        self.renew_deadline
    }

    pub fn retry_period(&self) -> Duration {
        self.retry_period
    }

    /// When one who waits asks again. `random` lies in `0.0..1.0`.
    pub fn retry_after(&self, random: f64) -> Duration {
        self.retry_period.mul_f64(1.0 + JITTER * random)
    }
}

/// What a Lease says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Empty where nobody holds it.
    pub holder: String,
    pub duration: Duration,
    pub acquired: Option<Timestamp>,
    pub renewed: Option<Timestamp>,
    /// How often the holder changed.
    pub transitions: i32,
}

impl Record {
    /// The lease as its holder gives it back.
    pub fn released(self, clock: Timestamp) -> Record {
        Record {
            holder: String::new(),
            duration: RELEASED_DURATION,
            acquired: Some(clock),
            renewed: Some(clock),
            transitions: self.transitions,
        }
    }
}

/// What to do about the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is ours, or it may be: write this over exactly what was seen.
    Write(Record),
    /// Somebody else holds it. Unless it changes, it has expired at that moment.
    StandBy { until: Instant },
}

/// One who wants the lease, and what it saw last.
#[derive(Clone, Debug)]
pub struct Candidate {
    identity: String,
    terms: Terms,
    seen: Option<(Record, Instant)>,
}

impl Candidate {
    /// The identity must be nobody else's: a holder of the same name is taken for this process in an earlier life, whose
    /// lease it goes on with at once.
    pub fn new(identity: String, terms: Terms) -> Self {
        Candidate { identity, terms, seen: None }
    }

    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The lease was seen in this state, `None` where there is none.
    ///
    /// `now` is monotonic and decides; `clock` is what people will read.
    pub fn observe(&mut self, lease: Option<&Record>, now: Instant, clock: Timestamp) -> Decision {
        let Some(lease) = lease else {
            self.seen = None;
            return Decision::Write(self.taken(0, clock));
        };
        let since = match &self.seen {
            Some((seen, since)) if seen == lease => *since,
            _ => {
                self.seen = Some((lease.clone(), now));
                now
            }
        };
        if lease.holder == self.identity {
            let kept = Record { acquired: lease.acquired, ..self.taken(lease.transitions, clock) };
            return Decision::Write(kept);
        }
        let until = since + lease.duration;
        if lease.holder.is_empty() || now >= until {
            return Decision::Write(self.taken(lease.transitions.saturating_add(1), clock));
        }
        Decision::StandBy { until }
    }

    fn taken(&self, transitions: i32, clock: Timestamp) -> Record {
        Record {
            holder: self.identity.clone(),
            duration: self.terms.lease_duration,
            acquired: Some(clock),
            renewed: Some(clock),
            transitions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A lease that `holder` took at second 0 and renewed at this one.
    fn lease(holder: &str, renewed: i64) -> Record {
        Record {
            holder: holder.to_owned(),
            duration: Duration::from_secs(35),
            acquired: Some(clock(0)),
            renewed: Some(clock(renewed)),
            transitions: 3,
        }
    }

    /// Words for a decision of `a`: `take 4` and `keep 3` with the transitions, `wait 35` with the second it waits for.
    fn words(decision: &Decision, start: Instant) -> String {
        match decision {
            Decision::Write(record) => {
                assert_eq!((record.holder.as_str(), record.duration), ("a", Duration::from_secs(35)));
                let verb = if record.acquired == record.renewed { "take" } else { "keep" };
                format!("{verb} {}", record.transitions)
            }
            Decision::StandBy { until } => format!("wait {}", until.duration_since(start).as_secs()),
        }
    }

    #[test]
    fn lease_of_somebody_else_expires_when_no_change_was_seen_for_its_duration() {
        // What is seen at which second by the own clock, and what follows.
        type Story<'a> = &'a [(u64, Option<Record>, &'a str)];
        let stories: &[(&str, Story<'_>)] = &[
            ("no lease", &[(0, None, "take 0")]),
            ("given back", &[(0, Some(lease("", 0)), "take 4")]),
            ("an earlier life of this process", &[(0, Some(lease("a", 1)), "keep 3")]),
            (
                "the holder is silent",
                &[
                    (0, Some(lease("b", 0)), "wait 35"),
                    (34, Some(lease("b", 0)), "wait 35"),
                    (35, Some(lease("b", 0)), "take 4"),
                ],
            ),
            (
                "the holder renews",
                &[
                    (0, Some(lease("b", 0)), "wait 35"),
                    (34, Some(lease("b", 5)), "wait 69"),
                    (68, Some(lease("b", 5)), "wait 69"),
                ],
            ),
            (
                // Its clock is an hour behind, or went back: nobody asks it.
                "a renewal with an older time is a renewal",
                &[(0, Some(lease("b", 0)), "wait 35"), (30, Some(lease("b", -3600)), "wait 65")],
            ),
            (
                "a lease that looks old is not expired at first sight",
                &[(0, Some(lease("b", -86_400)), "wait 35"), (35, Some(lease("b", -86_400)), "take 4")],
            ),
            ("another holder", &[(0, Some(lease("b", 0)), "wait 35"), (20, Some(lease("c", 0)), "wait 55")]),
            (
                "deleted, then made again",
                &[(0, Some(lease("b", 0)), "wait 35"), (10, None, "take 0"), (11, Some(lease("b", 0)), "wait 46")],
            ),
            ("given back while waiting", &[(0, Some(lease("b", 0)), "wait 35"), (1, Some(lease("", 1)), "take 4")]),
        ];
        for (name, story) in stories {
            let start = Instant::now();
            let mut candidate = Candidate::new("a".to_owned(), Terms::default());
            for (second, seen, want) in *story {
                let now = start + Duration::from_secs(*second);
                let decision = candidate.observe(seen.as_ref(), now, clock(7));
                assert_eq!(words(&decision, start), *want, "{name}, second {second}");
            }
        }
    }

    #[test]
    fn holder_counts_for_how_long_it_said_itself() {
        let start = Instant::now();
        let mut candidate = Candidate::new("a".to_owned(), Terms::default());
        let short = Record { duration: Duration::from_secs(2), ..lease("b", 0) };
        assert_eq!(words(&candidate.observe(Some(&short), start, clock(0)), start), "wait 2");
    }

    #[test]
    fn lease_that_is_given_back_names_nobody_and_keeps_its_count() {
        let released = lease("a", 5).released(clock(6));
        assert_eq!((released.holder.as_str(), released.transitions), ("", 3));
        assert_eq!(released.duration, Duration::from_secs(1));
    }

    #[test]
    fn terms_that_let_two_hold_the_lease_are_refused() {
        let terms = |lease, renew, retry| {
            Terms::new(Duration::from_millis(lease), Duration::from_millis(renew), Duration::from_millis(retry))
        };
        for (lease, renew, retry, want) in [
            (35_000, 30_000, 5_000, Ok(Terms::default())),
            (0, 0, 0, Err(TermsError::LeaseDuration)),
            (1_500, 1_000, 100, Err(TermsError::LeaseDuration)),
            (30_000, 30_000, 5_000, Err(TermsError::RenewDeadline)),
            (35_000, 6_000, 5_000, Err(TermsError::RetryPeriod)),
            (35_000, 30_000, 0, Err(TermsError::RetryPeriod)),
        ] {
            assert_eq!(terms(lease, renew, retry), want, "{lease} {renew} {retry}");
        }
    }

    #[test]
    fn retries_are_spread() {
        let terms = Terms::default();
        assert_eq!(terms.retry_after(0.0), Duration::from_secs(5));
        assert_eq!(terms.retry_after(0.5), Duration::from_secs(8));
    }
}
