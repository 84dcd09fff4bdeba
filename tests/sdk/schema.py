"""Holds recorded answers against a published OpenAPI 3.0 file: schema.py SPEC CALLS. Prints each violation; status 1 if any.

CALLS has one JSON line a call: {m, path, status, answer}. Calls of paths that the file does not know are counted and
named, not judged: Stripe's own tools use some that it never published."""

import json
import re
import sys
import urllib.parse

from jsonschema import Draft4Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

DOCUMENT = "urn:document"


def absolute(schema):
    """The schema with references into the document, and OpenAPI's `nullable` as JSON Schema says it."""
    if isinstance(schema, list):
        return [absolute(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    out = {}
    for name, value in schema.items():
        if name == "$ref" and isinstance(value, str) and value.startswith("#"):
            out[name] = DOCUMENT + value
        elif not (name == "nullable" and isinstance(value, bool)):
            out[name] = absolute(value)
    return {"anyOf": [{"type": "null"}, out]} if schema.get("nullable") is True else out


def routes(document):
    """Method, pattern and operation of every path; paths with fewer holes come first."""
    found = []
    for path, operations in sorted(document["paths"].items(), key=lambda one: one[0].count("{")):
        pattern = re.compile("^" + re.sub(r"\\\{[^/]+?\\\}", "[^/]+", re.escape(path)) + "$")
        for method, operation in operations.items():
            if isinstance(operation, dict) and "responses" in operation:
                found.append((method.upper(), pattern, operation))
    return found


def deepest(error):
    """The violation that says most: into the branch of an anyOf that came furthest."""
    while error.context:
        error = max(error.context, key=lambda one: (len(one.absolute_path), one.validator_value != "null"))
    return error


def main(spec, calls):
    with open(spec) as file:
        document = absolute(json.load(file))
    registry = Registry().with_resource(DOCUMENT, Resource(contents=document, specification=DRAFT4))
    known = routes(document)
    judged, violations, unknown = 0, [], set()
    with open(calls) as file:
        for line in file:
            call = json.loads(line)
            name = f"{call['m']} {call['path']}"
            path = urllib.parse.unquote(call["path"])
            operation = next((op for method, pattern, op in known if method == call["m"] and pattern.match(path)), None)
            if operation is None:
                unknown.add(re.sub(r"_[A-Za-z0-9]{12,}", "_…", name))
                continue
            responses = operation["responses"]
            response = responses.get(str(call["status"])) or responses.get("default")
            schema = response["content"]["application/json"]["schema"]
            judged += 1
            for error in Draft4Validator(schema, registry=registry).iter_errors(json.loads(call["answer"])):
                best = deepest(error)
                where = "/".join(map(str, best.absolute_path)) or "the answer"
                violations.append(f"{name} {call['status']}: {where}: {best.message[:200]}")
    print("\n".join(sorted(set(violations))))
    print(f"{judged} answers judged, {len(violations)} violations, not published: {', '.join(sorted(unknown)) or 'none'}")
    return 1 if violations or judged == 0 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
