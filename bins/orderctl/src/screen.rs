//! Where results and words go, and how a command ends.

use std::io::{BufRead, Write};

use runtime::Failure;
use serde_json::Value;
use settings::{Problem, Problems};

use crate::cli::{Care, Format};

/// How a command ended that was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well: exit code 0.
    Fine,
    /// A check has found a difference, or what was waited for did not come: exit code 1.
    Difference,
}

/// Why a command was not done.
#[derive(Debug)]
pub enum Stop {
    /// It failed, or a setting cannot be used: exit code 1 or 64.
    Failed(Failure),
    /// It was asked for in the wrong way: exit code 2.
    Usage(String),
    /// Whoever read the results has seen enough, as `head` does: exit code 0, without a word.
    Unread,
}

impl Stop {
    /// It failed, for this reason.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(Failure::run(text.into()))
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Stop {
    fn from(error: E) -> Self {
        let error: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
        let written = error.downcast_ref::<std::io::Error>();
        if written.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
            return Self::Unread;
        }
        match error.downcast::<Problems>() {
            Ok(problems) => Self::Failed(Failure::Config(*problems)),
            Err(error) => match error.downcast::<Problem>() {
                Ok(problem) => {
                    let mut problems = Problems::new();
                    problems.take::<()>(Err(*problem));
                    Self::Failed(Failure::Config(problems))
                }
                Err(error) => Self::Failed(Failure::Run(error)),
            },
        }
    }
}

/// Where results and words go.
pub struct Screen {
    /// Results.
    pub out: Box<dyn Write + Send>,
    /// Everything else.
    pub err: Box<dyn Write + Send>,
    /// Whether a person sits in front of it.
    pub terminal: bool,
    /// How results are written.
    pub format: Format,
}

/// Things of one kind: cells for people, a value for programs.
pub(crate) struct Table {
    pub(crate) columns: &'static [&'static str],
    pub(crate) rows: Vec<(Vec<String>, Value)>,
}

impl Screen {
    /// A word to the person, not a result. Nobody is left to tell when it cannot be written.
    pub fn note(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Writes things of one kind.
    pub(crate) fn list(&mut self, table: Table) -> Result<(), Stop> {
        match self.format {
            Format::Table => {
                let cells = table.rows.into_iter().map(|(cells, _)| cells);
                let head = table.columns.iter().map(|name| (*name).to_owned());
                let rows: Vec<Vec<String>> = std::iter::once(head.collect()).chain(cells).collect();
                self.grid(&rows)
            }
            Format::Json => {
                let values = table.rows.into_iter().map(|(_, value)| value);
                self.value(&values.collect())
            }
            Format::Jsonl => table
                .rows
                .into_iter()
                .try_for_each(|(_, value)| self.value(&value)),
        }
    }

    /// Writes one thing: named lines for people, a value for programs.
    pub(crate) fn show(&mut self, lines: &[(&str, String)], value: &Value) -> Result<(), Stop> {
        match self.format {
            Format::Table => {
                let rows = lines
                    .iter()
                    .map(|(name, text)| vec![format!("{name}:"), text.clone()]);
                self.grid(&rows.collect::<Vec<_>>())
            }
            Format::Json | Format::Jsonl => self.value(value),
        }
    }

    /// A line of plain text, in tables only.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Stop> {
        if self.format == Format::Table {
            writeln!(self.out, "{text}")?;
        }
        Ok(())
    }

    pub(crate) fn value(&mut self, value: &Value) -> Result<(), Stop> {
        match self.format {
            Format::Jsonl => writeln!(self.out, "{value}")?,
            _ => writeln!(self.out, "{value:#}")?,
        }
        Ok(())
    }

    /// Columns as wide as their widest cell; the last one as long as it is.
    fn grid(&mut self, rows: &[Vec<String>]) -> Result<(), Stop> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for row in rows {
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Whether to do it. Nobody is asked where nobody sits.
    pub(crate) fn may(&mut self, what: &str, care: Care) -> Result<bool, Stop> {
        if care.dry_run {
            self.note(&format!("would {what}"));
            return Ok(false);
        }
        if care.yes {
            return Ok(true);
        }
        if !self.terminal {
            let text = format!("this would {what}; it cannot be undone. Add --yes to do it");
            return Err(Stop::Usage(text));
        }
        write!(
            self.err,
            "This will {what}, and cannot be undone. Go on? [y/N] "
        )?;
        self.err.flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        let yes = matches!(answer.trim(), "y" | "Y" | "yes");
        if !yes {
            self.note("nothing was done");
        }
        Ok(yes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a pipe is to its writer once the other end has gone.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn broken_pipe_is_not_an_error() {
        let mut screen = Screen {
            out: Box::new(Gone),
            err: Box::new(std::io::sink()),
            terminal: false,
            format: Format::Json,
        };
        let ended = screen.value(&Value::Null);
        assert!(matches!(ended, Err(Stop::Unread)), "{ended:?}");
    }
}
