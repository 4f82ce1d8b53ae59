//! Limits, and whether they held.
#![expect(clippy::print_stdout, reason = "command-line output")]

use std::time::Duration;

use crate::BYSTANDERS;
use crate::attacks::{Answers, Attack};
use crate::bystanders::{Seen, Times};

const READ_LIMIT: Duration = Duration::from_millis(50);
const MEMORY_LIMIT_KIB: u64 = 100 * 1024;

/// One attack and what came of it.
pub(crate) struct Row {
    pub(crate) attack: Attack,
    pub(crate) seconds: u64,
    pub(crate) answers: Answers,
    pub(crate) seen: Seen,
    /// Calls to Salesforce.
    pub(crate) calls: usize,
    /// Fetches of the identity provider's keys.
    pub(crate) fetches: usize,
}

impl Row {
    /// The calls to Salesforce that the portal's limits permit: one per order and half minute,
    /// 60 lookups per account and minute, and four calls for each of 20 orders a minute. Each of
    /// the last two may begin with a minute's worth at once.
    fn permitted_calls(&self) -> usize {
        let times = |seconds: u64| usize::try_from(self.seconds / seconds).unwrap_or(0) + 2;
        let reads = (BYSTANDERS + 1) * times(30);
        match self.attack {
            Attack::UnknownIds => reads + 60 * times(60),
            Attack::NewOrders => reads + 20 * 4 * times(60),
            _ => reads,
        }
    }

    fn permitted_fetches(&self) -> usize {
        usize::try_from(self.seconds / 60).unwrap_or(0) + 1
    }
}

pub(crate) fn print_header(seconds: u64) {
    println!(
        "{seconds} s each; limits: reads p99 {READ_LIMIT:?}, nothing failed, {} MiB",
        MEMORY_LIMIT_KIB / 1024
    );
}

/// Prints a row and returns whether its limits held.
pub(crate) fn print(row: &Row) -> bool {
    let Seen {
        reads,
        console,
        probes,
        memory_kib,
    } = &row.seen;
    println!("\n{}", row.attack.name());
    println!("  attacker   {}", of(&row.answers));
    for (name, times) in [("reads", reads), ("console", console), ("/livez", probes)] {
        println!("  {name:<10} {}", times_of(times));
    }
    println!(
        "  Salesforce {} calls (permitted: {})",
        row.calls,
        row.permitted_calls()
    );
    println!(
        "  key sets   {} fetches (permitted: {})",
        row.fetches,
        row.permitted_fetches()
    );
    println!("  memory     {:.1} MiB", *memory_kib as f64 / 1024.0);
    let answered = |times: &Times| times.failures.is_empty() && !times.took.is_empty();
    let broken: Vec<_> = [
        ("reads", answered(reads) && reads.at(990) < READ_LIMIT),
        ("console", answered(console)),
        ("/livez", answered(probes)),
        ("Salesforce", row.calls <= row.permitted_calls()),
        ("key sets", row.fetches <= row.permitted_fetches()),
        ("memory", *memory_kib < MEMORY_LIMIT_KIB),
    ]
    .into_iter()
    .filter_map(|(name, held)| (!held).then_some(name))
    .collect();
    match broken.is_empty() {
        true => println!("  held"),
        false => println!("  BROKEN: {}", broken.join(", ")),
    }
    broken.is_empty()
}

fn of(answers: &Answers) -> String {
    let answers = answers.0.iter();
    let counts: Vec<_> = answers
        .map(|(answer, count)| format!("{answer}: {count}"))
        .collect();
    counts.join(", ")
}

fn times_of(times: &Times) -> String {
    let failures: usize = times.failures.values().sum();
    let mut text = format!(
        "{} answers, p50 {:.1?}, p99 {:.1?}, max {:.1?}; {failures} failed",
        times.took.len(),
        times.at(500),
        times.at(990),
        times.at(1000)
    );
    for (failure, count) in &times.failures {
        text.push_str(&format!("\n             {count} x {failure}"));
    }
    text
}
