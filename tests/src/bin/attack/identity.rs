//! An identity provider that can hang.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Json;
use axum::routing::get;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::Value;
use simulators::World;

const KEY_ID: &str = "k1";

/// A running identity provider with one key.
pub(crate) struct IdentityProvider {
    address: SocketAddr,
    key: EncodingKey,
    hangs: Arc<AtomicBool>,
    fetches: Arc<AtomicUsize>,
}

impl IdentityProvider {
    pub(crate) async fn start(world: &World) -> anyhow::Result<Self> {
        // Any RSA key will do.
        let key = EncodingKey::from_rsa_pem(world.salesforce.login().private_key_pem.as_bytes())?;
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256)?;
        jwk.common.key_id = Some(KEY_ID.to_owned());
        let keys = serde_json::to_value(JwkSet { keys: vec![jwk] })?;
        let (hangs, fetches) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (is_hanging, fetched) = (Arc::clone(&hangs), Arc::clone(&fetches));
        let routes = axum::Router::new().route(
            "/keys",
            get(async move || {
                fetched.fetch_add(1, Ordering::SeqCst);
                if is_hanging.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                Json(keys)
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self {
            address,
            key,
            hangs,
            fetches,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    /// Whether it answers no more.
    pub(crate) fn hang(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    /// How often its keys were fetched.
    pub(crate) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    /// A token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> anyhow::Result<String> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(KEY_ID.to_owned());
        Ok(jsonwebtoken::encode(&header, claims, &self.key)?)
    }
}
