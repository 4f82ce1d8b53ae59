//! What a test writes and logs.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::subscriber::DefaultGuard;

/// A writer whose text can be read.
#[derive(Clone, Debug, Default)]
pub struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

impl SharedBuffer {
    /// Everything written so far.
    #[must_use]
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for SharedBuffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Captures what this thread logs at `info` and above, until it is dropped.
#[derive(Debug)]
pub struct Logs {
    buffer: SharedBuffer,
    _subscriber: DefaultGuard,
}

impl Logs {
    /// Starts to capture.
    #[must_use]
    pub fn capture() -> Self {
        let buffer = SharedBuffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        Self {
            buffer,
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The lines so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.buffer.text()
    }
}
