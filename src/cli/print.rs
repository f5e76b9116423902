//! The only writer to standard output and standard error besides the log. A reader that went away
//! (`confide rules | head -1`) ends the printing, not the program.

use std::{fmt::Display, io::Write};

/// One line for the user, on standard output.
pub fn line(text: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// One error for the user, on standard error.
pub fn error(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "confide: {text}");
}
