"""Is each of these files a report as the schema says?  report_is_valid.py SCHEMA FILE..."""

import json
import sys

import jsonschema


def main(schema_name, *names):
    with open(schema_name, encoding="utf-8") as file:
        schema = json.load(file)
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
