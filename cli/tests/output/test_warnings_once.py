"""A warning of the data is shown once by a command, however often it loads them."""

import warnings

from intel_cli.output.telling import each_once


def test_a_text_is_shown_once_and_another_as_well():
    shown = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = each_once(lambda message, *rest, **more: shown.append(str(message)))
        for text in ("grey", "grey", "far", "grey"):
            warnings.warn(text, stacklevel=1)
    assert shown == ["grey", "far"]
