//! Timeline entries of the calls to Salesforce and WHMCS.

use domain::ports::{CallAction, CallOutcome, System};
use operations::{RecordedCall, RecordedFact, align_calls};

use super::entry::{Call, Entry, Rank};
use crate::time;

/// Entries of the calls, and one for the dropped calls of each job.
pub(super) fn call_entries(facts: &[RecordedFact], calls: &[RecordedCall]) -> Vec<Entry> {
    let mut calls = calls.to_vec();
    align_calls(facts, &mut calls);
    let mut entries = Vec::with_capacity(calls.len());
    let mut job = None;
    for RecordedCall {
        job: job_of_call,
        number,
        call,
    } in &calls
    {
        let rank = match is_effect(call.action) {
            true => Rank::Effect,
            false => Rank::Read,
        };
        let entry = |at, source, text, tone, call| Entry {
            rank,
            at,
            gap: None,
            waited_for: "",
            call,
            source,
            text,
            tone,
        };
        if job.replace(job_of_call) != Some(job_of_call) && *number > 1 {
            let text = format!(
                "{} earlier calls of this attempt are not recorded",
                number - 1
            );
            entries.push(entry(call.at, "worker", text, "plain", None));
        }
        // WHMCS actions appear under the same name in its activity log.
        let action = match call.action.system() {
            System::Whmcs => format!("{} – {}", call.action.name(), call.action.words()),
            System::Salesforce => call.action.words().to_owned(),
        };
        let outcome = call.outcome.words();
        let elapsed = time::span(call.took);
        let text = match call.outcome {
            CallOutcome::Ok => format!("{action}: {outcome} in {elapsed}"),
            _ => format!("{action}: {outcome} after {elapsed}"),
        };
        let tone = match call.outcome {
            CallOutcome::Ok => "plain",
            CallOutcome::NotSent | CallOutcome::Unknown => "warn",
            CallOutcome::Refused | CallOutcome::Denied => "bad",
        };
        let source = call.action.system().name();
        let call_of_entry = Call {
            action: call.action,
            outcome: call.outcome,
            elapsed: call.took,
        };
        entries.push(entry(call.at, source, text, tone, Some(call_of_entry)));
    }
    entries
}

fn is_effect(action: CallAction) -> bool {
    matches!(
        action,
        CallAction::AddClient
            | CallAction::AddOrder
            | CallAction::AcceptOrder
            | CallAction::ModuleCreate
    )
}
