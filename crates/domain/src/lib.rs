//! What an order is, what comes next, and what counts as the same order. Pure: no I/O, no clock, no dice.
