//! Posting JSON to a receiver whose address may be a secret.

use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::header::CONTENT_TYPE;

use crate::{ClientOptions, Roots, build};

/// One post takes no longer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A function that posts a JSON body to `url` and returns once the receiver has answered with
/// success; at most 10 s later otherwise. Redirects are not followed. What it says of an error
/// never holds the address or the answer's body.
///
/// # Errors
/// The TLS library refuses a certificate.
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
            let answer = answer.map_err(|error| in_words(&error.without_url()))?;
            match answer.status().is_success() {
                true => Ok(()),
                false => Err(format!("the receiver answered {}", answer.status())),
            }
        })
    })
}

fn in_words(error: &reqwest::Error) -> String {
    let word = match error {
        error if error.is_timeout() => "the receiver did not answer in time",
        error if error.is_connect() => "the receiver cannot be reached",
        _ => "the post broke off",
    };
    word.to_owned()
}
