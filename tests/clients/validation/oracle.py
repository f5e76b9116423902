#!/usr/bin/env python3
"""Compares this server's verdicts with three other validators, over the official examples and seeded
mutations of them.

    oracle.py EXAMPLES_DIR VALIDATE NODE_DIR

VALIDATE is the built example `validate`; NODE_DIR has npm `fhir` and verdicts.cjs in it. What a
mutation breaks is known, so this server must refuse each that breaks something and take each that
doesn't; another validator that differs must be listed in known.tsv with the reason.
"""
import collections
import csv
import json
import random
import subprocess
import sys
from pathlib import Path

import fhirkit
import pydantic
from fhir.resources import construct_fhir_element

HERE = Path(__file__).resolve().parent
TABLES = HERE.parent.parent.parent / "profiles" / "r4"
SEED = 20261124
# Larger ones take the other validators minutes and say nothing new.
LARGEST = 60_000
NO_RECORDS = {"Bundle", "Parameters"}


def table(name):
    rows = (TABLES / name).read_text(encoding="utf-8").splitlines()
    return [row.split("\t") for row in rows if row and not row.startswith("#")]


ELEMENTS = collections.defaultdict(dict)
for owner, name, least, most, kind, *rest in table("elements.tsv"):
    rest += [""] * (2 - len(rest))
    ELEMENTS[owner][name] = (int(least), most, kind, rest[0], rest[1])
LISTED = {row[0] for row in table("codes.tsv")}


def sites(node, owner):
    """(holder, owner, name) of each known element below an object."""
    for name, value in node.items():
        known = ELEMENTS[owner].get(name)
        if not known:
            continue
        yield node, owner, name
        kind = known[2].partition("(")[0].removeprefix("Backbone:")
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                inner = item.get("resourceType") if kind == "Resource" else kind
                yield from sites(item, inner)


def is_primitive(kind):
    return kind[0].islower() and "." not in kind and kind != "xhtml"


# Each mutation: whether it fits a site, and what it does there. The holder is changed in place.

def drop_required(holder, owner, name):
    least, _most, _kind, group, _bound = ELEMENTS[owner][name]
    if least == 0 or group:
        return False
    if len(holder) <= 1:
        return False
    del holder[name]
    holder.pop("_" + name, None)
    return True


def wrong_kind(holder, owner, name):
    _least, _most, kind, _group, _bound = ELEMENTS[owner][name]
    if is_primitive(kind) or isinstance(holder[name], list) or kind == "xhtml":
        return False
    holder[name] = True
    return True


def many(holder, owner, name):
    _least, most, _kind, _group, _bound = ELEMENTS[owner][name]
    if most != "1" or name in ("resource",):
        return False
    holder[name] = [holder[name], holder[name]]
    return True


def extra(holder, owner, name):
    holder["zqelement"] = "x"
    return True


def bad_code(holder, owner, name):
    _least, _most, kind, _group, bound = ELEMENTS[owner][name]
    if kind != "code" or bound not in LISTED:
        return False
    holder[name] = ["zqcode"] if isinstance(holder[name], list) else "zqcode"
    return True


BAD = {"boolean": "yes", "integer": "1.5", "positiveInt": 0, "unsignedInt": -1, "decimal": "1.5", "date": "2026-13-01",
       "dateTime": "2026-02-30T00:00:00Z", "instant": "2026-01-01", "time": "25:00:00", "uri": "a b", "url": "a b",
       "id": "a b", "base64Binary": "?", "code": " x ", "string": "", "markdown": ""}


def bad_primitive(holder, owner, name):
    kind = ELEMENTS[owner][name][2]
    if kind not in BAD or isinstance(holder[name], list) or name == "id":
        return False
    holder[name] = BAD[kind]
    return True


def wrong_target(holder, owner, name):
    kind = ELEMENTS[owner][name][2]
    if not kind.startswith("Reference(") or kind == "Reference(*)" or isinstance(holder[name], list):
        return False
    if "Basic" in kind or not isinstance(holder[name], dict) or "reference" not in holder[name]:
        return False
    holder[name] = {"reference": "Basic/zq"}
    return True


def null(holder, owner, name):
    if isinstance(holder[name], list) or "_" + name in holder:
        return False
    holder[name] = None
    return True


def nothing(holder, owner, name):
    if not isinstance(holder[name], list):
        return False
    holder[name] = []
    return True


# And what breaks nothing.

def extend(holder, owner, name):
    value = holder[name]
    if not isinstance(value, dict) or "extension" not in ELEMENTS.get(
            ELEMENTS[owner][name][2].partition("(")[0].removeprefix("Backbone:"), {}):
        return False
    if ELEMENTS[owner][name][2] == "Extension":
        return False
    value.setdefault("extension", []).append({"url": "http://zq.example/x", "valueString": "x"})
    return True


def extend_primitive(holder, owner, name):
    kind = ELEMENTS[owner][name][2]
    if not is_primitive(kind) or isinstance(holder[name], list) or "_" + name in holder or name in ("id", "url"):
        return False
    holder["_" + name] = {"extension": [{"url": "http://zq.example/x", "valueCode": "x"}]}
    return True


def turn(holder, owner, name):
    items = list(holder.items())
    holder.clear()
    holder.update(reversed(items))
    return True


BREAKS = [drop_required, wrong_kind, many, extra, bad_code, bad_primitive, wrong_target, null, nothing]
HARMLESS = [extend, extend_primitive, turn]


def listed_invalid():
    rows = (HERE.parent.parent / "it" / "official" / "invalid.tsv").read_text(encoding="utf-8").splitlines()
    return {row.split("\t")[0] for row in rows if not row.startswith("#")}


def cases(folder):
    """(name, mutation, resource)"""
    chance = random.Random(SEED)
    invalid = listed_invalid()
    for path in sorted(folder.glob("*.json")):
        if path.name.split("-")[0] in NO_RECORDS or path.stat().st_size > LARGEST:
            continue
        text = path.read_text(encoding="utf-8")
        resource = json.loads(text)
        yield path.name, "as it is", resource
        if path.name in invalid:
            continue
        for mutation in BREAKS + HARMLESS:
            changed = json.loads(text)
            places = list(sites(changed, changed["resourceType"]))
            chance.shuffle(places)
            for holder, owner, name in places:
                before = json.dumps(holder)
                if mutation(holder, owner, name):
                    yield f"{path.name} {owner}.{name}", mutation.__name__, changed
                    break
                assert json.dumps(holder) == before


def ours(lines, program):
    done = subprocess.run([program, "--lines"], input="\n".join(lines), capture_output=True, text=True, check=True)
    return [line.partition("\t")[::2] for line in done.stdout.splitlines()]


def node(lines, folder):
    done = subprocess.run(["node", "verdicts.cjs"], cwd=folder, input="\n".join(lines), capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.splitlines()]


def resources(resource):
    try:
        construct_fhir_element(resource["resourceType"], json.loads(json.dumps(resource)))
        return 0
    except LookupError:  # a type that this version of theirs does not have
        return None
    except (pydantic.ValidationError, ValueError, TypeError, AttributeError):
        return 1


def kit(text):
    try:
        return sum(issue.severity == "error" for issue in fhirkit.validate(text))
    except (fhirkit.ParseError, ValueError):
        return 1


def main(examples, program, node_folder):
    known = {}
    with (HERE / "known.tsv").open(encoding="utf-8") as file:
        for row in csv.reader(file, delimiter="\t"):
            if row and not row[0].startswith("#"):
                known[row[0], row[1], row[2]] = row[3]
    all_cases = list(cases(Path(examples)))
    lines = [json.dumps(resource, ensure_ascii=False, separators=(",", ":")) for _n, _m, resource in all_cases]
    mine = ours(lines, program)
    verdicts = {
        "npm fhir": node(lines, node_folder),
        "fhir.resources": [resources(resource) for _n, _m, resource in all_cases],
        "fhirkit": [kit(line) for line in lines],
    }
    assert len(mine) == len(lines) and all(len(v) == len(lines) for v in verdicts.values())
    harmless = {m.__name__ for m in HARMLESS}
    invalid = listed_invalid()
    failed, used = 0, collections.Counter()
    agree = collections.Counter()
    for at, (name, mutation, _resource) in enumerate(all_cases):
        errors, told = mine[at]
        refused = errors != "0"
        expected = name in invalid if mutation == "as it is" else mutation not in harmless
        if refused != expected:
            print(f"ours: {mutation}: {name}: {'refused: ' + told if refused else 'taken'}")
            failed += 1
        for who, of in verdicts.items():
            if of[at] is None:
                continue
            theirs = of[at] != 0
            if theirs == refused:
                agree[who, mutation] += 1
                continue
            key = (who, mutation, "takes" if refused else "refuses")
            used[key] += 1
            if key not in known:
                print(f"{who} {key[2]}: {mutation}: {name}: {told}")
                failed += 1
    for key in sorted(set(known) - set(used)):
        print("known.tsv: no such difference any more:", *key)
        failed += 1
    print(f"{len(all_cases)} cases")
    for (who, mutation), count in sorted(agree.items()):
        others = sum(n for key, n in used.items() if key[:2] == (who, mutation))
        print(f"{who:16}{mutation:18}{count:6} agree {others:6} differ")
    print(f"test result: {'ok' if failed == 0 else 'FAILED'}. {int(failed == 0)} passed; {int(failed != 0)} failed; 0 ignored")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
