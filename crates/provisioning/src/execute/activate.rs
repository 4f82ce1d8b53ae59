//! Accepts the order and creates pending services, each after a read-back.

use domain::key::{ClientId, ServiceId, WhmcsOrderId};
use domain::order::{
    ActivationAction, ActivationProgress, Fact, gone, modules_in, next_activation_action,
};
use domain::ports::{CallError, StoreError};

use super::{Attempt, Flow};

impl Attempt<'_> {
    pub(super) async fn activate(
        &mut self,
        client: ClientId,
        order: WhmcsOrderId,
        progress: &ActivationProgress,
    ) -> Result<Flow, StoreError> {
        let seen = match self.ports.reads.order(client, order).await {
            Ok(Some(seen)) => seen,
            Ok(None) => return self.fail(gone(order)).await,
            Err(error) => return self.after_no_effect(error).await,
        };
        let catalogue = match self.ports.reads.catalogue(&seen.products()).await {
            Ok(entries) => entries.unwrap_or_default(),
            Err(error) => return self.after_no_effect(error).await,
        };
        let quiet = self.settings.quiet_period;
        let modules = modules_in(&catalogue);
        match next_activation_action(progress, &seen, modules, self.now(), quiet) {
            ActivationAction::Done => self.record(Fact::Accepted).await,
            ActivationAction::Accept { run_modules } => self.accept(order, run_modules).await,
            ActivationAction::Create(service) => self.create(service).await,
            ActivationAction::Wait(due) => Ok(self.until(due)),
            ActivationAction::Refuse(refusal) => self.fail(refusal).await,
        }
    }

    async fn accept(&mut self, order: WhmcsOrderId, run_modules: bool) -> Result<Flow, StoreError> {
        let intent = Fact::Accepting { at: self.now() };
        if let Some(flow) = self.record_intent(intent).await? {
            return Ok(flow);
        }
        match self
            .ports
            .provisioner
            .accept_order(order, run_modules)
            .await
        {
            Ok(()) => self.record(Fact::AcceptAnswered).await,
            Err(CallError::Refused(refusal)) => {
                self.record(Fact::AcceptFailed {
                    text: refusal.detail,
                })
                .await
            }
            Err(CallError::Unknown { .. }) => {
                self.record(Fact::AcceptUnknown { at: self.now() }).await
            }
            Err(error) => {
                self.record(Fact::NotAccepted).await?;
                self.after_no_effect(error).await
            }
        }
    }

    async fn create(&mut self, service: ServiceId) -> Result<Flow, StoreError> {
        let intent = Fact::Creating {
            at: self.now(),
            service,
        };
        if let Some(flow) = self.record_intent(intent).await? {
            return Ok(flow);
        }
        match self.ports.provisioner.create_service(service).await {
            Ok(()) => self.record(Fact::Created { service }).await,
            Err(CallError::Refused(refusal)) => {
                self.record(Fact::CreateFailed {
                    service,
                    text: refusal.detail,
                })
                .await
            }
            Err(CallError::Unknown { .. }) => {
                self.record(Fact::CreateUnknown { at: self.now() }).await
            }
            Err(error) => {
                self.record(Fact::NotCreated).await?;
                self.after_no_effect(error).await
            }
        }
    }
}
