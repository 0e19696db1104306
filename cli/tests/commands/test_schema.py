"""`intel schema`: the JSON Schema of a run, and of a component."""

import json


def test_schema(ok, call):
    run = json.loads(ok("schema").stdout)
    assert run == json.loads(ok("schema", "run").stdout)
    assert run["properties"]["latent"]["description"]
    assert run["additionalProperties"] is False
    halves = json.loads(ok("schema", "mapping", "halves").stdout)
    assert halves["properties"]["gap"]["maximum"] == 100
    assert json.loads(ok("schema", "mappings", "toys/halves").stdout) == halves
