//! Classification of the service's errors.

use domain::ports::StreamError;
use salesforce_auth::AuthError;
use tonic::{Code, Status};

const PREFIX: &str = "sfdc.platform.eventbus.grpc.";

/// The reaction to an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// Open again.
    Retry,
    /// Open again later.
    Slow,
    /// The day's allowance is used up.
    Allowance,
    /// Get another token, then open again.
    Login,
    /// The cursor is lost.
    Lost,
    /// An operator must fix something; the text says what.
    Stop(&'static str),
}

const OURS: &str = "this is a bug in orderbridge; report it with the rpc id";

/// The last part of the `error-code` trailer; empty when there is none.
pub(crate) fn code_of(status: &Status) -> &str {
    status
        .metadata()
        .get("error-code")
        .and_then(|value| value.to_str().ok())
        .map_or("", |code| code.strip_prefix(PREFIX).unwrap_or(code))
}

/// The reaction by error code, or by status if the code is unknown or missing.
pub(crate) fn reaction(status: &Status) -> Reaction {
    use Reaction::{Allowance, Login, Lost, Retry, Slow, Stop};
    match code_of(status) {
        "service.unavailable"
        | "topic.api.unavailable"
        | "schema.api.unavailable"
        | "subscription.fetch.replay.repeated"
        | "subscription.internal.error" => Retry,
        "service.auth.error" | "service.auth.headers.invalid" => Login,
        "service.auth.refresh.invalid"
        | "topic.validation.empty"
        | "schema.validation.failed"
        | "subscription.fetch.requested.events.invalid"
        | "subscription.fetch.topic.mismatch"
        | "subscription.fetch.request.invalid" => Stop(OURS),
        "service.protection.triggered"
        | "service.protection.stream.limit.triggered"
        | "concurrent.client.limit.exceeded"
        | "subscription.fetch.overflow" => Slow,
        "service.tenant.license" => Stop("the org has no Pub/Sub API; ask Salesforce to enable it"),
        "topic.not.found" => Stop(
            "check SF_PROVISION_EVENT_CHANNEL, that the event is deployed, and that the user of SF_USERNAME may read it",
        ),
        "topic.meta.permission" | "schema.meta.permission" => {
            Stop("give the user of SF_USERNAME access to the event's definition")
        }
        "subscription.topic.cannot.subscribe" => {
            Stop("give the user of SF_USERNAME read access to the event")
        }
        "subscription.fetch.replayid.corrupted"
        | "subscription.fetch.replayid.validation.failed" => Lost,
        "subscription.limit.exceeded" => Allowance,
        // Its last client may have vanished, which Salesforce notices after a quarter of an hour.
        "managed.subscription.already.active" => Slow,
        "managed.subscription.config.stopped" => {
            Stop("set the State of the managed subscription of SF_MANAGED_SUBSCRIPTION to RUN")
        }
        "managed.subscription.config.deleted"
        | "managed.subscription.developer.name.not.found"
        | "managed.subscription.subscription.id.not.found" => Stop(
            "check SF_MANAGED_SUBSCRIPTION against the DeveloperName of the ManagedEventSubscription, and that the user of SF_USERNAME may read its event; a new one takes minutes to be seen",
        ),
        "managed.subscription.subscription.id.invalid"
        | "managed.subscription.subscription.id.or.developer.name.empty"
        | "managed.subscription.fetch.request.invalid"
        | "managed.subscription.fetch.request.events.invalid"
        | "managed.subscription.fetch.request.commit.request.restricted"
        | "managed.subscription.fetch.request.auth.request.restricted" => Stop(OURS),
        _ => match status.code() {
            Code::Unauthenticated => Login,
            Code::ResourceExhausted => Slow,
            Code::Ok
            | Code::Unavailable
            | Code::Internal
            | Code::Unknown
            | Code::Aborted
            | Code::DeadlineExceeded
            | Code::Cancelled => Retry,
            _ => Stop(
                "unknown error; check SF_PROVISION_EVENT_CHANNEL and the permissions of the user of SF_USERNAME",
            ),
        },
    }
}

/// A short description of an error: status, code, the service's message and its rpc id.
pub(crate) fn describe(status: &Status) -> String {
    let code = code_of(status);
    let text: String = status
        .message()
        .chars()
        .filter(|c| !c.is_control())
        .take(300)
        .collect();
    let mut words = format!("{:?}", status.code());
    for (name, value) in [
        ("error-code", code),
        ("message", text.as_str()),
        ("rpc-id", trailer(status, "rpc-id")),
    ] {
        if !value.is_empty() {
            words.push_str(&format!(", {name} `{value}`"));
        }
    }
    words
}

fn trailer<'a>(status: &'a Status, name: &str) -> &'a str {
    status
        .metadata()
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}

/// Converts an error that needs no new token to a stream error.
pub(crate) fn stream_error(reaction: Reaction, status: Status) -> StreamError {
    let detail = describe(&status);
    match reaction {
        Reaction::Retry | Reaction::Login => StreamError::Disconnected {
            detail,
            source: Some(Box::new(status)),
        },
        Reaction::Slow => StreamError::Throttled { detail },
        Reaction::Allowance => StreamError::AllowanceUsedUp { detail },
        Reaction::Lost => StreamError::CursorLost { detail },
        Reaction::Stop(fix) => StreamError::Denied {
            detail: format!("Salesforce refused the event stream ({detail}): {fix}"),
        },
    }
}

/// Converts a login error to a stream error.
pub(crate) fn no_token(error: AuthError) -> StreamError {
    match error {
        AuthError::Unreachable { .. } => StreamError::Disconnected {
            detail: error.to_string(),
            source: Some(Box::new(error)),
        },
        AuthError::Refused { .. } | AuthError::SessionRefused { .. } => StreamError::LoggedOut {
            detail: error.to_string(),
        },
    }
}

/// A broken stream.
pub(crate) fn disconnected(detail: impl Into<String>) -> StreamError {
    StreamError::Disconnected {
        detail: detail.into(),
        source: None,
    }
}

/// Refused right after a new login, so the token is not too old.
pub(crate) fn refused_twice(status: &Status) -> StreamError {
    StreamError::Denied {
        detail: format!(
            "Salesforce refused the event stream again after a new login ({}): check that the user of SF_USERNAME has API access, that its sessions are not locked to an IP address, and that SF_PUBSUB_ENDPOINT serves this org",
            describe(status)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::metadata::MetadataMap;

    fn status(code: Code, error_code: &str) -> Status {
        let mut trailers = MetadataMap::new();
        if !error_code.is_empty() {
            let value = format!("{PREFIX}{error_code}").parse().unwrap();
            trailers.insert("error-code", value);
        }
        Status::with_metadata(code, "no", trailers)
    }

    fn class(code: Code, error_code: &str) -> &'static str {
        let status = status(code, error_code);
        match reaction(&status) {
            Reaction::Login => "login",
            other => stream_error(other, status).class(),
        }
    }

    #[test]
    fn error_codes_have_the_expected_reaction() {
        for (code, error_code, expected) in [
            (Code::Internal, "service.unavailable", "disconnected"),
            (Code::Unavailable, "", "disconnected"),
            (Code::Internal, "", "disconnected"),
            (Code::Unauthenticated, "service.auth.error", "login"),
            (
                Code::Unauthenticated,
                "service.auth.headers.invalid",
                "login",
            ),
            (
                Code::Unauthenticated,
                "service.auth.refresh.invalid",
                "denied",
            ),
            (
                Code::ResourceExhausted,
                "service.protection.triggered",
                "throttled",
            ),
            (
                Code::ResourceExhausted,
                "concurrent.client.limit.exceeded",
                "throttled",
            ),
            (Code::PermissionDenied, "service.tenant.license", "denied"),
            (Code::NotFound, "topic.not.found", "denied"),
            (
                Code::PermissionDenied,
                "subscription.topic.cannot.subscribe",
                "denied",
            ),
            (
                Code::InvalidArgument,
                "subscription.fetch.replayid.corrupted",
                "position_lost",
            ),
            (
                Code::InvalidArgument,
                "subscription.fetch.replayid.validation.failed",
                "position_lost",
            ),
            (
                Code::Aborted,
                "subscription.fetch.replay.repeated",
                "disconnected",
            ),
            (
                Code::InvalidArgument,
                "subscription.fetch.topic.mismatch",
                "denied",
            ),
            (
                Code::ResourceExhausted,
                "subscription.limit.exceeded",
                "allowance",
            ),
            (
                Code::AlreadyExists,
                "managed.subscription.already.active",
                "throttled",
            ),
            (
                Code::FailedPrecondition,
                "managed.subscription.config.stopped",
                "denied",
            ),
            (
                Code::NotFound,
                "managed.subscription.developer.name.not.found",
                "denied",
            ),
            (
                Code::Internal,
                "subscription.internal.error",
                "disconnected",
            ),
        ] {
            assert_eq!(class(code, error_code), expected, "{error_code}");
        }
    }

    #[test]
    fn unknown_code_falls_back_to_status_and_keeps_cursor() {
        let codes = (0..=16).map(Code::from);
        for code in codes {
            assert_ne!(class(code, "brand.new"), "position_lost", "{code:?}");
        }
        assert_eq!(class(Code::InvalidArgument, "brand.new"), "denied");
        assert_eq!(class(Code::ResourceExhausted, "brand.new"), "throttled");
        assert_eq!(class(Code::Unauthenticated, "brand.new"), "login");
    }
}
