import jsonschema
import pytest
import yaml

from al_loop.config import json_schema
from tests.support.configs import ROOT, SHIPPED


@pytest.fixture(scope="module")
def schema():
    return json_schema()


def test_the_schema_is_a_schema(schema):
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_the_schema_accepts_shipped_configs(schema, path):
    jsonschema.validate(yaml.safe_load(path.read_text()), schema)


@pytest.mark.parametrize(
    "change",
    [
        {"nmae": "x"},
        {"seed": "x"},
        {"sampler": {"steps": 0}},
        {"environment": {"kind": "nothing"}},
        {"environment": {"kind": "sequence", "alphabet": "AC", "lenght": 3}},
        {"constraints": [{"kind": "qed", "maximum": 3}]},
    ],
)
def test_the_schema_refuses_mistakes(schema, change):
    content = yaml.safe_load((ROOT / "configs" / "quickstart.yaml").read_text()) | change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema)
