//! Secrets that are read again while the portal runs.

use std::path::PathBuf;

use axum::http::StatusCode;
use portal_web::{Config, PortalArgs};
use settings::{Problems, Secret};

use crate::test_env::{SECRET, TestEnv, config, secret};

const OLD: &str = "token-of-the-operators-1";
const NEW: &str = "token-of-the-operators-2";
const VIEWER: &str = "token-of-the-viewers-123";

/// Files with the secrets of a portal.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        for (name, content) in [
            ("jwt", SECRET),
            ("previous", "some secret of the past, 32 bytes"),
            ("operator", OLD),
            ("viewer", VIEWER),
        ] {
            files.write(name, content);
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn env(&self) -> TestEnv {
        let given = settings::given::<PortalArgs>([
            ("PORTAL_JWT_SECRET_FILE", self.path("jwt")),
            ("PORTAL_JWT_SECRET_PREVIOUS_FILE", self.path("previous")),
            ("OPS_TOKEN_FILE", self.path("operator")),
            ("OPS_VIEWER_TOKEN_FILE", self.path("viewer")),
        ]);
        let address = "127.0.0.1:0".parse().unwrap();
        let args = given.unwrap().args;
        let checked = args.check(address, &mut Problems::new()).unwrap();
        TestEnv::with(Config {
            keys: checked.keys,
            ops: checked.ops,
            ..config(secret())
        })
    }
}

/// The problems of a reload, by setting.
fn reload(env: &TestEnv) -> Vec<String> {
    let problems = env.reload.run();
    problems
        .iter()
        .map(|problem| problem.name.to_string())
        .collect()
}

async fn ops(env: &TestEnv, token: &str) -> StatusCode {
    env.get("/ops/api/orders", Some(token)).await.status
}

#[tokio::test]
async fn operator_token_is_read_again() {
    let files = Files::new();
    let env = files.env();
    assert_eq!(ops(&env, OLD).await, StatusCode::OK);
    files.write("operator", NEW);
    assert_eq!(ops(&env, OLD).await, StatusCode::OK, "nobody asked yet");
    assert!(reload(&env).is_empty());
    assert_eq!(ops(&env, OLD).await, StatusCode::UNAUTHORIZED);
    assert_eq!(ops(&env, NEW).await, StatusCode::OK);
    assert_eq!(ops(&env, VIEWER).await, StatusCode::OK);

    for unusable in ["short", " ", VIEWER] {
        files.write("operator", unusable);
        assert_eq!(reload(&env).len(), 1, "{unusable}");
        assert_eq!(ops(&env, NEW).await, StatusCode::OK, "the old value stays");
    }
    files.write("operator", NEW);
    files.write("viewer", NEW);
    assert_eq!(reload(&env), ["OPS_VIEWER_TOKEN"]);
    assert_eq!(ops(&env, VIEWER).await, StatusCode::OK);
}

#[tokio::test]
async fn customer_secrets_are_read_again() {
    let files = Files::new();
    let env = files.env();
    let path = format!("/api/orders/{}", env.order());
    let new = Secret::new("a rotated secret, also 32 bytes long");
    let key = jsonwebtoken::EncodingKey::from_secret(new.expose().as_bytes());
    let new_token = jsonwebtoken::encode(&Default::default(), &env.claims(), &key).unwrap();
    let status = async |token: &str| env.get(&path, Some(token)).await.status;
    assert_eq!(status(&new_token).await, StatusCode::UNAUTHORIZED);

    files.write("previous", SECRET);
    files.write("jwt", new.expose());
    assert!(reload(&env).is_empty());
    assert_eq!(status(&new_token).await, StatusCode::OK);
    assert_eq!(status(&env.token()).await, StatusCode::OK);

    files.write("previous", "no token was ever signed with this");
    std::fs::remove_file(files.path("jwt")).unwrap();
    assert_eq!(reload(&env), ["PORTAL_JWT_SECRET_FILE"]);
    assert_eq!(status(&new_token).await, StatusCode::OK);
    assert_eq!(status(&env.token()).await, StatusCode::UNAUTHORIZED);
}
