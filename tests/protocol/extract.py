#!/usr/bin/env python3
"""Takes from the protocol's meta model what the tests compare messages with: the types.

usage: extract.py metaModel.json   (protocol/metaModel.json of microsoft/vscode-languageserver-node)
"""
import json
import pathlib
import sys

DROPPED = {"documentation", "since", "sinceTags", "deprecated", "typeName", "registrationOptions",
           "registrationMethod", "messageDirection", "clientCapability", "serverCapability", "errorData",
           "partialResult", "proposed"}


def slim(value):
    if isinstance(value, dict):
        # A property may be called as one of the keys that are dropped; it is an item of a list.
        return {key: slim(item) for key, item in value.items() if key not in DROPPED}
    if isinstance(value, list):
        return [slim(item) for item in value]
    return value


model = slim(json.loads(pathlib.Path(sys.argv[1]).read_text()))
target = pathlib.Path(__file__).parent / "meta_model.json"
text = json.dumps(model, separators=(",", ":")).replace("},{\"name\"", "},\n{\"name\"").replace("},{\"method\"", "},\n{\"method\"")
target.write_text(text + "\n")
