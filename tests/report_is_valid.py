"""Is each of these files a report as the schema says?  report_is_valid.py [--closed] SCHEMA FILE...

--closed: keys that the schema does not describe are wrong. The schema itself lets them be added.
"""

import json
import sys

import jsonschema


def close(part):
    """Each object of the schema has the described keys and no others."""
    if isinstance(part, dict):
        if "properties" in part:
            part["additionalProperties"] = False
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            close(item)


def main(*names):
    closed = names[0] == "--closed"
    schema_name, *names = names[closed:]
    with open(schema_name, encoding="utf-8") as file:
        schema = json.load(file)
    if closed:
        close(schema)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    wrong = False
    for name in names:
        with open(name, encoding="utf-8") as file:
            report = json.load(file)
        for error in validator.iter_errors(report):
            wrong = True
            print(f"{name}: {'/'.join(map(str, error.absolute_path))}: {error.message}")
    return wrong


sys.exit(main(*sys.argv[1:]))
