#!/usr/bin/env python3
"""Makes the compact R4 tables in profiles/r4/ from the official definitions.

    definitions.py DEFINITIONS_DIR OUT_DIR [--check]

DEFINITIONS_DIR holds the JSON files of npm hl7.fhir.r4.examples 4.0.1
(StructureDefinition-*, SearchParameter-*, CompartmentDefinition-patient, ValueSet-*, CodeSystem-*).
With --check nothing is written: exit 1 if a table differs from what would be made.
"""
import json
import re
import sys
from pathlib import Path

LICENCE = "from HL7 FHIR R4 4.0.1 definitions, CC0-1.0; made by scripts/definitions.py"
DEFINITION = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = DEFINITION + "structuredefinition-fhir-type"

# Element types that each kind of search parameter can index.
INDEXABLE = {
    "token": {"code", "Coding", "CodeableConcept", "Identifier", "ContactPoint", "boolean",
              "string", "id", "uri", "canonical"},
    "date": {"date", "dateTime", "instant", "Period", "Timing"},
    "string": {"string", "markdown", "HumanName", "Address"},
    "reference": {"Reference", "canonical", "uri"},
    "uri": {"uri", "url", "canonical", "oid", "uuid"},
    "number": {"integer", "decimal", "positiveInt", "unsignedInt"},
    "quantity": {"Quantity", "Age", "Count", "Distance", "Duration", "Money", "Range", "SampledData"},
}

# Handled in code for every type, so not in the table.
RESOURCE_LEVEL = {"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"}

# Shown in the specification to explain SearchParameter, not meant for use.
SAMPLES = {"example", "example-extension", "example-reference"}

# Expressions that the specification words oddly. Patient.deceased is a condition, not a path:
# here a token over a dateTime means "it is present".
REWORDED = {
    "name | alias": "InsurancePlan.name | InsurancePlan.alias",
    # A copy of an element's path where the definition gives an XPath alone.
    "f:Patient/f:multipleBirthBoolean | f:Patient/f:multipleBirthInteger": "(Patient.multipleBirth as boolean)",
    "Patient.deceased.exists() and Patient.deceased != false":
        "(Patient.deceased as boolean) | (Patient.deceased as dateTime)",
}

# Which elements name the person that the record is about; every other reference to a
# Patient (payee, recipient, performer, subscriber, ...) merely names that person.
OWN = {"subject", "patient", "beneficiary", "individual", "for", "candidate"}
OWN_BY_TYPE = {
    "Appointment": {"participant.actor"},     # has no subject: the patient among the participants
    "AppointmentResponse": {"actor"},
    "AuditEvent": {"entity.what"},            # agent.who did it; entity.what is whose data it was
    "Provenance": {"target"},
    "Binary": {"securityContext"},
    "Person": {"link.target"},
    "Schedule": {"actor"},
    "SupplyRequest": {"deliverTo"},
}


# Required value sets whose members are in no definition of HL7's: how their codes are checked instead.
VALUE_SET = "http://hl7.org/fhir/ValueSet/"
FORMAT_ONLY = {
    "currencies": ("currency", "ISO 4217 is kept by ISO: three capital letters"),
    "mimetypes": ("mime", "BCP 13 has no end: type/subtype with parameters"),
    "mimetypes-short": ("short-mime", "the same, or a short name (json), where the definition of the element or its examples have one"),
    "ucum-units": ("ucum", "UCUM is a grammar, not a list: printable ASCII without spaces"),
    "all-languages": ("language", "BCP 47 is a grammar, not a list; the maximum of every binding to languages"),
    "LL379-9": ("any", "an answer list of LOINC, which is not among the definitions"),
}

# Invariants that R4 4.0.1 words wrongly, and what was meant: ppc-2 to ppc-5 can never fail, que-7 always
# does (a FHIR boolean is no System.Boolean; later versions say `boolean`).
SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
REPAIRED = {key: ("system='something'", f"system='{SCOPE}'") for key in ("ppc-2", "ppc-3", "ppc-4", "ppc-5")}
REPAIRED["que-7"] = ("answer is Boolean", "answer is boolean")

# Held by the structure check for every element or resource, so not repeated in the table.
EVERYWHERE = {"ele-1", "ext-1"}


def load(folder, prefix):
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob(prefix + "*.json"))]


# --- elements -----------------------------------------------------------------------------------

def targets_of(type_entry):
    names = sorted(url.removeprefix(DEFINITION) for url in type_entry.get("targetProfile", []))
    return "*" if not names or "Resource" in names else ",".join(names)


def type_name(type_entry, path, is_resource):
    code = type_entry["code"]
    if code.startswith("http://hl7.org/fhirpath/"):
        if is_resource and path.count(".") == 1 and path.endswith(".id"):
            return "id"
        return next(e["valueUrl"] for e in type_entry["extension"] if e["url"] == FHIR_TYPE)
    return f"Reference({targets_of(type_entry)})" if code == "Reference" else code


# Whose mime types may be short names.
SHORT_MIME = ("CapabilityStatement.", "TestScript.")


def binding(element):
    """The value set that the element's codes must be of; for languages, what they must be at most."""
    bound = element.get("binding", {})
    sets = [bound.get("valueSet", "")] if bound.get("strength") == "required" else []
    sets += [e["valueCanonical"] for e in bound.get("extension", []) if e["url"].endswith("elementdefinition-maxValueSet")]
    names = [url.partition("|")[0].rpartition("/")[2] for url in sets]
    name = next((name for name in names if name in FORMAT_ONLY or bound["strength"] == "required"), "")
    return "mimetypes-short" if name == "mimetypes" and element["path"].startswith(SHORT_MIME) else name


def elements(structures):
    """(owner, name, min, max, types, choice group, binding) for each child of each type and backbone."""
    rows = []
    for structure in structures:
        snapshot = structure["snapshot"]["element"]
        is_resource = structure["kind"] == "resource"
        owners = {e["path"].rpartition(".")[0] for e in snapshot}
        for element in snapshot:
            path = element["path"]
            owner, _, name = path.rpartition(".")
            if not owner:
                continue
            cardinality, bound = (str(element["min"]), element["max"]), binding(element)
            if "contentReference" in element:
                rows.append((owner, name, *cardinality, "Backbone:" + element["contentReference"].lstrip("#"), "", ""))
                continue
            if path in owners:
                rows.append((owner, name, *cardinality, "Backbone:" + path, "", ""))
                continue
            types = [type_name(t, path, is_resource) for t in element.get("type", [])]
            if not name.endswith("[x]"):
                rows.append((owner, name, *cardinality, "|".join(types), "", bound))
                continue
            assert not bound, path
            for one in types:
                bare = one.partition("(")[0]
                rows.append((owner, name[:-3] + bare[0].upper() + bare[1:], *cardinality, one, name, ""))
    return sorted(rows)


class Elements:
    """Walks dotted paths over the table."""

    def __init__(self, rows):
        self.by_owner = {}
        for owner, name, _min, _max, types, group, _bound in rows:
            self.by_owner.setdefault(owner, []).append((name, types, group))

    def children(self, owner, name):
        """Concrete (name, type) pairs for an element or a choice group."""
        found = []
        for child, types, group in self.by_owner.get(owner, []):
            if child == name or group == name + "[x]":
                found.append((child, types))
        return found

    def walk(self, base, steps):
        """[(written path, leaf type)] for the steps of one expression, choices expanded."""
        places = [("", base)]
        for kind, value in steps:
            moved = []
            for path, at in places:
                if kind == "name":
                    owner = at.removeprefix("Backbone:")
                    dot = "." if path else ""
                    moved += [(path + dot + child, types) for child, types in self.children(owner, value)]
                elif kind == "type":
                    if at.partition("(")[0] == value:
                        moved.append((path, at))
                elif kind == "target":
                    moved.append((f"{path}[{value}]", at))
                elif kind == "equals":
                    moved.append((path + "{%s=%s}" % value, at))
            places = moved
        return places


# --- codes --------------------------------------------------------------------------------------

def members(url, sets, systems, above=()):
    """{system: codes} of a value set, imports followed, children of codes included."""
    assert url not in above, url
    found = {}
    compose = sets[url]["compose"]
    assert "exclude" not in compose, url
    for include in compose["include"]:
        assert "filter" not in include, url
        for imported in include.get("valueSet", []):
            for system, codes in members(imported.partition("|")[0], sets, systems, (*above, url)).items():
                found.setdefault(system, set()).update(codes)
        if "concept" in include:
            found.setdefault(include["system"], set()).update(c["code"] for c in include["concept"])
        elif "system" in include:
            system = systems[include["system"]]
            assert system["content"] == "complete", system["url"]
            todo = list(system["concept"])
            for concept in todo:
                found.setdefault(include["system"], set()).add(concept["code"])
                todo += concept.get("concept", [])
    return found


def code_rows(names, sets, systems):
    """(value set, system, codes) for each of these, and (value set, format, reason)
    for those that can't be listed."""
    by_name = {}
    for url in sorted(sets):
        by_name.setdefault(url.rpartition("/")[2], []).append(url)
    listed, formats = [], []
    for name in sorted(names):
        if name in FORMAT_ONLY:
            formats.append((name, *FORMAT_ONLY[name]))
            continue
        url = VALUE_SET + name if VALUE_SET + name in sets else by_name[name][0]
        assert url == VALUE_SET + name or len(by_name[name]) == 1, by_name[name]
        for system, codes in sorted(members(url, sets, systems).items()):
            assert codes and not any(re.search(r"\s", code) for code in codes), name
            listed.append((name, system, " ".join(sorted(codes))))
    return listed, formats


def written(code):
    """A code as the tables of value sets and code systems write it."""
    assert "%20" not in code and "%3C" not in code, code
    return code.replace(" ", "%20").replace("<", "%3C")


def value_sets(sets):
    """(url, version, include or exclude, system, codes, filters, value sets) for each part of each value set."""
    rows = []
    for url, value_set in sorted(sets.items()):
        for way in ("include", "exclude"):
            for part in value_set.get("compose", {}).get(way, []):
                filters = [f"{f['property']} {f['op']} {f['value']}" for f in part.get("filter", [])]
                codes = [written(c["code"]) for c in part.get("concept", [])]
                assert len(filters) < 2 or not any("|" in f for f in filters), url
                rows.append((url, value_set["version"], way, part.get("system", ""), " ".join(codes), "|".join(filters),
                             " ".join(part.get("valueSet", []))))
    return rows


def code_systems(systems):
    """(url, version, content, codes): each code with those right above it (code<above<above)."""
    rows = []
    for url, system in sorted(systems.items()):
        above = {}

        def take(concepts, parent):
            for concept in concepts:
                over = above.setdefault(concept["code"], [])
                if parent:
                    over.append(parent)
                for said in concept.get("property", []):
                    if said["code"] == "child":
                        above.setdefault(said["valueCode"], []).append(concept["code"])
                    if said["code"] in ("parent", "subsumedBy"):
                        over.append(said["valueCode"])
                take(concept.get("concept", []), concept["code"])

        take(system.get("concept", []), None)
        told = ["<".join(map(written, [code, *dict.fromkeys(over)])) for code, over in sorted(above.items())]
        rows.append((url, system["version"] if "version" in system else "4.0.1", system["content"], " ".join(told)))
    return rows


# --- invariants ---------------------------------------------------------------------------------

def invariants(structures, profiles):
    """(owner, element or "", key, severity, expression, human): what must hold of each value of a type or
    backbone, or of one of its elements."""
    rows = set()

    def say(owner, name, constraint):
        expression = " ".join(constraint["expression"].split())
        old, new = REPAIRED.get(constraint["key"], ("", ""))
        assert old in expression, constraint["key"]
        if old:
            expression = expression.replace(old, new)
        rows.add((owner, name, constraint["key"], constraint["severity"], expression, " ".join(constraint["human"].split())))

    for structure in structures:
        snapshot = structure["snapshot"]["element"]
        owners = {e["path"].rpartition(".")[0] for e in snapshot}
        for element in snapshot:
            path = element["path"]
            owner, name = (path, "") if path in owners else path.rpartition(".")[::2]
            if not owner:
                owner, name = path, ""
            for constraint in element.get("constraint", []):
                if constraint["key"] in EVERYWHERE or (structure["kind"] == "resource" and constraint["key"].startswith("dom-")
                                                       and structure["id"] != "DomainResource"):
                    continue
                say(owner, name, constraint)
            # Quantity narrowed to SimpleQuantity: the profile's own invariants go with the element.
            for url in (p for t in element.get("type", []) for p in t.get("profile", [])):
                for constraint in profiles[url]["differential"]["element"][0].get("constraint", []):
                    say(owner, name, constraint)
    return sorted(rows)


# --- profiles -----------------------------------------------------------------------------------

# What a check reads of an element of a differential.
TOLD = ("id", "min", "max", "slicing", "constraint")


def profile(structure):
    """A profile, cut to what a check reads."""
    lines = []
    for element in structure["differential"]["element"]:
        line = {k: v for k, v in element.items() if k in TOLD or k.startswith(("fixed", "pattern"))}
        if "type" in element:
            line["type"] = [{k: v for k, v in t.items() if k in ("code", "profile", "targetProfile")} for t in element["type"]]
        if element.get("binding", {}).get("strength") == "required":
            line["binding"] = {k: element["binding"][k] for k in ("strength", "valueSet")}
        if "constraint" in line:
            line["constraint"] = [{k: c[k] for k in ("key", "severity", "expression", "human")} for c in line["constraint"]]
        if "slicing" in line:
            line["slicing"] = {k: v for k, v in line["slicing"].items() if k in ("discriminator", "rules", "ordered")}
        if len(line) > 1:
            lines.append(line)
    return {"resourceType": "StructureDefinition", "url": structure["url"], "version": structure.get("version", "4.0.1"),
            "type": structure["type"], "baseDefinition": structure["baseDefinition"], "differential": {"element": lines}}


def profile_codes(profiles):
    """The value sets that profiles require, by their names."""
    urls = {e["binding"]["valueSet"] for p in profiles for e in p["differential"]["element"] if "binding" in e}
    return {url.partition("|")[0].rpartition("/")[2] for url in urls}


# --- search parameters --------------------------------------------------------------------------

STEP = re.compile(r"""
      \.?where\(resolve\(\)\ is\ (?P<target>\w+)\)
    | \.?where\(hasExtension\('(?P<has>[^']*)'\)\)
    | \.?extension\('(?P<extension>[^']*)'\)
    | \.?ofType\((?P<of>\w+)\)
    | \.?where\((?P<key>\w+)='(?P<value>[^']*)'\)
    | \.?as\((?P<as>\w+)\)
    | \.?(?P<name>[A-Za-z]\w*)(?![\w(])
""", re.X)


def steps_of(expression):
    """The steps of one alternative, or None where it is not a simple path."""
    text = expression.strip()
    cast = re.fullmatch(r"\((?P<inner>[\w.]+) as (?P<type>\w+)\)(?P<rest>.*)", text)
    if cast:
        inner, rest = steps_of(cast["inner"]), steps_of(cast["rest"]) if cast["rest"] else []
        return None if inner is None or rest is None else inner + [("type", cast["type"])] + rest
    steps, at = [], 0
    while at < len(text):
        match = STEP.match(text, at)
        if not match:
            return None
        if match["target"]:
            steps.append(("target", match["target"]))
        elif match["has"]:
            steps.append(("equals", ("extension", match["has"])))
        elif match["extension"]:
            steps += [("name", "extension"), ("equals", ("url", match["extension"])), ("name", "value")]
        elif match["of"]:
            steps.append(("type", match["of"]))
        elif match["key"]:
            steps.append(("equals", (match["key"], match["value"])))
        elif match["as"]:
            steps.append(("type", match["as"]))
        else:
            steps.append(("name", match["name"]))
        at = match.end()
    return steps


XPATH = re.compile(r"f:(?P<base>\w+)/f:extension\[@url='(?P<url>[^']*)'\]")


def expression_of(parameter):
    """The expression; the extension packs give some only as XPath."""
    given = parameter.get("expression")
    if given or "xpath" not in parameter:
        return given or ""
    found = XPATH.match(parameter["xpath"])
    if found:
        return f"{found['base']}.extension('{found['url']}')"
    return parameter["xpath"] if parameter["xpath"] in REWORDED else ""


def split_path(path):
    """The steps of a written path; the braces of a filter may hold dots."""
    return re.findall(r"(?:[^.{]|\{[^}]*\})+", path)


def composites(parameters, rows):
    """(base, code, composite, components): each a parameter of the same type. Their entries belong
    together where they have the same place; one marked ^ is of the whole resource (`%resource`)."""
    by_url = {parameter["url"]: parameter for parameter in parameters}
    found = []
    for parameter in parameters:
        if parameter["type"] != "composite":
            continue
        for base in parameter["base"]:
            parts = []
            for component in parameter["component"]:
                code = by_url[component["definition"]]["code"]
                if (base, code) not in rows:
                    raise SystemExit(f"{base}.{parameter['code']}: no parameter {code}")
                parts.append(("^" if component["expression"].startswith("%resource") else "") + code)
            found.append((base, parameter["code"], "composite", ";".join(parts), ""))
    return found


def leaf(path, types):
    return f"{path}:{types.partition('(')[0]}"


def reference_targets(parameter, found):
    """What the parameter may point at: the element's targets within the parameter's own."""
    allowed = set(parameter.get("target", []))
    result = set()
    for path, types in found:
        narrowed = re.search(r"\[(\w+)\]$", path)
        if narrowed:
            result.add(narrowed[1])
            continue
        inside = re.fullmatch(r"Reference\((.*)\)", types)
        named = set() if not inside or inside[1] == "*" else set(inside[1].split(","))
        if named and allowed:
            result |= (named & allowed) or named
        else:
            result |= named or allowed or {"*"}
    return "*" if "*" in result or len(result) > 100 else ",".join(sorted(result))


def search_parameters(parameters, table):
    """Rows, and notes about what could not be said."""
    rows, notes = {}, set()
    for parameter in parameters:
        if parameter["id"] in SAMPLES or parameter["code"] in RESOURCE_LEVEL:
            continue
        code, kind = parameter["code"], parameter["type"]
        # The extension packs for CodeSystem and ValueSet name their base only in their id.
        bases = parameter.get("base") or [parameter["id"].split("-")[-2]]
        if kind == "composite":
            continue
        expression = expression_of(parameter)
        indexable = INDEXABLE.get(kind, set())
        if expression in REWORDED:
            expression, indexable = REWORDED[expression], indexable | {"dateTime"}
        for base in bases:
            where = f"{base}.{code}"
            if kind not in INDEXABLE:
                notes.add(f"{where}: {kind}")
                continue
            if not expression:
                notes.add(f"{where}: no expression")
                continue
            found, failed = [], None
            for alternative in re.findall(r"(?:[^|']|'[^']*')+", expression):
                steps = steps_of(alternative)
                if steps is None:
                    if re.match(rf"\s*\(?{base}\b", alternative):
                        failed = alternative.strip()
                    continue
                if steps[0] != ("name", base):
                    continue
                reached = table.walk(base, steps[1:])
                if not reached:
                    raise SystemExit(f"{where}: {alternative.strip()} leads nowhere")
                usable = [(p, t) for p, t in reached if t.partition("(")[0] in indexable]
                if not usable:
                    raise SystemExit(f"{where}: {reached} cannot be indexed as {kind}")
                found += usable
            if failed or not found:
                notes.add(f"{where}: {failed or expression}")
                continue
            paths = list(dict.fromkeys(leaf(p, t) for p, t in found))
            if (base, code) in rows:
                raise SystemExit(f"{where}: defined twice")
            targets = reference_targets(parameter, found) if kind == "reference" else ""
            rows[base, code] = (base, code, kind, ";".join(paths), targets)
    together = composites(parameters, rows)
    return sorted([*rows.values(), *together]), sorted(notes)


PATH_PART = re.compile(r"(?P<name>\w+)(?:\{(?P<key>\w+)=[^}]*\})?(?:\[(?P<target>\w+)\])?")


def verify(rows, table):
    """Reads the written paths back, as the server will, and follows each to its leaf."""
    for base, code, kind, paths, _targets in rows:
        for written in paths.split(";"):
            if kind == "composite":
                continue
            path, _, expected = written.rpartition(":")
            at = base
            for part in split_path(path):
                match = PATH_PART.fullmatch(part)
                children = {n: t for n, t, _g in table.by_owner[at.removeprefix("Backbone:")]}
                at = children[match["name"]]
                if match["key"]:
                    inner = {n for n, _t, _g in table.by_owner[at.removeprefix("Backbone:")]}
                    assert match["key"] in inner, (base, code, written)
                if match["target"]:
                    inside = re.fullmatch(r"Reference\((.*)\)", at)
                    assert inside and (inside[1] == "*" or match["target"] in inside[1].split(",")), (base, code, written)
            assert at.partition("(")[0] == expected, (base, code, written, at)


# --- whose record it is -------------------------------------------------------------------------

def bare(path):
    return re.sub(r"\[\w+\]|\{[^}]*\}|:\w+$", "", path)


def is_own(base, path):
    own = OWN_BY_TYPE.get(base)
    return bare(path) in own if own else bare(path) in OWN


def patient_only(base, path, table):
    """The path with [Patient], unless its element can point at nothing else."""
    if path.endswith("[Patient]:Reference"):
        return path
    plain = path.removesuffix(":Reference")
    steps = [("name", name) for name in bare(plain).split(".")]
    types = {types for _p, types in table.walk(base, steps)}
    return f"{plain}:Reference" if types == {"Reference(Patient)"} else f"{plain}[Patient]:Reference"


def compartment(definition, search_rows, table):
    paths_of = {(base, code): paths for base, code, _kind, paths, _targets in search_rows}
    rows = []
    for resource in definition["resource"]:
        base, paths = resource["code"], []
        for code in resource.get("param", []):
            for path in paths_of[base, code].split(";"):
                filtered = re.search(r"\[(\w+)\]", path)
                if not filtered or filtered[1] == "Patient":
                    paths.append(patient_only(base, path, table))
        if paths:
            paths = sorted(set(paths))
            rows.append((base, ";".join(paths), ";".join(p for p in paths if is_own(base, p))))
    return sorted(rows)


def compartments(definitions, resources):
    """(compartment, type, codes): the parameters that put a record in a compartment."""
    rows = []
    for definition in definitions:
        if definition["id"] == "example":
            continue
        for resource in definition["resource"]:
            codes = [code for code in resource.get("param", [])]
            if codes and resource["code"] in resources:
                rows.append((definition["code"], resource["code"], ",".join(codes)))
    return sorted(rows)


def summaries(structures):
    """(owner, elements): what `_summary=true` keeps of a type, a backbone or a datatype."""
    kept = {}
    for structure in structures:
        for element in structure["snapshot"]["element"]:
            owner, _, name = element["path"].rpartition(".")
            if owner and element.get("isSummary"):
                kept.setdefault(owner, []).append(name)
    return [(owner, ",".join(names)) for owner, names in sorted(kept.items())]


def patient_references(resources, table, compartment_rows):
    """Every element of every resource type that can point at a Patient, and which elements nest in themselves."""
    inside = {(base, path) for base, paths, _own in compartment_rows for path in paths.split(";")}
    rows, nested = [], set()

    def descend(base, owner, prefix, above):
        for name, types, _group in table.by_owner[owner]:
            path, inner = prefix + name, types.removeprefix("Backbone:")
            target = re.fullmatch(r"Reference\((.*)\)", types)
            if target and (target[1] == "*" or "Patient" in target[1].split(",")):
                written = f"{path}:Reference" if target[1] == "Patient" else f"{path}[Patient]:Reference"
                rows.append((base, written, "own" if is_own(base, path) else "named",
                             "compartment" if (base, written) in inside else ""))
            elif inner in above:
                nested.add(f"{base}.{path}")
            elif inner in table.by_owner and inner not in ("Extension", "Resource"):
                descend(base, inner, path + ".", above | {inner})

    for base in resources:
        descend(base, base, "", frozenset())
    missing = inside - {(base, path) for base, path, *_ in rows}
    assert not missing, sorted(missing)
    return sorted(rows), sorted(nested)


# --- writing ------------------------------------------------------------------------------------

def as_text(comment, rows, trailer=()):
    lines = ["# " + comment + "; " + LICENCE]
    lines += ["\t".join(row).rstrip("\t") for row in rows]
    lines += ["# " + note for note in trailer]
    return "\n".join(lines) + "\n"


def tables(folder):
    structures = [s for s in load(folder, "StructureDefinition-")
                  if s["kind"] in ("resource", "complex-type") and s.get("derivation") != "constraint"]
    element_rows = elements(structures)
    table = Elements(element_rows)
    search_rows, notes = search_parameters(load(folder, "SearchParameter-"), table)
    verify(search_rows, table)
    definition = json.loads((folder / "CompartmentDefinition-patient.json").read_text(encoding="utf-8"))
    compartment_rows = compartment(definition, search_rows, table)
    resources = sorted(s["id"] for s in structures if s["kind"] == "resource" and not s["abstract"])
    sets = {v["url"]: v for v in load(folder, "ValueSet-")}
    systems = {s["url"]: s for s in load(folder, "CodeSystem-")}
    narrowed = [profile(s) for s in load(folder, "StructureDefinition-")
                if s.get("derivation") == "constraint" and s["type"] != "Extension"]
    names = {row[6] for row in element_rows if row[6]} | profile_codes(narrowed)
    listed, formats = code_rows(names, sets, systems)
    profiles = {s["url"]: s for s in load(folder, "StructureDefinition-")}
    reference_rows, nested = patient_references(resources, table, compartment_rows)
    return {
        "elements.tsv": as_text(
            "owner, name, min, max, types (| between alternatives), choice group (only where the element is one of a choice), "
            "value set of codes.tsv or formats.tsv that its codes must be of",
            element_rows),
        "codes.tsv": as_text("value set, system, its codes that are of it (a space between)", listed),
        "value-sets.tsv": as_text(
            "value set, version, include or exclude, system, codes of it (all where none), filters (| between), other value sets; %20 and %3C in a code are a space and <",
            value_sets(sets)),
        "code-systems.tsv": as_text(
            "code system, version, content (R4's own word), its codes (a space between), each with those right above it (code<above); %20 and %3C in a code are a space and <",
            code_systems(systems)),
        "formats.tsv": as_text("value set that can't be listed here, the format that its codes are held to, why", formats),
        "profiles.ndjson": "".join(json.dumps(p, ensure_ascii=False, separators=(",", ":")) + "\n" for p in narrowed),
        "invariants.tsv": as_text(
            "owner, element (empty: the owner itself), key, severity, FHIRPath, in words; ele-1 and ext-1, which hold "
            "everywhere, are not repeated, nor dom-* for each type of resource; ppc-2 to ppc-5 and que-7 as they were meant",
            invariants(structures, profiles)),
        "search-parameters.tsv": as_text(
            "base, code, type, paths (; between; name.name{key=value}[ReferenceTarget]:LeafType), targets (reference only; * is any); "
            "a token over a dateTime asks whether it is present; a composite has parameters in place of paths, ^ before one "
            "that need not be of the same place",
            search_rows, [f"not expressible: {note}" for note in notes]),
        "compartment-patient.tsv": as_text(
            "type, paths that put a record in a Patient's compartment, those of them that name whom the record is about; "
            "paths as in search-parameters.tsv",
            compartment_rows),
        "compartments.tsv": as_text(
            "compartment, type, codes of the search parameters that put a record in it",
            compartments(load(folder, "CompartmentDefinition-"), resources)),
        "summary.tsv": as_text(
            "owner, elements that _summary=true keeps (a choice by its group)",
            summaries(structures)),
        "patient-references.tsv": as_text(
            "type, path of an element that can point at a Patient, own (the record is about that patient) or named, "
            "compartment (where the path is one of the Patient compartment's); not walked: extensions, contained resources",
            reference_rows, [f"nests in itself to any depth: {path}" for path in nested]),
    }


def main(arguments):
    check = "--check" in arguments
    places = [Path(a) for a in arguments if a != "--check"]
    if len(places) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    source, out = places
    stale = 0
    for name, text in tables(source).items():
        path = out / name
        if check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                print(f"{path}: differs from what {Path(sys.argv[0]).name} makes", file=sys.stderr)
                stale = 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"{path}: {sum(not line.startswith('#') for line in text.splitlines())} rows")
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
