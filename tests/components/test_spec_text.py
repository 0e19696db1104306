"""The text form of specs: every text is understood or refused in a few words, and what is written reads back."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from intel_cli.arguments.fields import field_lines
from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo

from intel_core import MappingSpec, PluginError, SpecError, format_spec, parse_spec, register
from intel_core.components import discovery as plugins
from intel_core.components import loading
from intel_core.components.settings_file import read_settings
from intel_core.components.spec import ComponentSpec
from intel_core.likelihoods.specs import GaussianSpec
from intel_core.mappings.building import IdentitySpec
from intel_core.networks.specs import ConvSpec, MLPSpec
from intel_core.recipe.shipped import ELBOSpec
from intel_core.schedules import LinearScheduleSpec

CORE = [(kind, c.name) for kind in plugins.kinds() for c in plugins.available(kind) if c.distribution == plugins.CORE]


class Inner(BaseModel):
    words: tuple[str, ...] = ()
    depth: float = 0.5


class HardSpec(MappingSpec):
    """Fields whose values look like the grammar itself."""

    needed: str = Field(description="has no default")
    text: str = ""
    maybe: str | None = None
    maybe_not: str | None = "something"
    limit: int | None = 3
    flag: bool = False
    either: int | str = 0
    truth: bool | str = False
    number: int | float = 0
    words: tuple[str, ...] = ()
    pair: tuple[int, str] = (0, "")
    table: dict[str, float] = Field(default_factory=dict)
    nested: dict[str, tuple[tuple[float, ...], ...]] = Field(default_factory=dict)
    choice: Literal["null", "true", "a,b", " x", "1", "@x", '"'] = "null"
    inner: Inner = Inner()


@pytest.fixture(autouse=True, scope="module")
def hard() -> Iterator[None]:
    before = dict(plugins.registered)
    register("mappings", "hard", HardSpec)
    yield
    plugins.registered.clear()
    plugins.registered.update(before)


# --- specs from their fields -----------------------------------------------------------------------------------

NASTY = ["", " ", "null", "true", "1", "1.5", " a", "a ", "a,b=c", "[", "]", "{", '"', '""', "'", "\\", "=", "@f", ":"]
NASTY += [
    "a\nb",
    "\t",
    "\u00a0",
    "\u2028",
    "\x00",
    "\x1f",
    "é",
    "日本",
    "😀",
    "NaN",
    "[1]",
    '{"a":1}',
    "a:b",
    "x/y",
    "\ufeff",
]
words = st.one_of(st.sampled_from(NASTY), st.text(alphabet='ab1,=[]{}"\\:@/ \n\té', max_size=8), st.text(max_size=8))


def values(annotation: Any, metadata: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """Values of a field's type, within the bounds that its metadata gives."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [m for item in arguments[1:] for m in (item.metadata if isinstance(item, FieldInfo) else [item])]
        return values(arguments[0], (*inner, *metadata))
    bounds = {key: getattr(item, key) for item in metadata for key in _BOUNDS if hasattr(item, key)}
    sizes = {"min_size": bounds.get("min_length", 0), "max_size": min(bounds.get("max_length", 4), 4)}
    if origin in (Union, UnionType):
        return st.one_of([values(argument, metadata) for argument in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values(arguments[0]), **sizes).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values, arguments))
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=3)
    if annotation is float:
        low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
        open_ends = {"exclude_min": "gt" in bounds, "exclude_max": "lt" in bounds}
        return st.floats(low, high, allow_nan=False, allow_infinity=False, **open_ends)
    if annotation is int:
        low = bounds.get("ge", bounds["gt"] + 1 if "gt" in bounds else None)
        return st.integers(low, bounds.get("le", bounds["lt"] - 1 if "lt" in bounds else None))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return specs(annotation)
    return {bool: st.booleans(), str: words, type(None): st.none()}[annotation]


_BOUNDS = ("ge", "gt", "le", "lt", "min_length", "max_length")


def specs(spec_class: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Specs of a class: every subset of its fields that is enough, any value within their bounds."""
    fields = spec_class.model_fields
    required = {k: values(f.annotation, tuple(f.metadata)) for k, f in fields.items() if f.is_required()}
    optional = {k: values(f.annotation, tuple(f.metadata)) for k, f in fields.items() if not f.is_required()}

    def build(given_values: dict[str, Any]) -> BaseModel:
        try:
            return spec_class.model_validate(given_values)
        except ValidationError:
            assume(False)
            raise

    return st.fixed_dictionaries(required, optional=optional).map(build)


def check_round_trip(kind: str, spec: ComponentSpec, explicit: bool) -> None:
    text = format_spec(spec, explicit=explicit)
    again = parse_spec(kind, text)
    assert again == spec
    assert type(again) is type(spec)
    assert parse_spec(kind, f"  {text}\n") == spec
    if explicit:
        assert again.model_fields_set == set(type(spec).model_fields)


@pytest.mark.promptly(every=2)
@pytest.mark.parametrize(("kind", "name"), CORE, ids=lambda word: word)
@given(data=st.data(), explicit=st.booleans())
def test_a_written_spec_reads_back(kind: str, name: str, data: st.DataObject, explicit: bool) -> None:
    check_round_trip(kind, data.draw(specs(loading.load(kind, name))), explicit)


@given(spec=specs(HardSpec), explicit=st.booleans())
@settings(max_examples=3 * settings.default.max_examples, suppress_health_check=[HealthCheck.too_slow])
def test_a_spec_whose_values_look_like_the_grammar_reads_back(spec: HardSpec, explicit: bool) -> None:
    check_round_trip("mappings", spec, explicit)


@pytest.mark.parametrize("text", NASTY)
def test_each_nasty_text_reads_back_alone(text: str) -> None:
    check_round_trip("mappings", HardSpec(needed=text, maybe=text, maybe_not=None, words=(text, text)), False)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (IdentitySpec(), "identity"),
        (IdentitySpec(dims=(0, 2)), "identity:dims=[0,2]"),
        (ELBOSpec(beta=1.0), "elbo"),
        (ELBOSpec(beta=4), "elbo:beta=4.0"),
        (MLPSpec(hidden=(8,), activation="tanh"), "mlp:hidden=[8],activation=tanh"),
        (ConvSpec(last_stride=2), "conv:last_stride=2"),
        (HardSpec(needed="plain"), "hard:needed=plain"),
        (HardSpec(needed="a,b", text="null"), 'hard:needed="a,b",text="null"'),
        (HardSpec(needed=" a", text=""), 'hard:needed=" a"'),
        (HardSpec(needed="x", maybe_not=None, limit=None), "hard:needed=x,maybe_not=null,limit=null"),
        (HardSpec(needed="x", either=1), "hard:needed=x,either=1"),
    ],
    ids=repr,
)
def test_text_of_a_spec(spec: ComponentSpec, text: str) -> None:
    if spec == HardSpec(needed="x", either=1):  # 1 as a bareword is the string, so only JSON can say the number
        assert json.loads(format_spec(spec).partition(":")[2])["either"] == 1
    else:
        assert format_spec(spec) == text
        assert str(spec) == text
    assert parse_spec(spec.kind, format_spec(spec)) == spec


def test_explicit_text_names_every_field() -> None:
    text = format_spec(GaussianSpec(), explicit=True)
    assert text == "gaussian:variance=learned,scale=1.0,floor=0.001"


def test_a_spec_of_a_stranger_is_written_under_no_name() -> None:
    class Stranger(MappingSpec):
        """Not registered."""

    with pytest.raises(PluginError, match=r"Stranger is registered under no name.*register\('mappings', NAME, Str"):
        format_spec(Stranger())


# --- what reads as what ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("hard:needed=1", "needed", "1"),
        ("hard:needed=x,maybe_not=null", "maybe_not", None),
        ('hard:needed="null"', "needed", "null"),
        ("hard:needed=", "needed", ""),
        ("hard:needed=a=b", "needed", "a=b"),
        ("hard:needed=a:b", "needed", "a:b"),
        ("hard:needed=@a", "needed", "@a"),
        ("hard: needed = a b , flag = true", "needed", "a b"),
        ("hard:needed=x,flag=true", "flag", True),
        ("hard:needed=x,flag=0", "flag", False),
        ('hard:needed=x,words=["a,b", "c"] ,flag=true', "words", ("a,b", "c")),
        ("hard:needed=x,words=\t[]", "words", ()),
        ("hard:needed=x,words=[a, b c,_d-1.2],flag=true", "words", ("a", "b c", "_d-1.2")),
        ("hard:needed=x,words=[Größe]", "words", ("Größe",)),
        ('hard:needed=x,table={"a":1,"b":2.5}', "table", {"a": 1.0, "b": 2.5}),
        ('hard:{"needed": "x", "either": 7}', "either", 7),
        ("hard:needed=x,either=7", "either", "7"),
        ("hard:needed=x,pair=[1,\"a\"]", "pair", (1, "a")),
        ('hard:needed=x,inner={"words":["q"]}', "inner", Inner(words=("q",))),
        ("this-process/hard:needed=x", "needed", "x"),
        ("identity:dims=0-2", "dims", (0, 1, 2)),
        ("identity:dims=3", "dims", (3,)),
        ("identity:dims=3-3", "dims", (3,)),
        ("identity:dims=[4,0]", "dims", (4, 0)),
        ('identity:{"dims": 1}', "dims", (1,)),
        ('identity:{"dims": "0-1"}', "dims", (0, 1)),
        ("identity:dims=null", "dims", None),
    ],
)  # fmt: skip
def test_reading(text: str, field: str, value: object) -> None:
    assert getattr(parse_spec("mappings", text), field) == value


@pytest.mark.parametrize("kind", ["objective", "objectives"])
def test_singular_and_plural_kinds(kind: str) -> None:
    assert parse_spec(kind, "elbo") == ELBOSpec()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("a.yaml", "steps: 10\nend: 2.5\n"),
        ("a.json", '{"steps": 10, "end": 2.5}'),
        ("with, comma=and [bracket].yaml", "{steps: 10, end: 2.5}"),
    ],
)
def test_settings_from_a_file(tmp_path: Path, file: str, content: str) -> None:
    (tmp_path / file).write_text(content)
    assert parse_spec("schedules", f"linear:@{tmp_path / file}") == LinearScheduleSpec(steps=10, end=2.5)


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# nothing\n")
    assert parse_spec("objectives", f"elbo:@{tmp_path / 'a.yaml'}") == ELBOSpec()


def test_a_file_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "a.yaml").write_text("beta: 3")
    assert parse_spec("objectives", "elbo:@~/a.yaml") == ELBOSpec(beta=3)


# --- refusals --------------------------------------------------------------------------------------------------


def refusal(kind: str, text: str) -> SpecError | None:
    """The error of a text, if it has one, after checking that it can be shown to people."""
    try:
        assert isinstance(parse_spec(kind, text), ComponentSpec)
        return None
    except SpecError as caught:
        error = caught
    lines = str(error).split("\n")
    assert 1 <= len(lines) <= 4
    assert all(0 < len(line) <= 1000 for line in lines), len(str(error))
    assert all(line.isprintable() for line in lines), repr(str(error))
    return error


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("objectives", "", r"^'' names no component; write name or name:key=value$"),
        ("objectives", ":beta=1", r"^':beta=1' names no component"),
        ("objectives", "elb", r"^no objective is called 'elb'; did you mean 'elbo'\? \(objectives: dd, elbo, iwae\)$"),
        ("objectives", "zzzz", r"^no objective is called 'zzzz'; objectives: dd, elbo, iwae$"),
        ("objectives", "nowhere/elbo", r"^no objective is called 'nowhere/elbo'; "),
        ("mappings", "elbo", r"^no mapping is called 'elbo'"),
        ("objectives", "iwae:particle=2", r"^iwae has no key 'particle'; did you mean 'particles'\? \(keys: p"),
        ("objectives", 'iwae:{"particle": 2}', r"^iwae has no key 'particle'; did you mean 'particles'"),
        ("objectives", "iwae:particles=0", r"^iwae: particles=0: input should be greater than or equal to 1$"),
        ("objectives", "iwae:particles=many", r"^iwae: particles=many: input should be a valid integer"),
        ("objectives", "iwae:particles=[1]", r"^iwae: particles=\[1\]: input should be a valid integer$"),
        ("objectives", "iwae:particles=null", r"^iwae: particles=null: input should be a valid integer$"),
        ("objectives", "iwae:particles=", r"^iwae: particles=: input should be a valid integer"),
        ("objectives", "elbo:beta=nan", r"^elbo: beta=nan: input should be a finite number$"),
        ("objectives", "elbo:beta=inf", r"^elbo: beta=inf: input should be a finite number$"),
        ("objectives", 'elbo:{"beta": 1e999}', r"^elbo: beta=Infinity: input should be a finite number$"),
        ("likelihoods", "gaussian:variance=big", r"^gaussian: variance=big: input should be 'fixed', 'shared' or 'lea"),
        ("schedules", "linear", r"^linear: steps is required$"),
        ("schedules", "linear:end=1", r"^linear: steps is required$"),
        ("schedules", "linear:steps=1,start=-1,end=-1,delay=-1", r"^linear: start=-1: .*; end=-1: .*; delay=-1: "),
        ("networks", "mlp:hidden=64", r"^mlp: hidden=64: expected a list such as \[1,2\]$"),
        ("networks", "mlp:hidden=[1,-1]", r"^mlp: hidden\.1=-1: input should be greater than 0$"),
        ("networks", "conv:channels=[-1,-1,-1,-1]", r"; channels\.2=-1: .* greater than 0 \(and 2 more\)$"),
        ("networks", "conv:last_stride=3", r"^conv: last_stride=3: input should be 1 or 2$"),
        ("networks", "conv:last_stride=two", r"^conv: last_stride=two: input should be 1 or 2$"),
        ("networks", "conv:last_stride=" + "9" * 5000, r"^conv: last_stride=9{40}…: input should be 1 or 2$"),
        ("networks", "mlp:", r"^mlp: nothing after the colon; write mlp or mlp:key=value$"),
        ("networks", "mlp:relu", r"^mlp: expected key=value, found 'relu'\n    relu\n    \^$"),
        ("networks", "mlp:hidden=[1],relu", r"^mlp: expected key=value, found 'relu'\n    hidden=\[1\],relu\n {15}\^$"),
        ("networks", "mlp:hidden=[1],", r"^mlp: expected key=value, found ''\n    hidden=\[1\],\n {15}\^$"),
        ("networks", "mlp:=3", r"^mlp: a key is missing before '='\n    =3\n    \^$"),
        ("networks", "mlp:activation=elu,activation=elu", r"^mlp: key 'activation' is given twice\n.*\n {19}\^$"),
        ("networks", "mlp:hidden=[8,a]", r"^mlp: not valid JSON \(.*\); inside brackets, words need.*\n.*\n {14}\^"),
        ("networks", "mlp:hidden=[8", r"^mlp: not valid JSON \(Expecting ',' delimiter\).*\n    hidden=\[8\n {13}\^$"),
        ("networks", "mlp:hidden=[8] 9", r"^mlp: expected a comma after the value\n    hidden=\[8\] 9\n {15}\^$"),
        ("networks", 'mlp:{"hidden": [8]} x', r"^mlp: unexpected text after the JSON object\n.*\n {19}\^$"),
        ("networks", 'mlp:{"hidden": [8]', r"^mlp: not valid JSON"),
        ("networks", "mlp:@nowhere.yaml", r"^no file 'nowhere\.yaml'$"),
        ("networks", "mlp:@", r"^'\.' is no file$"),
        ("networks", "mlp:@~nobody-of-that-name/x", r"^'~nobody-of-that-name/x' cannot be read: Could not determi"),
        ("networks", "mlp:@" + "x" * 5000, r"^'x{199}…' cannot be read: File name too long$"),
        ("mappings", "identity:dims=2-1", r"^identity: dims=2-1: '2-1' is an empty or too large range$"),
        ("mappings", "identity:dims=0-999999999999", r"^identity: dims=.*: '0-999999999999' is an empty or too large"),
        ("mappings", "identity:dims=-1", r"^identity: dims=-1: '-1' is neither a range such as 0-1 nor a list such as"),
        ("mappings", "identity:dims=" + "x" * 9000, r": 'x{60}…' is neither a range such as 0-1 nor a list"),
        ("mappings", "identity:dims=[-1]", r"^identity: dims\.0=-1: input should be greater than or equal to 0"),
        ("mappings", "identity:dims=[]", r"^identity: dims=\[\]: tuple should have at least 1 item"),
        ("mappings", "identity:dims=true", r"^identity: dims=true: 'true' is neither"),
        ("mappings", 'identity:{"dims": true}', r"^identity: dims=true: expected a list such as \[1,2\]$"),
        ("mappings", "hard:needed=x,y", r"^hard: expected key=value, found 'y'; a list is written needed=\[x,y\]\n"),
        ("mappings", "hard:needed=x,words=[a,1]", r"^hard: not valid JSON .*; inside brackets, words need double"),
        ("datasets", "memory:examples=4", r"^memory: shape is required$"),
    ],
)  # fmt: skip
def test_refusals(kind: str, text: str, message: str) -> None:
    error = refusal(kind, text)
    assert error is not None
    assert re.search(message, str(error)), str(error)


def test_unknown_kind() -> None:
    with pytest.raises(SpecError, match=r"no kind of component is called 'mapings'; did you mean 'mappings'\?"):
        parse_spec("mapings", "identity")


@pytest.mark.parametrize("thing", [None, 3, b"elbo", ["elbo"]])
def test_what_is_no_text(thing: Any) -> None:
    with pytest.raises(SpecError, match=f"not {type(thing).__name__}$"):
        parse_spec("objectives", thing)


HUGE = "9" * 4000
EXTREMES = [
    "x" * 90_000,
    "x" * 200_000,
    "mlp:" + "x" * 90_000 + "=1",
    "mlp:hidden=" + "x" * 90_000,
    "mlp:{" + ",".join(f'"key{i}":{i}' for i in range(4000)) + "}",
    "mlp:hidden=[" + ",".join(f'"{"w" * 100}{i}"' for i in range(900)) + "]",
    'mlp:hidden={"' + "k" * 90_000 + '":1}',
    "mlp:activation=a\n\n\n\n\n\nb",
    "mlp:activation=\x1b[31mred",
    "mlp:activation=\x00",
    "mlp:activation=\ud800",
    'mlp:activation="\\ud800"',
    "mlp:\ud800=1",
    "mlp:\x00=1",
    "\ud800",
    "\x00",
    "m\nl\np\n:\n\n\n",
    "mlp:@\x00",
    "mlp:@\ud800",
    "mlp:@/dev/zero",
    "mlp:hidden=[NaN]",
    f"mlp:hidden=[{HUGE}{HUGE}]",
    f"mlp:hidden={HUGE}{HUGE}",
    *("mlp:hidden=" + "[" * depth + "]" * depth for depth in (50, 300, 900, 1000, 3000, 40_000)),
    *('mlp:hidden={"a":' * 1 + '{"a":' * depth + "1" + "}" * depth + "}" for depth in (50, 300, 900, 1000, 3000)),
]


@pytest.mark.parametrize("text", EXTREMES, ids=lambda text: ascii(text[:24]))
def test_extremes_are_refused_in_a_few_words(text: str) -> None:
    assert refusal("networks", text) is not None


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("objectives", f"iwae:particles={HUGE}"),
        ("objectives", f'iwae:{{"particles":{HUGE}}}'),
        ("objectives", f"iwae:particles={HUGE}{HUGE}"),
        ("objectives", f'elbo:{{"beta":{HUGE}}}'),
        ("mappings", "identity:dims=" + "x" * 9000),
        ("mappings", f"identity:dims=0-{HUGE}{HUGE}"),
        ("mappings", "hard:needed=x,table={" + ",".join(f'"{"k" * 300}{i}":"x"' for i in range(100)) + "}"),
    ],
    ids=lambda text: ascii(text[:24]),
)
def test_huge_values_are_refused_in_a_few_words(kind: str, text: str) -> None:
    assert refusal(kind, text) is not None


@pytest.mark.parametrize(
    "content",
    [
        "steps: !!timestamp noon",
        'steps: !!int ""',
        "steps: !!bool maybe",
        "steps: !!float ''",
        "steps: !!python/object/apply:os.getcwd []",
        "steps: &a [*a]",
        "steps: {2020-01-01: 3}",
        "delay: 0\nsteps: -0x" + "f" * 9000,
        "steps: !!set {a, b}",
        "steps: !!binary aGk=",
        "steps: [" * 2000,
        "[1, 2]",
        "just words",
        "1: 2",
        "\x00",
        "a: &a [x]\n" + "".join(f"a{i}: &a{i} [{','.join(['*a'] * 9)}]\n" for i in range(9)),
        "start: &a0 [0,0]\n" + "".join(f"end: &a{i + 1} [{','.join([f'*a{i}'] * 9)}]\n" for i in range(40)),
    ],
    ids=lambda content: ascii(content[:24]),
)
def test_files_are_refused_in_a_few_words(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.yaml").write_text(content)
    assert refusal("schedules", f"linear:@{tmp_path / 'a.yaml'}") is not None


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in str(refusal("schedules", f"linear:@{tmp_path / 'a.yaml'}"))


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("a.yaml", "start: 0\nsteps: 5\nstart: 1\n", "1 and 3"),
        ("a.yaml", "{start: 0, start: 1}", "1 and 1"),
        ("a.json", '{"start": 0,\n "steps": 5,\n "start": 1}', "1 and 3"),
        ("a.yaml", "steps: 5\nend:\n  start: 1\n  start: 2\n", "3 and 4"),
    ],
)
def test_a_key_that_a_file_gives_twice(tmp_path: Path, name: str, content: str, lines: str) -> None:
    (tmp_path / name).write_text(content)
    said = str(refusal("schedules", f"linear:@{tmp_path / name}"))
    assert said.endswith(f"{name}' cannot be read: 'start' is given twice, in lines {lines}")


def test_keys_of_a_file_are_words(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("on: 3")  # which is a truth value in YAML
    assert "key True is no word" in str(refusal("schedules", f"linear:@{tmp_path / 'a.yaml'}"))


@given(content=st.one_of(st.text(), st.text(alphabet="a:{}[]&*!'\"-?|>%@`#,0x \n\t=<", max_size=40), st.binary()))
@settings(max_examples=3 * settings.default.max_examples, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_gives_settings_or_a_spec_error(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    try:
        found: object = read_settings(path)
    except SpecError as error:
        found = error
    assert isinstance(found, dict) or len(str(found)) < 1000


@pytest.mark.parametrize("problem", ["KeyError", "TypeError", "RecursionError"])
def test_a_validator_with_a_bug_is_the_plugin_s_fault(problem: str) -> None:
    class Buggy(MappingSpec):
        """Raises what validators must not raise."""

        k: int = 1

        @field_validator("k")
        @classmethod
        def check(cls, k: int) -> int:
            raise {"KeyError": KeyError, "TypeError": TypeError, "RecursionError": RecursionError}[problem]("oops")

    register("mappings", "buggy", Buggy)
    with pytest.raises(PluginError, match=f"^buggy: its spec raised {problem}: ") as caught:
        parse_spec("mappings", "buggy:k=2")
    assert type(caught.value.__cause__).__name__ == problem


def test_what_a_validator_says_is_shown_on_one_line() -> None:
    class Wordy(MappingSpec):
        """Explains itself at length."""

        k: int = 1

        @field_validator("k")
        @classmethod
        def check(cls, k: int) -> int:
            raise ValueError("K is odd\n\x1b[31mand" + " very" * 1000)

    register("mappings", "wordy", Wordy)
    error = refusal("mappings", "wordy:k=2")
    assert str(error).startswith("wordy: k=2: k is odd ?[31mand very")
    assert len(str(error)) < 300


# --- any text at all -------------------------------------------------------------------------------------------

MARKS = st.sampled_from([":", ",", "=", "@", "{", "}", "[", "]", '"', " ", "\n", "\x00", "\ud800", "/", "null", "\\"])


@st.composite
def almost_specs(draw: st.DrawFn) -> tuple[str, str]:
    """A text near the grammar: a known name, known or odd keys, fitting or odd values, and one accident."""
    kind, name = draw(st.sampled_from([*CORE, ("mappings", "hard")]))
    keys = st.sampled_from([*loading.load(kind, name).model_fields, "dims", "", "odd", "Beta"])
    json_value = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | words,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
        max_leaves=6,
    )
    value = st.one_of(st.integers().map(str), st.floats().map(str), words, json_value.map(json.dumps))
    if draw(st.booleans()):
        pairs = draw(st.lists(st.tuples(keys, value), max_size=4))
        body = ",".join(f"{key}={item}" for key, item in pairs)
    else:
        body = json.dumps(draw(st.dictionaries(keys, json_value, max_size=3)))
    text = f"{name}:{body}"
    where = draw(st.integers(0, len(text)))
    gap = draw(st.integers(0, 2))
    accident = draw(st.one_of(st.just(""), MARKS))
    return kind, text[:where] + accident + text[where + (gap if accident else 0) :]


@pytest.mark.parametrize("kind", plugins.kinds())
@given(text=st.text(alphabet=st.characters()) | st.lists(MARKS).map("".join))
def test_any_text_gives_a_spec_or_a_spec_error(kind: str, text: str) -> None:
    refusal(kind, text)


@given(case=almost_specs())
@settings(max_examples=4 * settings.default.max_examples)
def test_any_text_near_the_grammar_gives_a_spec_or_a_spec_error(case: tuple[str, str]) -> None:
    kind, text = case
    refusal(kind, text)


@given(case=almost_specs())
def test_what_was_read_reads_back(case: tuple[str, str]) -> None:
    kind, text = case
    try:
        spec = parse_spec(kind, text)
    except SpecError:
        return
    check_round_trip(kind, spec, explicit=False)


# --- what a spec is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), CORE, ids=lambda word: word)
def test_every_field_is_described_and_bounded_by_type(kind: str, name: str) -> None:
    spec_class = loading.load(kind, name)
    assert (spec_class.__doc__ or "").strip()
    for key, type_name, default, description in field_lines(spec_class):
        assert key in spec_class.model_fields
        assert type_name not in ("", "any")
        assert default
        assert description or spec_class.__name__ == "MemorySpec"


def test_a_spec_is_frozen_and_strict() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ELBOSpec().beta = 2.0
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        ELBOSpec(gamma=2.0)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="finite"):
        ELBOSpec(beta=math.nan)


def test_field_lines() -> None:
    lines = {name: (kind, default) for name, kind, default, _ in field_lines(HardSpec)}
    assert lines["needed"] == ("string", "required")
    assert lines["limit"] == ("integer", "3")
    assert lines["either"] == ("integer or string", "0")
    assert lines["words"] == ("[string, …]", "[]")
    assert lines["choice"][0].startswith("null|true|")


def test_what_a_validator_fills_in_is_not_written() -> None:
    """The explicit text says every field; the short one of the same spec only what a user would type."""
    spec = parse_spec("mappings", "cluster:k=2,learnable=false")
    again = parse_spec("mappings", format_spec(spec, explicit=True))
    assert again == spec
    assert str(again) == "cluster:k=2,learnable=false"
    assert str(parse_spec("mappings", "cluster:k=2,learnable=false,c2=0.3")) == "cluster:k=2,c2=0.3,learnable=false"


def test_a_comma_instead_of_the_colon_is_told_with_what_to_write():
    with pytest.raises(SpecError, match=r"settings come after a colon: iwae:particles=3"):
        parse_spec("objectives", "iwae,particles=3")
