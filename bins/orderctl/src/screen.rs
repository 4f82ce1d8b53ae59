//! Output and the result of a command.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use domain::text::escape_hidden;
use runtime::Failure;
use serde_json::Value;
use settings::{Problem, Problems};

use crate::args::{Care, Format};

/// The result of a command that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success: exit code 0.
    Fine,
    /// A comparison found a difference, or a wait timed out: exit code 1.
    Difference,
    /// A check found something wrong: exit code 5.
    Problem,
}

/// Why a command failed.
#[derive(Debug)]
pub enum Stop {
    /// A failure or an invalid setting: exit code 1 or 64.
    Failed(Failure),
    /// Wrong usage: exit code 2.
    Usage(String),
    /// What was asked for does not exist: exit code 3.
    NotFound(String),
    /// The reader closed the pipe, as `head` does: exit code 0.
    Unread,
}

impl Stop {
    /// A failure with this text.
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

/// Where output goes. Texts of other systems cannot control the terminal.
pub struct Screen {
    /// Results.
    pub out: Box<dyn Write + Send>,
    /// Everything else.
    pub err: Box<dyn Write + Send>,
    /// Whether input and output are a terminal.
    pub terminal: bool,
    /// How results are written.
    pub format: Format,
}

/// A list: cells for tables, a value for JSON.
pub(crate) struct Table {
    pub(crate) columns: &'static [&'static str],
    pub(crate) rows: Vec<(Vec<String>, Value)>,
}

impl Screen {
    /// The process's standard output and error.
    #[must_use]
    pub fn of_process(format: Format) -> Self {
        Self {
            out: Box::new(std::io::stdout()),
            err: Box::new(std::io::stderr()),
            terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            format,
        }
    }

    /// The exit code of a command; notes what was wrong.
    pub fn exit_code(&mut self, ended: Result<Exit, Stop>) -> ExitCode {
        match ended {
            Ok(Exit::Fine) | Err(Stop::Unread) => ExitCode::SUCCESS,
            Ok(Exit::Difference) => ExitCode::FAILURE,
            Ok(Exit::Problem) => ExitCode::from(5),
            Err(Stop::Failed(failure)) => runtime::exit_code(Err(failure)),
            Err(Stop::NotFound(text)) => {
                self.note(&format!("error: {text}"));
                ExitCode::from(3)
            }
            Err(Stop::Usage(text)) => {
                self.note(&format!("error: {text}"));
                ExitCode::from(2)
            }
        }
    }

    /// Writes a note to standard error; a failure to do so is ignored.
    pub fn note(&mut self, text: &str) {
        let _ = writeln!(self.err, "{}", escape_hidden(text));
    }

    /// Writes a list.
    pub(crate) fn list(&mut self, table: Table) -> Result<(), Stop> {
        match self.format {
            Format::Table => {
                let rows = table.rows.into_iter().map(|(cells, _)| cells);
                self.grid(table.columns, rows.collect())
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

    /// Writes one object: named lines in tables, a value in JSON.
    pub(crate) fn show(&mut self, lines: &[(&str, String)], value: &Value) -> Result<(), Stop> {
        match self.format {
            Format::Table => {
                let rows = lines
                    .iter()
                    .map(|(name, text)| vec![format!("{name}:"), text.clone()]);
                self.grid(&[], rows.collect())
            }
            Format::Json | Format::Jsonl => self.value(value),
        }
    }

    /// A line of plain text, in tables only.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Stop> {
        if self.format == Format::Table {
            writeln!(self.out, "{}", escape_hidden(text))?;
        }
        Ok(())
    }

    pub(crate) fn value(&mut self, value: &Value) -> Result<(), Stop> {
        let text = match self.format {
            Format::Jsonl => value.to_string(),
            _ => format!("{value:#}"),
        };
        // What JSON leaves as it is; the escapes are its own.
        writeln!(self.out, "{}", escape_hidden(&text))?;
        Ok(())
    }

    fn grid(&mut self, header: &[&str], rows: Vec<Vec<String>>) -> Result<(), Stop> {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        if !header.is_empty() {
            table.set_header(header);
        }
        let rows = rows.iter();
        table.add_rows(rows.map(|cells| cells.iter().map(|text| escape_hidden(text))));
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let text = table.trim_fmt();
        if !text.is_empty() {
            writeln!(self.out, "{text}")?;
        }
        Ok(())
    }

    /// Whether to run a command. Never prompts without a TTY.
    pub(crate) fn confirm(&mut self, what: &str, care: Care) -> Result<bool, Stop> {
        if care.dry_run {
            self.note(&format!("would {what}"));
            return Ok(false);
        }
        if care.yes {
            return Ok(true);
        }
        if !self.terminal {
            let text = format!("this would {what}; it cannot be undone. Add --yes to confirm");
            return Err(Stop::Usage(text));
        }
        let confirmed = dialoguer::Confirm::new()
            .with_prompt(format!("This will {what} and cannot be undone. Continue?"))
            .default(false)
            .interact()?;
        if !confirmed {
            self.note("cancelled");
        }
        Ok(confirmed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::SharedBuffer;

    use super::*;

    /// A pipe whose reader is closed.
    struct ClosedPipe;

    impl Write for ClosedPipe {
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
            out: Box::new(ClosedPipe),
            err: Box::new(std::io::sink()),
            terminal: false,
            format: Format::Json,
        };
        let ended = screen.value(&Value::Null);
        assert!(matches!(ended, Err(Stop::Unread)), "{ended:?}");
    }

    #[test]
    fn texts_of_other_systems_cannot_control_the_terminal() {
        let text = "module said \u{1b}]0;title\u{7} and \u{202e}txt\u{9b}31m";
        for format in [Format::Table, Format::Json, Format::Jsonl] {
            let written = SharedBuffer::default();
            let mut screen = Screen {
                out: Box::new(written.clone()),
                err: Box::new(written.clone()),
                terminal: true,
                format,
            };
            let value = json!({"detail": text});
            screen.show(&[("detail", text.to_owned())], &value).unwrap();
            let row = (vec![text.to_owned()], value);
            let columns = &["DETAIL"];
            screen
                .list(Table {
                    columns,
                    rows: vec![row],
                })
                .unwrap();
            screen.line(text).unwrap();
            screen.note(text);
            let shown = written.text();
            for hidden in ['\u{1b}', '\u{7}', '\u{202e}', '\u{9b}'] {
                assert!(!shown.contains(hidden), "{format:?}: {shown:?}");
            }
            assert!(shown.contains("\\u001b]0;title"), "{shown}");
        }
    }
}
