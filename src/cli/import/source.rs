//! Where documents come from: files, folders, and what is in the program itself.

use crate::cli::Trouble;
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use std::{
    fs,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The largest document: one file, or one line of an ndjson file. A small `.gz` may hide more.
const MOST_BYTES: u64 = 256 << 20;

/// The names that are taken from a folder.
const ENDINGS: [&str; 3] = [".json", ".ndjson", ".jsonl"];

/// One file of documents.
#[derive(Debug, Clone)]
pub struct Source {
    name: Arc<str>,
    content: Content,
    size: u64,
}

#[derive(Debug, Clone)]
enum Content {
    File(PathBuf),
    Bytes(Bytes),
}

/// One document of a source.
#[derive(Debug)]
pub struct Document {
    /// Its line, from 1, in a file of lines.
    pub line: Option<u64>,
    /// Its text.
    pub text: Bytes,
}

impl Source {
    /// What the program has in memory; `name` says by its ending what it is.
    pub fn bytes(name: impl Into<Arc<str>>, bytes: impl Into<Bytes>) -> Source {
        let bytes = bytes.into();
        Source {
            name: name.into(),
            size: bytes.len() as u64,
            content: Content::Bytes(bytes),
        }
    }

    /// A file.
    pub fn file(path: PathBuf) -> Source {
        Source {
            name: path.display().to_string().into(),
            size: fs::metadata(&path).map_or(0, |meta| meta.len()),
            content: Content::File(path),
        }
    }

    /// As it is told to the user.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its size as it lies there, compressed or not.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its documents, read one after the other.
    pub fn documents(&self) -> io::Result<Documents> {
        let read = Arc::new(AtomicU64::new(0));
        let count = read.clone();
        let raw: Box<dyn Read + Send> = match &self.content {
            Content::File(path) => Box::new(Counted(fs::File::open(path)?, count)),
            Content::Bytes(bytes) => Box::new(Counted(Cursor::new(bytes.clone()), count)),
        };
        let raw = BufReader::with_capacity(1 << 16, raw);
        let (reader, name): (Box<dyn BufRead + Send>, &str) = match self.name.strip_suffix(".gz") {
            Some(name) => (Box::new(BufReader::new(MultiGzDecoder::new(raw))), name),
            None => (Box::new(raw), &self.name),
        };
        Ok(Documents {
            reader,
            lines: !name.to_lowercase().ends_with(".json"),
            line: 0,
            done: false,
            read,
        })
    }
}

/// Counts what is read of a source as it lies there.
struct Counted<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// The documents of a source. After an error there are no more.
pub struct Documents {
    reader: Box<dyn BufRead + Send>,
    lines: bool,
    line: u64,
    done: bool,
    read: Arc<AtomicU64>,
}

impl Documents {
    /// How many bytes of the source were read so far.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The line of the last document, where documents are lines.
    pub fn line(&self) -> Option<u64> {
        self.lines.then_some(self.line)
    }

    fn whole(&mut self) -> io::Result<Option<Document>> {
        self.done = true;
        let mut text = Vec::new();
        let count = (&mut self.reader)
            .take(MOST_BYTES + 1)
            .read_to_end(&mut text)?;
        fits(count)?;
        Ok(Some(Document {
            line: None,
            text: text.into(),
        }))
    }

    fn next_line(&mut self) -> io::Result<Option<Document>> {
        loop {
            let mut text = Vec::new();
            self.line += 1;
            let limited = &mut (&mut self.reader).take(MOST_BYTES + 1);
            let count = limited.read_until(b'\n', &mut text)?;
            fits(count)?;
            if count == 0 {
                self.done = true;
                return Ok(None);
            }
            if !text.trim_ascii().is_empty() {
                return Ok(Some(Document {
                    line: Some(self.line),
                    text: text.into(),
                }));
            }
        }
    }
}

fn fits(count: usize) -> io::Result<()> {
    if count as u64 > MOST_BYTES {
        let text = format!("larger than {} MB", MOST_BYTES >> 20);
        return Err(io::Error::other(text));
    }
    Ok(())
}

impl Iterator for Documents {
    type Item = io::Result<Document>;

    fn next(&mut self) -> Option<io::Result<Document>> {
        if self.done {
            return None;
        }
        let next = if self.lines {
            self.next_line()
        } else {
            self.whole()
        };
        self.done |= next.is_err();
        next.transpose()
    }
}

/// The files behind the paths of a command line: each file, and in folders, in the order of their
/// names and at any depth, those whose names end as documents do.
pub fn list(paths: &[PathBuf]) -> Result<Vec<Source>, Trouble> {
    let mut sources = Vec::new();
    for path in paths {
        let refuse = |problem: &dyn std::fmt::Display| {
            Err(Trouble::Usage(format!("{}: {problem}", path.display())))
        };
        match fs::metadata(path) {
            Err(error) => return refuse(&error),
            Ok(meta) if meta.is_dir() => {
                let before = sources.len();
                if let Err(error) = folder(path, &mut sources) {
                    return refuse(&error);
                }
                if sources.len() == before {
                    return refuse(&"no .json, .ndjson, .jsonl or .gz of them in this folder");
                }
            }
            Ok(_) if is_document(path) => sources.push(Source::file(path.clone())),
            Ok(_) => return refuse(&"must end in .json, .ndjson or .jsonl, or in one and .gz"),
        }
    }
    Ok(sources)
}

fn is_document(path: &Path) -> bool {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase());
    let name = name.unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Folders behind symbolic links are passed over: they could lead in circles.
fn folder(path: &Path, sources: &mut Vec<Source>) -> io::Result<()> {
    let mut entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            folder(&path, sources)?;
        } else if is_document(&path) && path.is_file() {
            sources.push(Source::file(path));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::Write;

    fn texts(source: &Source) -> Vec<(Option<u64>, String)> {
        let documents = source.documents().unwrap().map(Result::unwrap);
        let text = |d: Document| {
            (
                d.line,
                String::from_utf8(d.text.trim_ascii().to_vec()).unwrap(),
            )
        };
        documents.map(text).collect()
    }

    pub(in crate::cli) fn zipped(text: &str) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(text.as_bytes()).unwrap();
        out.finish().unwrap()
    }

    #[test]
    fn lines_and_whole_files_compressed_or_not() {
        let two = [(Some(1), "{}".to_owned()), (Some(4), "[]".to_owned())];
        let lines = "{}\n\n \r\n[]";
        assert_eq!(texts(&Source::bytes("a.ndjson", lines)), two);
        assert_eq!(texts(&Source::bytes("a.ndjson.gz", zipped(lines))), two);
        let whole = [(None, lines.to_owned())];
        assert_eq!(texts(&Source::bytes("a.json", lines)), whole);
        assert_eq!(texts(&Source::bytes("a.json.gz", zipped(lines))), whole);
        let mut twice = zipped("{}\n");
        twice.extend(zipped("\n\n[]"));
        assert_eq!(texts(&Source::bytes("a.jsonl.gz", twice)).len(), 2);
    }

    #[test]
    fn what_is_cut_off_ends_in_one_error() {
        let mut bytes = zipped(&"{}\n".repeat(10));
        bytes.truncate(bytes.len() - 6);
        let source = Source::bytes("a.ndjson.gz", bytes);
        let documents: Vec<_> = source.documents().unwrap().collect();
        assert!(documents.last().unwrap().is_err());
        assert_eq!(documents.iter().filter(|d| d.is_err()).count(), 1);
    }

    #[test]
    fn folders_are_walked_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("b")).unwrap();
        for name in ["c.json", "b/z.ndjson.gz", "b/a.JSON", "a.txt", "notes.md"] {
            fs::write(at(name), "").unwrap();
        }
        let listed = list(&[folder.path().to_owned()]).unwrap();
        let names: Vec<_> = listed
            .iter()
            .map(|s| Path::new(&**s.name()).to_owned())
            .collect();
        assert_eq!(names, [at("b/a.JSON"), at("b/z.ndjson.gz"), at("c.json")]);
        let refused = |path: PathBuf| list(&[path]).unwrap_err().code();
        assert_eq!(refused(at("a.txt")), 2);
        assert_eq!(refused(at("ghost.json")), 2);
        fs::create_dir(at("empty")).unwrap();
        assert_eq!(refused(at("empty")), 2);
    }
}
