# SPDX-License-Identifier: Apache-2.0
#
# openapi.json as a test of replies: the JSON Schema that it uses, no more.
import json
import os

KINDS = {"object": dict, "array": list, "string": str, "boolean": bool,
         "null": type(None)}
KNOWN = {"type", "enum", "const", "required", "properties", "items", "anyOf",
         "additionalProperties", "minimum", "maximum", "description", "$ref",
         "minItems", "maxItems", "minLength"}


def is_kind(value, kind):
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, KINDS[kind])


class Contract:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.document = json.load(file)

    @staticmethod
    def beside(file):
        return Contract(os.path.join(os.path.dirname(file), "..", "..",
                                     "runtime", "serve", "openapi.json"))

    def faults(self, value, schema, place="reply"):
        """What of `value` is not as the schema has it."""
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            schema = self.document["components"]["schemas"][name]
        if unknown := set(schema) - KNOWN:
            yield f"{place}: the schema has {unknown}"
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds and not any(is_kind(value, kind) for kind in kinds):
            yield f"{place}: expected {kinds}, found {value!r:.100}"
            return
        if "enum" in schema and value not in schema["enum"]:
            yield f"{place}: expected {schema['enum']}, found {value!r:.100}"
        if "const" in schema and value != schema["const"]:
            yield f"{place}: expected {schema['const']}, found {value!r:.100}"
        if "anyOf" in schema and all(
                any(True for _ in self.faults(value, one, place))
                for one in schema["anyOf"]):
            yield f"{place}: is none of {schema['anyOf']}"
        if isinstance(value, dict):
            yield from self.faults_of_object(value, schema, place)
        if isinstance(value, list) and "items" in schema:
            for i, item in enumerate(value):
                yield from self.faults(item, schema["items"], f"{place}[{i}]")

    def faults_of_object(self, value, schema, place):
        for key in schema.get("required", []):
            if key not in value:
                yield f"{place}: lacks {key}"
        others = schema.get("additionalProperties", True)
        for key, item in value.items():
            one = schema.get("properties", {}).get(key, others)
            if one is False:
                yield f"{place}: has {key}, which the schema lacks"
            elif one is not True:
                yield from self.faults(item, one, f"{place}.{key}")

    def check(self, method, path, status, kind, text):
        """The faults of a reply."""
        if path.startswith("/v1/models/"):
            path = "/v1/models/{id}"
        route = self.document["paths"].get(path, {}).get(method.lower())
        if route is None or method == "HEAD" or not text:
            return
        reply = route["responses"].get(str(status))
        kind = (kind or "").split(";")[0]
        if reply is None or kind not in reply["content"]:
            yield f"{method} {path}: {status} of {kind} is not described"
        elif kind == "application/json":
            yield from self.faults(json.loads(text),
                                   reply["content"][kind]["schema"],
                                   f"{method} {path} {status}")
