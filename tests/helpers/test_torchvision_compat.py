"""Can torchvision be imported beside any build of torch, and is a complete one left alone?"""

import pytest


@pytest.fixture
def run(forked, tmp_path):
    """What a process prints that has torch but not torchvision."""

    def of(code):
        process = forked("-c", f"import sys; assert 'torchvision' not in sys.modules; {code}", cwd=tmp_path)
        printed, errors = process.communicate()
        assert process.returncode == 0, errors
        return printed.strip()

    return of


@pytest.mark.slow
def test_data_sets_and_transforms_can_be_imported(run):
    code = (
        "from intel_core.helpers.torchvision_compat import import_with_torchvision as get; "
        "print(get('torchvision.datasets').MNIST.__name__, get('torchvision.transforms').Resize(4).size)"
    )
    assert run(code) == "MNIST 4"


@pytest.mark.slow
def test_it_also_works_after_somebody_declared_the_operators(run):
    code = (
        "import torch; lib = torch.library.Library('torchvision', 'FRAGMENT')\n"
        "for op in ('nms', 'qnms'):\n"
        "    if not hasattr(torch.ops.torchvision, op):\n"
        "        lib.define(op + '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
        "from intel_core.helpers import torchvision_compat as compat\n"
        "compat._load_compiled_part = lambda: None\n"
        "compat.import_with_torchvision('torchvision'); print(len(compat._declared))"
    )
    assert run(code) == "0"


def test_a_torchvision_that_is_already_imported_is_left_alone(run):
    code = (
        "import sys, types; sys.modules['torchvision'] = types.ModuleType('torchvision')\n"
        "from intel_core.helpers import torchvision_compat as compat\n"
        "compat.import_with_torchvision('torchvision'); print(len(compat._declared))"
    )
    assert run(code) == "0"


def test_without_torchvision_the_error_is_pythons_own(run):
    code = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from intel_core.helpers.torchvision_compat import import_with_torchvision\n"
        "try: import_with_torchvision('torchvision.datasets')\n"
        "except ImportError as error: print(type(error).__name__)"
    )
    assert run(code) in ("ImportError", "ModuleNotFoundError")


@pytest.mark.parametrize("module", ["torchvision.no_such_part"])
def test_an_unknown_module_is_an_import_error(module):
    from intel_core.helpers.torchvision_compat import import_with_torchvision

    with pytest.raises(ImportError):
        import_with_torchvision(module)
