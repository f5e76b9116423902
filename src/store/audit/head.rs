//! `audit.head`: how far each chain had come, outside the database. One line of fixed width a chain,
//! each written only by the chain's own process, without a sync: after a power cut it may be behind
//! the log, never ahead.

use super::{chain::Tail, place::Place};
use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};

/// The file beside the log.
pub(super) const FILE: &str = "audit.head";

/// Divides a page, so that no line is torn between two.
const WIDTH: usize = 128;

/// The open file of marks.
pub(super) struct Heads(File);

impl Heads {
    pub(super) fn open(folder: &Path) -> io::Result<Heads> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        options.open(folder.join(FILE)).map(Heads)
    }

    /// Marks a chain's tail.
    pub(super) fn mark(&self, tail: &Tail) -> io::Result<()> {
        let Some(line) = usize::try_from(tail.place.chain - 1).ok() else {
            return Ok(());
        };
        let Tail { place, hash } = tail;
        let mut text = format!("{} {} ", place.chain, place.seq);
        for byte in hash {
            let _ = write!(text, "{byte:02x}");
        }
        let text = format!("{text:<width$}\n", width = WIDTH - 1);
        let offset = u64::try_from(line * WIDTH).unwrap_or(u64::MAX);
        self.0.write_all_at(text.as_bytes(), offset)
    }
}

/// The marks of all chains. A line that says nothing, or nonsense, marks nothing.
pub(super) fn read(folder: &Path) -> io::Result<Vec<Tail>> {
    let text = match fs::read(folder.join(FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    Ok(text.chunks(WIDTH).filter_map(line).collect())
}

fn line(text: &[u8]) -> Option<Tail> {
    let mut words = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let chain = words.next()?.parse().ok()?;
    let seq = words.next()?.parse().ok()?;
    let digits = words.next().filter(|digits| digits.len() == 64)?;
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(Tail {
        place: Place { chain, seq },
        hash,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(chain: i64, seq: i64, byte: u8) -> Tail {
        Tail {
            place: Place { chain, seq },
            hash: [byte; 32],
        }
    }

    #[test]
    fn the_last_mark_of_each_chain_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), []);
        let heads = Heads::open(folder.path()).unwrap();
        let far = tail(3, i64::MAX, 0xff);
        for mark in [tail(1, 1, 1), far, tail(1, 2, 0xa0)] {
            heads.mark(&mark).unwrap();
        }
        drop(Heads::open(folder.path()).unwrap());
        assert_eq!(read(folder.path()).unwrap(), [tail(1, 2, 0xa0), far]);
    }

    #[test]
    fn nonsense_marks_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "1 2 zz\n\u{0}\u{0}").unwrap();
        assert_eq!(read(folder.path()).unwrap(), []);
    }
}
