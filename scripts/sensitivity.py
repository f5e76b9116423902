#!/usr/bin/env python3
"""Checks profiles/sensitivity.csv and profiles/neutral-systems.csv.

    sensitivity.py [--check] [PROFILES_DIR]

Form, names of labels and services, ranges, duplicates, rows that another row makes
needless, systems that are both sensitive and neutral. Exit 1 if anything is wrong;
a summary otherwise. The CSV files are the maintained source: edit them by hand.
"""
import csv
import re
import sys
from collections import Counter
from pathlib import Path

COLUMNS = ["category", "subcategory", "system", "match", "code", "display", "source", "confidence",
           "context", "labels", "service"]
CATEGORIES = {"mental_health", "sexual_reproductive", "sti_hiv", "substance_use", "gender_affirming",
              "intimate_partner_violence", "genetic"}
MATCHES = {"exact", "prefix", "range"}
CONFIDENCES = {"high", "medium", "low"}
CONTEXTS = {"", "with_dx", "policy", "value"}
LABELS = ["mh", "pregnancy", "contraception", "abortion", "sex", "sti", "hiv", "hiv-test-result", "sud", "opioid",
          "gac", "ipv", "psychotherapy-note", "outpatient-psychotherapy", "genetic"]
IMPLIES = {"hiv": "sti", "hiv-test-result": "hiv", "opioid": "sud", "psychotherapy-note": "mh",
           "outpatient-psychotherapy": "mh"}
SERVICES = {"contraception", "pregnancy", "abortion", "sterilization", "sti-diagnosis-treatment", "sti-prevention",
            "hiv-test", "hiv-treatment", "mh-outpatient", "mh-inpatient", "mh-drug", "mh-procedure",
            "sud-counselling", "sud-drug", "moud-buprenorphine", "sexual-assault", "rape", "ipv",
            "gender-affirming", "sexual-health-other", "genetic", "none"}
DOTTED = "http://hl7.org/fhir/sid/icd-10-cm"  # compared without the dot


def key(row, code):
    return code.replace(".", "") if row["system"] == DOTTED else code


def covers(wide, narrow):
    """Whether `wide` matches everything that `narrow` matches."""
    a, b = key(wide, wide["code"]), key(narrow, narrow["code"])
    if wide["match"] == "prefix":
        return narrow["match"] in ("exact", "prefix") and b.startswith(a)
    if wide["match"] == "range":
        low, high = a.split("-")
        ends = b.split("-") if narrow["match"] == "range" else [b] if narrow["match"] == "exact" else []
        return bool(ends) and all(len(end) == len(low) and low <= end <= high for end in ends)
    return False


def needless(wide, narrow):
    """Whether `narrow` adds nothing to `wide`."""
    return (wide is not narrow and wide["category"] == narrow["category"] and wide["context"] == narrow["context"]
            and wide["service"] == narrow["service"]
            and set(narrow["labels"].split()) <= set(wide["labels"].split()) and covers(wide, narrow))


def form_errors(row):
    if None in row or None in row.values():
        yield "wrong number of columns"
        return
    for column, allowed in (("category", CATEGORIES), ("match", MATCHES), ("confidence", CONFIDENCES),
                            ("context", CONTEXTS), ("service", SERVICES)):
        if row[column] not in allowed:
            yield f"{column} {row[column]!r} is unknown"
    for column in COLUMNS:
        if row[column] != row[column].strip() or (not row[column] and column != "context"):
            yield f"{column} is empty or padded"
    labels = row["labels"].split()
    if any(label not in LABELS for label in labels):
        yield f"labels {row['labels']!r} unknown"
    elif labels != sorted(set(labels), key=LABELS.index):
        yield f"labels {row['labels']!r} repeated or out of order"
    for label in labels:
        if IMPLIES.get(label, label) not in labels:
            yield f"label {label} needs {IMPLIES[label]}"
    if row["match"] == "range":
        ends = key(row, row["code"]).split("-")
        shape = re.sub(r"\d", "9", ends[0])
        if len(ends) != 2 or shape != re.sub(r"\d", "9", ends[1]) or ends[0] >= ends[1]:
            yield f"range {row['code']} is malformed"


def check_sensitivity(path):
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        if reader.fieldnames != COLUMNS:
            return rows, [f"{path}: columns are {reader.fieldnames}"]
    errors, seen, by_system = [], {}, {}
    for line, row in enumerate(rows, 2):
        errors += [f"{path}:{line}: {row.get('code')}: {error}" for error in form_errors(row)]
        identity = (row["system"], row["match"], key(row, row["code"]), row["category"])
        if identity in seen:
            errors.append(f"{path}:{line}: {row['code']} repeats line {seen[identity]}")
        seen[identity] = line
        by_system.setdefault(row["system"], []).append((line, row))
    if errors:
        return rows, errors
    for group in by_system.values():
        wide_rows = [(line, row) for line, row in group if row["match"] != "exact"]
        for line, row in group:
            for wide_line, wide in wide_rows:
                if needless(wide, row):
                    errors.append(f"{path}:{line}: {row['code']} is already said by line {wide_line} ({wide['code']})")
    order = lambda row: (row["category"], row["subcategory"], row["system"], row["code"], row["match"])
    if rows != sorted(rows, key=order):
        errors.append(f"{path}: rows are not sorted by category, subcategory, system, code, match")
    return rows, errors


def check_neutral(path, sensitive_systems):
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    errors, seen = [], set()
    for line, row in enumerate(rows, 2):
        system, why = row.get("system") or "", row.get("why") or ""
        if not system or not why or None in row:
            errors.append(f"{path}:{line}: needs exactly a system and a reason")
        if system in seen:
            errors.append(f"{path}:{line}: {system} repeats")
        if system in sensitive_systems:
            errors.append(f"{path}:{line}: {system} is in the sensitivity table")
        if "*" in system[:-1]:
            errors.append(f"{path}:{line}: * only at the end")
        seen.add(system)
    if [r["system"] for r in rows] != sorted(seen):
        errors.append(f"{path}: rows are not sorted by system")
    return rows, errors


def main(arguments):
    places = [a for a in arguments if a != "--check"]
    folder = Path(places[0]) if places else Path(__file__).resolve().parent.parent / "profiles"
    rows, errors = check_sensitivity(folder / "sensitivity.csv")
    neutral, more = check_neutral(folder / "neutral-systems.csv", {row["system"] for row in rows})
    errors += more
    if errors:
        print("\n".join(errors), file=sys.stderr)
        return 1
    print(f"{len(rows)} sensitivity rows in {len({r['system'] for r in rows})} systems, {len(neutral)} neutral systems")
    for column in ("category", "context", "confidence", "service"):
        counts = Counter(row[column] or "always" for row in rows)
        print(f"  {column}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    labels = Counter(label for row in rows for label in row["labels"].split())
    print("  labels: " + ", ".join(f"{label} {labels[label]}" for label in LABELS))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
