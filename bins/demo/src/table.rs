//! Live table of the orders, redrawn as they change.
//!
//! On a terminal only. Elsewhere each order is printed once, when it has finished.

use console::{Term, style};
use simulators::World;

use crate::orders::{Placed, field};
use crate::summary;

/// Terminal lines reserved above and below the table.
const MARGIN: usize = 4;

/// Output of the orders' progress.
pub(crate) struct Table {
    /// `None` if the output is not a terminal.
    terminal: Option<Term>,
    drawn: usize,
}

impl Table {
    /// A table on standard output, or plain lines if that is not a terminal.
    pub(crate) fn new() -> Self {
        let terminal = Term::stdout();
        Self {
            terminal: terminal.is_term().then_some(terminal),
            drawn: 0,
        }
    }

    /// Prints a finished order.
    pub(crate) fn ended(&self, world: &World, order: &Placed) {
        if self.terminal.is_none() {
            summary::say(&summary::line(world, order));
        }
    }

    /// Draws the current state. Lines that do not fit the terminal are counted.
    pub(crate) fn draw(&mut self, world: &World, orders: &[Placed]) -> std::io::Result<()> {
        let Some(terminal) = &self.terminal else {
            return Ok(());
        };
        let (height, width) = terminal.size();
        let room = usize::from(height).saturating_sub(MARGIN).max(1);
        let mut lines = Vec::new();
        let mut open = 0;
        for order in orders {
            let line = summary::line(world, order);
            let line: String = line.chars().take(usize::from(width)).collect();
            lines.push(
                match field(world, &order.id, "Activation_Status__c").as_str() {
                    "Activated" => style(line).green(),
                    "Failed" => style(line).red(),
                    _ => {
                        open += 1;
                        style(line).dim()
                    }
                },
            );
        }
        let hidden = lines.len().saturating_sub(room);
        terminal.clear_last_lines(self.drawn)?;
        // The last lines, whose orders are still in progress.
        for line in &lines[hidden..] {
            terminal.write_line(&line.to_string())?;
        }
        let total = orders.len();
        terminal.write_line(&format!(
            "{} of {total} finished, {open} in progress, {hidden} not shown",
            total - open
        ))?;
        self.drawn = lines.len() - hidden + 1;
        Ok(())
    }

    /// Leaves the table in place; the next one starts below it.
    pub(crate) fn leave(&mut self) {
        self.drawn = 0;
    }
}
