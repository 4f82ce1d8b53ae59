//! Admin commands of the in-memory store.

use domain::job::JobState;
use domain::key::{DeadLetterId, JobId};
use domain::order::{Fact, RetryAnswer};
use domain::ports::{Cursor, DeadLetterView};
use domain::time::Timestamp;
use operations::{
    Acknowledgement, AdminCommand, AuditEntry, CommandResult, CursorChange, Pausable, Pause,
};

use crate::store_state::StoreState;

impl StoreState {
    pub(crate) fn act(
        &mut self,
        command: &AdminCommand,
        by: &str,
        reason: &str,
        now: Timestamp,
    ) -> CommandResult {
        let acted = self.apply(command, by, reason, now);
        let detail = || format!("{by}: {reason}");
        match command {
            _ if acted != CommandResult::Done => {}
            AdminCommand::SetCursor { channel, .. } => {
                self.mark(channel, CursorChange::Set, detail(), now);
            }
            AdminCommand::ResetCursor { channel } => {
                self.mark(channel, CursorChange::Reset, detail(), now);
            }
            _ => {}
        }
        if acted == CommandResult::Done {
            self.audit.push(AuditEntry {
                at: now,
                who: by.to_owned(),
                act: command.name().to_owned(),
                subject: command.subject(),
                reason: reason.to_owned(),
            });
        }
        acted
    }

    fn open_dead_letter(&mut self, number: DeadLetterId) -> Option<&mut DeadLetterView> {
        let mut dead_letters = self.dead_letters.iter_mut();
        dead_letters.find(|view| view.number == number && view.closed_at.is_none())
    }

    fn apply(
        &mut self,
        command: &AdminCommand,
        by: &str,
        reason: &str,
        now: Timestamp,
    ) -> CommandResult {
        match command {
            AdminCommand::Dismiss { dead_letter } => {
                let Some(view) = self.open_dead_letter(*dead_letter) else {
                    return CommandResult::NotFound;
                };
                view.closed_at = Some(now);
            }
            AdminCommand::Redrive { dead_letter } => {
                let Some(view) = self.open_dead_letter(*dead_letter) else {
                    return CommandResult::NotFound;
                };
                view.asked_at = Some(now);
            }
            AdminCommand::SetCursor { channel, replay_id } => {
                let stream = self.streams.entry(channel.clone()).or_default();
                stream.leader = None;
                stream.cursor = Some(Cursor {
                    replay_id: replay_id.clone(),
                    committed_at: now,
                });
                self.lost.remove(channel);
            }
            AdminCommand::ResetCursor { channel } => {
                let Some(stream) = self.streams.get_mut(channel) else {
                    return CommandResult::NotFound;
                };
                stream.leader = None;
                stream.cursor = None;
                self.lost.remove(channel);
            }
            AdminCommand::Forget { order, whmcs_order } => {
                if !self.orders.contains_key(order) {
                    return CommandResult::NotFound;
                }
                let leased = |state: &JobState| matches!(state, JobState::Leased(_));
                let mut jobs = self.jobs.iter();
                if jobs.any(|row| row.job.order == *order && leased(&row.state)) {
                    return CommandResult::Running;
                }
                let forgotten = Fact::Forgotten {
                    order: *whmcs_order,
                };
                self.append(*order, &JobId::of_operator(), &[forgotten], now);
            }
            AdminCommand::Adopt { .. }
            | AdminCommand::RequestRetry { .. }
            | AdminCommand::LogIn { .. }
            | AdminCommand::LogOut { .. }
            | AdminCommand::LoginFailed { .. } => {}
            AdminCommand::RetryRequested { order, answer } => {
                let requested = self
                    .audit
                    .iter()
                    .rev()
                    .find(|line| line.act == "ask_again" && line.subject == order.as_str());
                let requested = requested.map(|line| line.at);
                if *answer == Some(RetryAnswer::Asked)
                    && let Some(row) = self.orders.get_mut(order)
                    && requested.is_some_and(|at| row.updated_at <= at)
                {
                    row.handled = Some(Acknowledgement {
                        who: by.to_owned(),
                        why: reason.to_owned(),
                        at: now,
                    });
                }
            }
            AdminCommand::Handle { order } => {
                let Some(row) = self.orders.get_mut(order) else {
                    return CommandResult::NotFound;
                };
                row.handled = Some(Acknowledgement {
                    who: by.to_owned(),
                    why: reason.to_owned(),
                    at: now,
                });
            }
            AdminCommand::Pause { what } => {
                self.pauses.retain(|pause| pause.what != *what);
                self.pauses.push(Pause {
                    what: what.clone(),
                    by: by.to_owned(),
                    reason: reason.to_owned(),
                    since: now,
                });
                if let Pausable::Intake(channel) = what
                    && let Some(stream) = self.streams.get_mut(channel)
                {
                    stream.leader = None;
                }
            }
            AdminCommand::Resume { what } => {
                if self.paused(what).is_none() {
                    return CommandResult::NotFound;
                }
                self.pauses.retain(|pause| pause.what != *what);
            }
        }
        CommandResult::Done
    }
}
