#!/usr/bin/env python3
"""Multiplies bundles of synthetic patients: the same people again under new ids, until there are so many
records. For measuring how the server grows; the same seed gives the same files.

    scripts/grow.py FOLDER-OR-TAR-OF-BUNDLES RECORDS OUT-FOLDER [--seed N]

Writes OUT-FOLDER/grown-NNN.ndjson.gz, each with whole patients; `confide import OUT-FOLDER` takes them.
"""

import argparse
import gzip
import io
import json
import pathlib
import sys
import tarfile
import uuid

SPACE = uuid.UUID("6f0f3a43-3b52-4a0e-9b55-5d6a1f7b8b11")
FILE = 50_000


def bundles(source):
    """The JSON files of a folder or an archive, in the order of their names."""
    if source.is_dir():
        for path in sorted(source.glob("*.json*")):
            opened = gzip.open(path) if path.suffix == ".gz" else path.open("rb")
            with opened as file:
                yield json.load(file)
        return
    with tarfile.open(source) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            if member.isfile() and member.name.endswith(".json"):
                yield json.load(io.TextIOWrapper(archive.extractfile(member), "utf-8"))


def records(bundle):
    """The resources of a bundle with ids, and under which names others know them."""
    names, found = {}, []
    for entry in bundle.get("entry", []):
        resource = entry.get("resource")
        if not resource or "resourceType" not in resource:
            continue
        url = entry.get("fullUrl", "")
        known = resource.get("id") or url.removeprefix("urn:uuid:")
        if not known:
            continue
        key = (resource["resourceType"], known)
        for name in (url, f"{key[0]}/{known}"):
            if name:
                names[name] = key
        found.append((key, resource))
    return found, names


def copied(node, names, renamed):
    """The same with every reference to a known record to its copy."""
    if isinstance(node, dict):
        out = {name: copied(value, names, renamed) for name, value in node.items()}
        key = names.get(out.get("reference")) if isinstance(out.get("reference"), str) else None
        if key:
            out["reference"] = f"{key[0]}/{renamed(key)}"
        return out
    if isinstance(node, list):
        return [copied(item, names, renamed) for item in node]
    return node


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("source", type=pathlib.Path)
    arguments.add_argument("records", type=int)
    arguments.add_argument("out", type=pathlib.Path)
    arguments.add_argument("--seed", type=int, default=1)
    asked = arguments.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    sources = [found for found in map(records, bundles(asked.source)) if found[0]]
    if not sources:
        sys.exit("no bundles there")
    written, copy, file, number = 0, 0, None, 0
    while written < asked.records:
        for at, (found, names) in enumerate(sources):
            if written >= asked.records:
                break
            if file is None or written >= number * FILE:
                if file:
                    file.close()
                number += 1
                file = gzip.open(asked.out / f"grown-{number:03}.ndjson.gz", "wt", compresslevel=1, encoding="utf-8")

            def renamed(key):
                return str(uuid.uuid5(SPACE, f"{asked.seed}/{copy}/{at}/{key[0]}/{key[1]}"))

            for key, resource in found:
                record = copied(resource, names, renamed)
                record["id"] = renamed(key)
                file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
                written += 1
        copy += 1
    file.close()
    print(f"{written} records of {copy} copies in {number} files")


if __name__ == "__main__":
    main()
