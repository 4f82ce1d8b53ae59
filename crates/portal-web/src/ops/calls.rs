//! The calls to Salesforce and WHMCS, as moments of an order's story.

use domain::ports::{CallAction, CallOutcome, RecordedCall, RecordedFact, System, align_calls};

use super::timeline::{Call, Moment, Rank};
use crate::time;

/// The calls, with a word on those of each job that are not kept.
pub(super) fn calls_made(facts: &[RecordedFact], calls: &[RecordedCall]) -> Vec<Moment> {
    let mut calls = calls.to_vec();
    align_calls(facts, &mut calls);
    let mut moments = Vec::with_capacity(calls.len());
    let mut job = None;
    for RecordedCall {
        job: of,
        number,
        call,
    } in &calls
    {
        let rank = match is_effect(call.action) {
            true => Rank::Acts,
            false => Rank::Reads,
        };
        let moment = |at, place, text, tone, call| Moment {
            rank,
            at,
            gap: None,
            waited_for: "",
            call,
            place,
            text,
            tone,
        };
        if job.replace(of) != Some(of) && *number > 1 {
            let text = format!("{} earlier calls of this attempt are not kept", number - 1);
            moments.push(moment(call.at, "worker", text, "plain", None));
        }
        // WHMCS's own names help whoever reads its log; ours for Salesforce help nobody.
        let asked = match call.action.system() {
            System::Whmcs => format!("{} – {}", call.action.name(), call.action.words()),
            System::Salesforce => call.action.words().to_owned(),
        };
        let outcome = call.outcome.words();
        let took = time::span(call.took);
        let text = match call.outcome {
            CallOutcome::Ok => format!("{asked}: {outcome} in {took}"),
            _ => format!("{asked}: {outcome} after {took}"),
        };
        let tone = match call.outcome {
            CallOutcome::Ok => "plain",
            CallOutcome::NotSent | CallOutcome::Unknown => "doubt",
            CallOutcome::Refused | CallOutcome::Denied => "bad",
        };
        let place = call.action.system().name();
        let told = Call {
            action: call.action,
            outcome: call.outcome,
            took: call.took,
        };
        moments.push(moment(call.at, place, text, tone, Some(told)));
    }
    moments
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
