//! Where a search parameter looks: `name.name{key=value}[ReferenceTarget]:LeafType`.

use crate::fhir::Kind;

/// One path of a search parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamPath {
    /// Element names from the resource root, choices with their type (`valueQuantity`).
    pub steps: Vec<Step>,
    /// Only references to this type count (`subject[Patient]`).
    pub target: Option<Kind>,
    /// How the element at its end is read.
    pub leaf: Leaf,
}

/// An element name, and what its object must say to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// The JSON name.
    pub name: &'static str,
    /// A string member and the value that it must have (`telecom{system=email}`); with `extension`,
    /// the URL that one of its extensions must have.
    pub filter: Option<(&'static str, &'static str)>,
}

/// The datatype at the end of a path, as far as indexing tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "FHIR's own names")]
pub enum Leaf {
    CodeableConcept,
    Coding,
    Identifier,
    ContactPoint,
    Boolean,
    /// code, id, string, markdown: plain text, read as the parameter's type wants it.
    Text,
    /// uri, url.
    Uri,
    Canonical,
    /// date, dateTime, instant.
    Moment,
    Period,
    Timing,
    HumanName,
    Address,
    Reference,
    /// decimal, integer.
    Number,
    Quantity,
    Money,
    Range,
    /// Not searchable by a plain value (SampledData).
    Other,
    /// Where a Location is (`near`).
    Position,
    /// The narrative's words (`_text`).
    Narrative,
    /// The words of the whole resource (`_content`).
    Content,
}

impl ParamPath {
    /// Reads one path of the table.
    pub fn parse(text: &'static str) -> Option<ParamPath> {
        let (way, leaf) = text.rsplit_once(':')?;
        let (way, target) = match way.strip_suffix(']').and_then(|way| way.rsplit_once('[')) {
            Some((way, target)) => (way, Some(Kind::named(target)?)),
            None => (way, None),
        };
        let steps = steps(way).map(Step::parse).collect::<Option<_>>()?;
        let leaf = Leaf::named(leaf)?;
        Some(ParamPath {
            steps,
            target,
            leaf,
        })
    }

    /// Whether all that this path reads lies in these elements (dotted paths from the root, as in
    /// `projections.toml`; `*` is everything). A filter's key (`telecom.system`) is part of what
    /// it reads, and lies below its step.
    pub fn covered_by(&self, elements: &[&str]) -> bool {
        elements.iter().any(|element| {
            *element == "*" || {
                let mut steps = self.steps.iter();
                let leads = |name| steps.next().is_some_and(|step| step.name == name);
                element.split('.').all(leads) && steps.all(|step| step.name != "extension")
            }
        })
    }
}

/// The steps of a way; the braces of a filter may hold dots.
fn steps(way: &'static str) -> impl Iterator<Item = &'static str> {
    let mut inside = false;
    way.split(move |char| {
        match char {
            '{' => inside = true,
            '}' => inside = false,
            _ => {}
        }
        char == '.' && !inside
    })
}

impl Step {
    fn parse(text: &'static str) -> Option<Step> {
        let Some((name, filter)) = text.split_once('{') else {
            return (!text.is_empty()).then_some(Step {
                name: text,
                filter: None,
            });
        };
        let filter = filter.strip_suffix('}')?.split_once('=')?;
        Some(Step {
            name,
            filter: Some(filter),
        })
    }
}

impl Leaf {
    fn named(name: &str) -> Option<Leaf> {
        Some(match name {
            "CodeableConcept" => Leaf::CodeableConcept,
            "Coding" => Leaf::Coding,
            "Identifier" => Leaf::Identifier,
            "ContactPoint" => Leaf::ContactPoint,
            "boolean" => Leaf::Boolean,
            "code" | "id" | "string" | "markdown" => Leaf::Text,
            "uri" | "url" => Leaf::Uri,
            "canonical" => Leaf::Canonical,
            "date" | "dateTime" | "instant" => Leaf::Moment,
            "Period" => Leaf::Period,
            "Timing" => Leaf::Timing,
            "HumanName" => Leaf::HumanName,
            "Address" => Leaf::Address,
            "Reference" => Leaf::Reference,
            "decimal" | "integer" => Leaf::Number,
            "Quantity" | "Age" | "Duration" => Leaf::Quantity,
            "Money" => Leaf::Money,
            "Range" => Leaf::Range,
            "SampledData" => Leaf::Other,
            "position" => Leaf::Position,
            "xhtml" => Leaf::Narrative,
            "Resource" => Leaf::Content,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_path_is_read() {
        let path = ParamPath::parse("telecom{system=phone}.value:string").unwrap();
        assert_eq!(path.steps[0].filter, Some(("system", "phone")));
        assert_eq!(path.steps[1].name, "value");
        let path = ParamPath::parse("item{extension=http://x.y/z}.answer:Reference").unwrap();
        assert_eq!(path.steps[0].filter, Some(("extension", "http://x.y/z")));
        assert_eq!(path.steps[1].name, "answer");
        let path = ParamPath::parse("subject[Patient]:Reference").unwrap();
        assert_eq!(path.target, Kind::named("Patient"));
        assert_eq!(path.leaf, Leaf::Reference);
        for text in ["subject", "subject:Ghost", "a[Ghost]:Reference", ":code"] {
            assert_eq!(ParamPath::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_path_is_covered_by_an_element_above_it_and_by_nothing_below() {
        let path = ParamPath::parse("name.family:string").unwrap();
        assert!(path.covered_by(&["birthDate", "name"]));
        assert!(path.covered_by(&["name.family"]));
        assert!(path.covered_by(&["*"]));
        assert!(!path.covered_by(&["name.given"]));
        assert!(!path.covered_by(&["name.family.deeper"]));
        assert!(!path.covered_by(&["nam"]));
        assert!(!path.covered_by(&[]));
    }
}
