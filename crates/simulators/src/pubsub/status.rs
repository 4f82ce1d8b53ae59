//! gRPC errors with the service's trailers.
use tonic::{Code, Status, metadata::MetadataMap};

const PREFIX: &str = "sfdc.platform.eventbus.grpc.";

/// A status with `error-code`, `rpc-id` and `type` trailers. `suffix` may be empty (no code),
/// the last part of a code, or a whole one.
pub(crate) fn status(code: Code, suffix: &str, message: &str, rpc: &str, rpc_id: &str) -> Status {
    let mut trailers = MetadataMap::new();
    let full = if suffix.is_empty() || suffix.starts_with(PREFIX) {
        suffix.to_owned()
    } else {
        format!("{PREFIX}{suffix}")
    };
    for (key, value) in [
        ("error-code", full.as_str()),
        ("rpc-id", rpc_id),
        ("type", rpc),
    ] {
        if let (false, Ok(value)) = (value.is_empty(), value.parse()) {
            trailers.insert(key, value);
        }
    }
    Status::with_metadata(code, format!("{message}. rpcId: {rpc_id}"), trailers)
}

/// `UNAVAILABLE`, `unavailable` or `14`.
pub(crate) fn code(name: &str) -> Code {
    if let Ok(number) = name.parse::<i32>() {
        return Code::from(number);
    }
    match name.to_ascii_uppercase().as_str() {
        "OK" => Code::Ok,
        "CANCELLED" => Code::Cancelled,
        "INVALID_ARGUMENT" => Code::InvalidArgument,
        "DEADLINE_EXCEEDED" => Code::DeadlineExceeded,
        "NOT_FOUND" => Code::NotFound,
        "ALREADY_EXISTS" => Code::AlreadyExists,
        "PERMISSION_DENIED" => Code::PermissionDenied,
        "RESOURCE_EXHAUSTED" => Code::ResourceExhausted,
        "FAILED_PRECONDITION" => Code::FailedPrecondition,
        "ABORTED" => Code::Aborted,
        "OUT_OF_RANGE" => Code::OutOfRange,
        "UNIMPLEMENTED" => Code::Unimplemented,
        "INTERNAL" => Code::Internal,
        "UNAVAILABLE" => Code::Unavailable,
        "DATA_LOSS" => Code::DataLoss,
        "UNAUTHENTICATED" => Code::Unauthenticated,
        _ => Code::Unknown,
    }
}
