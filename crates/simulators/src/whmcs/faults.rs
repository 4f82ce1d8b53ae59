//! Faults F01 to F32, as far as they concern one call.
use serde::{Deserialize, Serialize};

use super::tables::Module;
use crate::faults::When;

/// Fault identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultId {
    /// 200 and an HTML maintenance page, before any effect.
    F01,
    /// 503 HTML before any effect; `retry_after` adds the header.
    F02,
    /// Noise before the JSON, after the effect; `style`: `notice`, `bom`, `blank`.
    F03,
    /// 500 HTML, after the effect; `text` replaces the page's text.
    F04,
    /// 200 with an empty body, after the effect.
    F05,
    /// `null`, after the effect.
    F06,
    /// Truncated JSON, after the effect.
    F07,
    /// Connection reset: before any effect, or with `effect` after it.
    F08,
    /// The effect, then silence for `delay_ms` (default ten minutes), then the response.
    F09,
    /// Silence; the effect happens `delay_ms` after the client has disconnected.
    F10,
    /// `status` (default 504) HTML from a proxy, after the effect.
    F11,
    /// The request is applied twice; returns the first response, with `effect` the second.
    F12,
    /// Success without `orderid`; `style` `productids` returns that instead.
    F13,
    /// AddOrder creates only `services` (default 0) of the requested services.
    F14,
    /// `delay_ms` before the effect, then the real response; `style` `trickle`: byte by byte.
    F15,
    /// 403 authentication failed; `text` replaces the message.
    F16,
    /// 403 Invalid IP; `text` is the address.
    F17,
    /// 403: the role lacks the action.
    F18,
    /// 403, and the credential stays revoked.
    F19,
    /// A firewall's challenge page; `style`: `403`, `503`, `captcha`.
    F20,
    /// 429.
    F21,
    /// 301 to https.
    F22,
    /// XML although JSON was requested, after the effect.
    F23,
    /// Ids and counts as strings.
    F24,
    /// Lists in another shape; `style`: `text`, `array`, `object`, `null`, `bare`, `keys`.
    F25,
    /// Another order of the client appears before the list is read.
    F26,
    /// The malformed UTF-8 error instead of the list.
    F27,
    /// `status=error` instead of `result`, before any effect; with `style` `warning`, a failing
    /// `warning` with 200.
    F28,
    /// AddOrder drops `style`: `notes`, `custom_fields` or `domain`.
    F29,
    /// An edit by staff: `style` `cancel`, `accept`, `delete`, `clear_notes`, `build` (every
    /// service, without changing the order); after AddOrder, before any other action.
    F30,
    /// `module` replaces the product's module in this call; an idempotent module stays
    /// idempotent.
    F31,
    /// The server's clock is `services` seconds ahead in this response.
    F32,
    /// Held before the effect until the hold `text` is released.
    #[serde(rename = "hold_before")]
    HoldBefore,
    /// Held after the effect until the hold `text` is released.
    #[serde(rename = "hold_after")]
    HoldAfter,
}

/// A fault for the next calls. Fields that a fault does not use are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// The fault.
    pub id: FaultId,
    /// The action, in any case; `None` is every action.
    #[serde(default)]
    pub action: Option<String>,
    /// The matching calls.
    #[serde(default)]
    pub when: When,
    /// Only calls for an order whose notes contain this text.
    #[serde(default)]
    pub marker: Option<String>,
    /// Only calls that name this client.
    #[serde(default)]
    pub client: Option<u64>,
    /// Milliseconds.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// HTTP status.
    #[serde(default)]
    pub status: Option<u16>,
    /// Seconds of a `Retry-After` header.
    #[serde(default)]
    pub retry_after: Option<u64>,
    /// Text.
    #[serde(default)]
    pub text: Option<String>,
    /// Variant.
    #[serde(default)]
    pub style: Option<String>,
    /// Number.
    #[serde(default)]
    pub services: Option<u64>,
    /// Flag.
    #[serde(default)]
    pub effect: bool,
    /// Module.
    #[serde(default)]
    pub module: Option<Module>,
}

impl Fault {
    /// A fault in the next call.
    pub fn new(id: FaultId) -> Self {
        Self {
            id,
            action: None,
            when: When::Next(1),
            marker: None,
            client: None,
            delay_ms: None,
            status: None,
            retry_after: None,
            text: None,
            style: None,
            services: None,
            effect: false,
            module: None,
        }
    }

    /// Only calls of this action.
    #[must_use]
    pub fn on(mut self, action: &str) -> Self {
        self.action = Some(action.to_owned());
        self
    }

    /// Selects other calls than the next.
    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// Only calls for orders whose notes contain this text.
    #[must_use]
    pub fn marker(mut self, marker: &str) -> Self {
        self.marker = Some(marker.to_owned());
        self
    }

    /// Only calls that name this client.
    #[must_use]
    pub fn client(mut self, client: u64) -> Self {
        self.client = Some(client);
        self
    }

    /// Sets `delay_ms`.
    #[must_use]
    pub fn delay_ms(mut self, ms: u64) -> Self {
        self.delay_ms = Some(ms);
        self
    }

    /// Sets `status`.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Sets `text`.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    /// Sets `style`.
    #[must_use]
    pub fn style(mut self, style: &str) -> Self {
        self.style = Some(style.to_owned());
        self
    }

    /// Sets `services`.
    #[must_use]
    pub fn services(mut self, services: u64) -> Self {
        self.services = Some(services);
        self
    }

    /// Sets `effect`.
    #[must_use]
    pub fn with_effect(mut self) -> Self {
        self.effect = true;
        self
    }

    /// Sets `module`.
    #[must_use]
    pub fn module(mut self, module: Module) -> Self {
        self.module = Some(module);
        self
    }

    pub(crate) fn is_style(&self, style: &str) -> bool {
        self.style.as_deref() == Some(style)
    }
}
