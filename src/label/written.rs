//! The ways in which one code is written: with or without dots and hyphens, with modifiers, inside an
//! expression. What reveals a service does so however it is spelled.

// Systems whose codes are written in several ways.
const CPT: &str = "http://www.ama-assn.org/go/cpt";
const HCPCS: &str = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets";
const NDC: &str = "http://hl7.org/fhir/sid/ndc";
const CVX: &str = "http://hl7.org/fhir/sid/cvx";
const REVENUE: &str = "https://www.nubc.org/CodeSystem/RevenueCodes";
const SNOMED: &str = "http://snomed.info/sct";

/// As the table's rows are kept: ICD codes without their dot, NDC without hyphens; case does not
/// matter.
pub(super) fn normal(system: &str, code: &str) -> String {
    let icd = system.contains("icd-10") || system.contains("ICD10");
    let dropped = |char: char| icd && char == '.' || system == NDC && char == '-';
    code.chars()
        .filter(|char| !(char.is_whitespace() || dropped(*char)))
        .map(|char| char.to_ascii_uppercase())
        .collect()
}

/// The codes that `code` may stand for; none where it is not a code of its system at all.
pub(super) fn forms(system: &str, code: &str) -> Vec<String> {
    let whole = normal(system, code);
    match system {
        // A modifier says how it was done, not what: 59840-52.
        CPT | HCPCS => match whole.get(..5) {
            Some(base) if base != whole => vec![base.to_owned(), whole],
            _ => vec![whole],
        },
        REVENUE => vec![padded(&whole, 4)],
        CVX => vec![padded(&whole, 2)],
        NDC => drug(code, whole),
        SNOMED if !is_digits(&whole) => concepts(&whole),
        _ => vec![whole],
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn padded(text: &str, width: usize) -> String {
    format!("{text:0>width$}")
}

/// Ten digits in three groups, or eleven: labeler 5, product 4, package 2. Without hyphens nobody
/// knows which group of ten is short.
fn drug(code: &str, whole: String) -> Vec<String> {
    let groups: Vec<&str> = code.trim().split('-').collect();
    if groups.len() > 1 {
        let widths = [5, 4, 2].into_iter();
        let each = groups.iter().zip(widths);
        return vec![each.map(|(group, width)| padded(group, width)).collect()];
    }
    if whole.len() != 10 || !is_digits(&whole) {
        return vec![whole];
    }
    [0, 5, 9]
        .into_iter()
        .filter_map(|at| whole.split_at_checked(at))
        .map(|(before, after)| format!("{before}0{after}"))
        .collect()
}

/// The concepts of a post-coordinated expression, or of a code with its term beside it.
fn concepts(expression: &str) -> Vec<String> {
    let runs = expression.split(|char: char| !char.is_ascii_digit());
    runs.filter(|run| run.len() >= 6)
        .map(str::to_owned)
        .collect()
}
