//! Webhooks: posts JSON to a URL that may be secret.

use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::header::CONTENT_TYPE;

use crate::{ClientOptions, Roots, build};

/// Timeout of a post.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns a function that posts a JSON body to `url` and succeeds when the receiver answers with
/// success within 10 s. Redirects are not followed. Error messages never contain the URL or the
/// answer's body.
///
/// # Errors
/// The TLS library rejects a certificate.
pub fn webhook(
    url: &str,
    roots: &Roots,
) -> Result<
    impl Fn(String) -> BoxFuture<'static, Result<(), String>> + Send + Sync + use<>,
    reqwest::Error,
> {
    let client = build(
        &ClientOptions {
            connect_timeout: Duration::from_secs(5),
            timeout: TIMEOUT,
            pool_idle: Duration::from_secs(20),
        },
        roots,
    )?;
    let url = url.to_owned();
    Ok(move |body: String| -> BoxFuture<'static, _> {
        let request = client
            .post(&url)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        Box::pin(async move {
            let answer = request.send().await;
            let answer = answer.map_err(|error| error_message(&error.without_url()))?;
            match answer.status().is_success() {
                true => Ok(()),
                false => Err(format!("the receiver answered {}", answer.status())),
            }
        })
    })
}

fn error_message(error: &reqwest::Error) -> String {
    let message = match error {
        error if error.is_timeout() => "the receiver did not answer in time",
        error if error.is_connect() => "the receiver cannot be reached",
        _ => "the connection broke",
    };
    message.to_owned()
}
