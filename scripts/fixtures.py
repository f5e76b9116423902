#!/usr/bin/env python3
"""Makes the folder fixtures/ from Synthea's bundles and the hand-made records, or checks it.

    scripts/fixtures.py SYNTHEA_DIR            write fixtures/, then check it
    scripts/fixtures.py --check                check fixtures/ as it lies

The same input gives the same bytes. SYNTHEA_DIR holds the source bundles (see fixtures/SOURCES.md).
Codes are looked up in the sensitivity table, by default the sensitivity.csv below profiles/.
"""

import argparse
import json
import pathlib
import sys

from fixtures import access, cast, check, episodes, expectation, fhir, household, synthea, terminology

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main() -> int:
    arguments = parse()
    if arguments.synthea_dir:
        make(arguments.synthea_dir, arguments.out)
    elif not arguments.check:
        sys.exit("give SYNTHEA_DIR, or --check")
    table = find_table(arguments.table)
    problems = check.run(arguments.out, table)
    for problem in problems:
        print(f"fixtures: {problem}", file=sys.stderr)
    if not problems:
        print("fixtures: all checks hold" + ("" if table else " (no sensitivity table found: codes not looked up)"))
    return 1 if problems else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("synthea_dir", nargs="?", type=pathlib.Path, help="folder with Synthea's transaction bundles")
    parser.add_argument("--check", action="store_true", help="only check")
    parser.add_argument("--table", type=pathlib.Path, help="the sensitivity table")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "fixtures", help="the fixtures' folder")
    return parser.parse_args()


def find_table(given):
    found = [given] if given else sorted((ROOT / "profiles").rglob("sensitivity.csv"))
    return terminology.Table(found[0]) if found else None


def make(source: pathlib.Path, target: pathlib.Path) -> None:
    (target / "synthea").mkdir(parents=True, exist_ok=True)
    raw = sum(
        synthea.write(synthea.bundle_for(person, source), target / "synthea" / f"{person.id}.json.gz")
        for person in cast.PEOPLE
    )
    resources = household.records() + episodes.maya() + episodes.elena() + episodes.daniel()
    (target / "households.ndjson").write_text("".join(fhir.encode(r) + "\n" for r in resources), encoding="utf-8")
    personas = access.personas()
    write_json(target / "clients.json", access.clients())
    write_json(target / "personas.json", personas)
    write_json(target / "expectation.json", expectation.expectation(resources, personas))
    print(f"fixtures: {len(cast.PEOPLE)} bundles ({raw / 1e6:.1f} MB unpacked), {len(resources)} hand-made resources")


def write_json(path: pathlib.Path, content) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
