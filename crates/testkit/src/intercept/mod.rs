//! Decorators of the ports. A decorator names the port behind ([`inner!`](crate::inner)), says what surrounds its
//! calls ([`Around`]), and overrides the hooks of the calls that it changes; some calls have a
//! further hook that only sees the answer. Every other call is forwarded.
//!
//! ```
//! use testkit::intercept::{Around, CrmOrdersHooks, intercept};
//! # use std::sync::Arc;
//! # use domain::ports::{CallError, CrmOrders};
//!
//! /// A CRM that is not reachable.
//! struct Down {
//!     crm: Arc<dyn CrmOrders>,
//! }
//!
//! testkit::inner!(Down: CrmOrders = crm);
//!
//! #[async_trait::async_trait]
//! impl Around<CallError> for Down {
//!     async fn around<T: Send>(
//!         &self,
//!         _call: &'static str,
//!         _answer: impl Future<Output = Result<T, CallError>> + Send,
//!     ) -> Result<T, CallError> {
//!         Err(CallError::Unknown { source: "no answer".into() })
//!     }
//! }
//!
//! impl CrmOrdersHooks for Down {}
//!
//! fn down(crm: Arc<dyn CrmOrders>) -> Arc<dyn CrmOrders> {
//!     intercept(Arc::new(Down { crm }))
//! }
//! ```

use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;

/// Declares the hooks of a port: a trait whose methods forward to the port behind, and the port
/// for everything that implements the trait.
macro_rules! hooks {
    (
        $hooks:ident for $port:ident, $label:literal, $error:ident {
            $(
                fn $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty
                $(, then $then:ident($($passed:ident: $passed_kind:ty),*))?;
            )*
            $(waits $waits:ident($($limit:ident: $limit_kind:ty),*);)*
        }
    ) => {
        #[doc = concat!("Hooks of [`", stringify!($port), "`].")]
        #[async_trait]
        pub trait $hooks:
            $crate::intercept::Inner<dyn $port> + $crate::intercept::Around<$error>
        {
            $(
                #[doc = concat!("[`", stringify!($port), "::", stringify!($name), "`]; forwards.")]
                async fn $name(&self, $($argument: $kind),*) -> Result<$answer, $error> {
                    let answer = self.inner().$name($($argument),*);
                    let answer = self.around(concat!($label, ".", stringify!($name)), answer).await;
                    $(if let Ok(answer) = &answer {
                        self.$then(answer, $($passed),*);
                    })?
                    answer
                }

                $(
                    #[doc = concat!("Sees what [`", stringify!($port), "::", stringify!($name), "`] answered.")]
                    fn $then(&self, answer: &$answer, $($passed: $passed_kind),*) {
                        let _ = (answer, $($passed),*);
                    }
                )?
            )*
            $(
                #[doc = concat!("[`", stringify!($port), "::", stringify!($waits), "`]; forwards.")]
                async fn $waits(&self, $($limit: $limit_kind),*) {
                    self.inner().$waits($($limit),*).await;
                }
            )*
        }

        #[async_trait]
        impl<H: $hooks> $port for $crate::intercept::Intercepted<H> {
            $(
                async fn $name(&self, $($argument: $kind),*) -> Result<$answer, $error> {
                    $hooks::$name(&*self.0, $($argument),*).await
                }
            )*
            $(
                async fn $waits(&self, $($limit: $limit_kind),*) {
                    $hooks::$waits(&*self.0, $($limit),*).await;
                }
            )*
        }
    };
}

/// Names the ports behind a decorator, and the fields that hold them.
#[macro_export]
macro_rules! inner {
    ($decorator:ty: $($port:ident = $($field:tt).+),+ $(,)?) => {$(
        impl $crate::intercept::Inner<dyn $port> for $decorator {
            fn inner(&self) -> &(dyn $port + 'static) {
                &*self.$($field).+
            }
        }
    )+};
}

mod bus;
mod crm;
mod provisioner;
mod store;

pub use bus::EventSourceHooks;
pub use crm::{CrmOrdersHooks, CustomerOrdersHooks, RetryRequestsHooks};
pub use provisioner::{ProvisionerHooks, ProvisionerReadsHooks};
pub use store::{
    AdminCommandsHooks, AlertStoreHooks, EventIntakeHooks, JobQueueHooks, LeaderElectionHooks,
};

/// What has a port behind it.
pub trait Inner<P: ?Sized>: Send + Sync {
    /// The port behind.
    fn inner(&self) -> &P;
}

/// What happens around the calls that fail with `E`.
#[async_trait]
pub trait Around<E>: Send + Sync {
    /// Makes the call that `answer` waits for; `call` is its name, such as `queue.renew`.
    async fn around<T: Send>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, E>> + Send,
    ) -> Result<T, E> {
        let _ = call;
        answer.await
    }
}

/// The ports that these hooks intercept.
pub struct Intercepted<H>(Arc<H>);

/// The ports that these hooks intercept.
#[must_use]
pub fn intercept<H>(hooks: Arc<H>) -> Arc<Intercepted<H>> {
    Arc::new(Intercepted(hooks))
}

impl<H> Deref for Intercepted<H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.0
    }
}
