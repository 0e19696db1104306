"""Numbers are written short, wherever they are shown."""


def test_numbers_are_short():
    from intel_cli.output.console import number

    assert number(True) == "true"
    assert number([[1, 2], [3.14159, None]]) == "1, 2\n3.14, none"
    assert number(list(range(20))).endswith("… (20)")
    assert number({"a": 123.456}) == "a: 123.46"
