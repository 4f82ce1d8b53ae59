//! Faults F01 to F32 of the reference, as far as they concern one call.
use serde::{Deserialize, Serialize};

use super::books::Module;
use crate::faults::When;

/// Which fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultId {
    /// 200 and an HTML maintenance page, before any effect.
    F01,
    /// 503 HTML before any effect; `retry_after` adds the header.
    F02,
    /// Noise before the JSON, after the effect; `style`: `notice`, `bom`, `blank`.
    F03,
    /// 500 HTML, after the effect; `text` for other words on the page.
    F04,
    /// 200 and nothing, after the effect.
    F05,
    /// `null`, after the effect.
    F06,
    /// JSON cut short, after the effect.
    F07,
    /// Connection reset: before any effect, or with `effect` after it.
    F08,
    /// The effect, then silence for `delay_ms` (default ten minutes), then the answer.
    F09,
    /// Silence; once the client has left and `delay_ms` more have passed, the effect.
    F10,
    /// `status` (default 504) HTML from a proxy, after the effect.
    F11,
    /// The request is applied twice; the first answer goes back, with `effect` the second.
    F12,
    /// Success without `orderid`; `style` `productids` gives that instead.
    F13,
    /// AddOrder makes only `services` (default 0) of the services asked for.
    F14,
    /// `delay_ms` before the effect, then the true answer; `style` `trickle`: byte by byte.
    F15,
    /// 403 authentication failed; `text` for other words.
    F16,
    /// 403 Invalid IP; `text` is the address.
    F17,
    /// 403 the role lacks the action.
    F18,
    /// 403 and the credential stays revoked.
    F19,
    /// A firewall's challenge page; `style`: `403`, `503`, `captcha`.
    F20,
    /// 429.
    F21,
    /// 301 to https.
    F22,
    /// XML although JSON was asked for, after the effect.
    F23,
    /// Ids and counts as strings.
    F24,
    /// Lists in another shape; `style`: `text`, `array`, `object`, `null`, `bare`, `keys`.
    F25,
    /// Another order of the client appears before the list is read.
    F26,
    /// The malformed UTF-8 error instead of the list.
    F27,
    /// `status=error` instead of `result`, before any effect; `style` `warning`: a failing
    /// `warning` with 200.
    F28,
    /// `style`: `notes`, `custom_fields` or `domain` is dropped in this AddOrder.
    F29,
    /// Staff meddles: `style` `cancel`, `accept`, `delete`, `clear_notes`, `build` (every
    /// service, while the order stays as it is); after AddOrder, before any other action.
    F30,
    /// `module` instead of the product's own, for this call; a product's idempotent module
    /// stays idempotent.
    F31,
    /// The server's clock is `services` seconds ahead in this answer.
    F32,
    /// Parked before the effect until the hold `text` is released.
    #[serde(rename = "hold_before")]
    HoldBefore,
    /// Parked after the effect until the hold `text` is released.
    #[serde(rename = "hold_after")]
    HoldAfter,
}

/// A fault for coming calls. Fields that a fault does not name are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Which.
    pub id: FaultId,
    /// The action it is about, any case; `None` is every action.
    #[serde(default)]
    pub action: Option<String>,
    /// Which of the matching calls.
    #[serde(default)]
    pub when: When,
    /// Only calls about an order whose notes contain this.
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
    /// A text.
    #[serde(default)]
    pub text: Option<String>,
    /// A variant.
    #[serde(default)]
    pub style: Option<String>,
    /// A number.
    #[serde(default)]
    pub services: Option<u64>,
    /// A switch.
    #[serde(default)]
    pub effect: bool,
    /// A module.
    #[serde(default)]
    pub module: Option<Module>,
}

impl Fault {
    /// Spoils the next call.
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

    /// Other calls than the next.
    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// Only calls about orders whose notes contain this.
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
