"""Are the specs of likelihood, latent and topology light, bounded and described?"""

import subprocess
import sys

import annotated_types
import pytest
from intel_metrics.specs import latent, likelihood, topology

from intel_core import SpecError, parse_spec
from intel_core.evaluation.metric import MetricSpec

SPECS = [getattr(module, name) for module in (latent, likelihood, topology) for name in module.__all__]


def test_importing_the_specs_does_not_import_torch():
    code = (
        "import sys; import intel_metrics.specs.latent, intel_metrics.specs.likelihood, intel_metrics.specs.topology;"
        "print([name for name in ('torch', 'numpy', 'scipy', 'gudhi') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
def test_every_field_has_a_bound_and_a_description(spec):
    assert issubclass(spec, MetricSpec)
    assert spec.cost in ("seconds", "minutes")
    for name, field in spec.model_fields.items():
        assert field.description, name
        assert any(isinstance(bound, annotated_types.Gt | annotated_types.Ge) for bound in field.metadata), name


def test_a_wrong_setting_is_named():
    with pytest.raises(SpecError, match="particles"):
        parse_spec("metrics", "likelihood:particles=1")
    with pytest.raises(SpecError, match="level"):
        parse_spec("metrics", "betti:level=1")
