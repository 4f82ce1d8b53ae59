//! Errors as `application/problem+json`, and bodies whose errors name the field.
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{salesforce::Refusal, seed::SeedError, snapshot::SnapshotError};

/// An error of the control API.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    title: String,
    detail: String,
    field: Option<String>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, title: &str, detail: impl Into<String>) -> Self {
        Self {
            status,
            title: title.to_owned(),
            detail: detail.into(),
            field: None,
        }
    }

    /// A field that is unknown or has a wrong value.
    pub(super) fn field(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(StatusCode::BAD_REQUEST, "Invalid field", detail)
        }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank", "title": self.title, "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(field) = self.field {
            body["field"] = field.into();
        }
        let kind = [(CONTENT_TYPE, "application/problem+json")];
        (self.status, kind, body.to_string()).into_response()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        Self {
            field: refusal.fields.first().cloned(),
            ..Self::new(status, &refusal.code, refusal.message)
        }
    }
}

impl From<SnapshotError> for Problem {
    fn from(error: SnapshotError) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "Snapshot not loaded",
            error.to_string(),
        )
    }
}

impl From<SeedError> for Problem {
    fn from(error: SeedError) -> Self {
        let detail = error.to_string();
        Self::new(StatusCode::BAD_REQUEST, "Data not added", detail)
    }
}

/// A JSON body; nothing counts as `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<S, T> FromRequest<S> for Body<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_json = kind.starts_with("application/json");
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(|error| Problem::new(error.status(), "Body not read", error.body_text()))?;
        if bytes.is_empty() {
            return read(Value::Object(serde_json::Map::new())).map(Self);
        }
        // A page of another origin can send other types without asking.
        if !is_json {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "Not JSON",
                "the header Content-Type: application/json is missing",
            ));
        }
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, "Not JSON", error.to_string())
        })?;
        read(value).map(Self)
    }
}

/// Reads a value; an error names the field.
pub(super) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let detail = error.into_inner().to_string();
        let unknown = detail
            .strip_prefix("unknown field `")
            .and_then(|rest| rest.split('`').next());
        let field = match (path.as_str(), unknown) {
            (".", Some(unknown)) => unknown.to_owned(),
            (path, Some(unknown)) if !path.ends_with(unknown) => format!("{path}.{unknown}"),
            (path, _) => path.to_owned(),
        };
        Problem::field(field, detail)
    })
}

/// Reads a value whose type ignores unknown fields, and refuses those.
pub(super) fn read_known<T>(value: Value) -> Result<T, Problem>
where
    T: DeserializeOwned + Serialize,
{
    let given: Vec<String> = match &value {
        Value::Object(fields) => fields.keys().cloned().collect(),
        _ => Vec::new(),
    };
    let typed: T = read(value)?;
    let known = json!(typed);
    match given.into_iter().find(|name| known.get(name).is_none()) {
        None => Ok(typed),
        Some(name) => Err(Problem::field(&name, format!("unknown field `{name}`"))),
    }
}
