//! Where something is, for the `expression` of an issue.

use std::fmt::Write;

/// A place, as a chain through the stack: words are made only when there is a problem.
pub(super) struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Name(&'a str),
    Item(usize),
}

impl<'a> At<'a> {
    /// Where a resource of this type begins.
    pub(super) fn root(name: &'a str) -> At<'a> {
        At {
            parent: None,
            step: Step::Name(name),
        }
    }

    pub(super) fn name(&'a self, name: &'a str) -> At<'a> {
        At {
            parent: Some(self),
            step: Step::Name(name),
        }
    }

    pub(super) fn item(&'a self, item: usize) -> At<'a> {
        At {
            parent: Some(self),
            step: Step::Item(item),
        }
    }

    pub(super) fn words(&self) -> String {
        let mut out = self.parent.map(At::words).unwrap_or_default();
        match self.step {
            Step::Name(name) if out.is_empty() => out.push_str(name),
            // A name that is none of FHIR's could say anything.
            Step::Name(name) if plain(name) => {
                out.push('.');
                out.push_str(name);
            }
            Step::Name(_) => {}
            Step::Item(item) => {
                // Writing to a String can't fail.
                let _ = write!(out, "[{item}]");
            }
        }
        out
    }
}

fn plain(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
