//! The complete bridge in one process: the first command of the README.
