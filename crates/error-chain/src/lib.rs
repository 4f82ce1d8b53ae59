//! Displays an error with all its causes on one line, for logs, alerts and health pages.
//!
//! An error's own `Display` names its layer and leaves its cause to `source()`. Where an error is
//! handled, the text needs all of them.

use std::error::Error;
use std::fmt;

/// An error and its causes, separated by `: `.
///
/// ```
/// use std::io::{Error, ErrorKind};
///
/// let refused = Error::new(ErrorKind::ConnectionRefused, "connection refused");
/// let outer = Error::other(refused);
/// assert_eq!(error_chain::chain(&outer).to_string(), "connection refused");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(&'a (dyn Error + 'a));

/// The error with all its causes.
#[must_use]
pub fn chain<'a>(error: &'a (dyn Error + 'a)) -> Chain<'a> {
    Chain(error)
}

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            // Some libraries repeat the cause in their own text.
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
                last = text;
            }
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<dyn Error>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref()
        }
    }

    #[test]
    fn chain_ends_with_the_innermost_cause() {
        let disk = io::Error::other("disk full");
        let driver = Layer("query failed", Some(Box::new(disk)));
        let store = Layer("the job store is unavailable", Some(Box::new(driver)));
        assert_eq!(
            chain(&store).to_string(),
            "the job store is unavailable: query failed: disk full"
        );
    }

    #[test]
    fn repeated_cause_is_written_once() {
        let inner = Layer("disk full", None);
        let outer = Layer("write failed: disk full", Some(Box::new(inner)));
        assert_eq!(chain(&outer).to_string(), "write failed: disk full");
    }
}
