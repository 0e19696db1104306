"""Whatever is wrong with the data or the settings is told in a line or two, with exit status 2, and leaves nothing."""

import errno
import gzip
import json
import pickle
import warnings

import numpy as np
import pytest

R = np.random.default_rng(0)
X = R.normal(size=(40, 3))
HUGE = "would take about"


class Exploit:
    def __reduce__(self):
        import pathlib

        return (pathlib.Path.touch, (pathlib.Path("executed"),))


def spoiled(value, row=7):
    x = X.copy()
    x[row, 1] = value
    return x


def npy(**arrays):
    return lambda here: [np.save(here / f"{name}.npy", array) for name, array in arrays.items()]


def npz(**arrays):
    return lambda here: np.savez(here / "x.npz", **arrays)


def text(name, content):
    return lambda here: (here / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def cut(make, name, share=0.5):
    def write(here):
        make(here)
        path = here / name
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])

    return write


def objects(here):
    np.save(here / "x.npy", np.array([Exploit()] * 8, dtype=object), allow_pickle=True)


def image(name, size, mode="L", make=None):
    from PIL import Image

    def write(here):
        path = here / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, color=0 if mode != "L" else len(name)).save(path)

    return write


def both(*writers):
    return lambda here: [write(here) for write in writers]


def sound_images(here):
    """Enough of them to train on, beside the one that is wrong."""
    for name in "acdef":
        image(f"{name}.png", (8, 8))(here)


def mnist(content):
    def write(here):
        raw = here / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for kind in ("train", "t10k"):
            for what in ("images-idx3", "labels-idx1"):
                (raw / f"{kind}-{what}-ubyte").write_bytes(content)

    return write


def rows(*lines):
    return "\n".join(lines) + "\n"


TABLE = rows("a,b,kind", *(f"{i},{i * i},{'uvw'[i % 3]}" for i in range(30)))
INVALID = gzip.compress(b"not an image")[:20]
POINTS = ("--data", "toy_points")
# name: files, options of intel train, what is said
CASES = {
    # --- values
    "NaN": (npy(x=spoiled(np.nan)), ("--data", "x.npy"), "1 of 40 examples hold NaN or infinity, the first is row 7"),
    "infinity": (npy(x=spoiled(np.inf)), ("--data", "x.npy"), "NaN or infinity"),
    "too large for float32": (npy(x=spoiled(1e300)), ("--data", "x.npy"), "1 of 40 examples hold values beyond"),
    "constant": (npy(x=np.ones((40, 3))), ("--data", "x.npy"), "constant data cannot be modelled"),
    "black images": (npy(x=np.zeros((40, 8, 8), np.uint8)), ("--data", "x.npy"), "constant data"),
    "complex": (npy(x=X * 1j), ("--data", "x.npy"), "complex"),
    "words": (npy(x=np.array([["a", "b"]] * 9)), ("--data", "x.npy"), "expected numbers"),
    "dates": (npy(x=np.zeros((9, 2), "datetime64[s]")), ("--data", "x.npy"), "expected numbers"),
    "records": (npy(x=np.zeros(9, [("a", "f4"), ("b", "U4")])), ("--data", "x.npy"), "expected numbers"),
    # --- shapes
    "no dimension": (npy(x=np.float32(3)), ("--data", "x.npy"), "shape"),
    "five dimensions": (npy(x=np.ones((5, 1, 1, 2, 2))), ("--data", "x.npy"), "expected (n, D)"),
    "no example": (npy(x=np.ones((0, 3))), ("--data", "x.npy"), "0 examples are too few"),
    "one example": (npy(x=np.ones((1, 3))), ("--data", "x.npy"), "1 examples are too few"),
    "three examples": (npy(x=X[:3]), ("--data", "x.npy"), "at least 4"),
    "empty examples": (npy(x=np.ones((9, 0))), ("--data", "x.npy"), "are empty"),
    # --- damaged and odd files
    "cut npy": (cut(npy(x=X), "x.npy"), ("--data", "x.npy"), "x.npy cannot be read"),
    "empty npy": (text("x.npy", ""), ("--data", "x.npy"), "x.npy cannot be read"),
    "cut header": (cut(npy(x=X), "x.npy", 0.05), ("--data", "x.npy"), "x.npy cannot be read"),
    "text as npy": (text("x.npy", "hello there"), ("--data", "x.npy"), "x.npy"),
    "pickle as npy": (text("x.npy", pickle.dumps(Exploit())), ("--data", "x.npy"), "never loaded"),
    "objects": (objects, ("--data", "x.npy"), "pickled objects are never loaded"),
    "pickle as npz": (text("x.npz", pickle.dumps(Exploit())), ("--data", "x.npz"), "never loaded"),
    "cut npz": (cut(npz(x=X), "x.npz"), ("--data", "x.npz"), "x.npz cannot be read"),
    "several arrays": (npz(a=X, b=X), ("--data", "x.npz"), "choose one with key="),
    "no such key": (npz(train=X, b=X), ("--data", "x.npz:key=trian"), "did you mean 'train'?"),
    "npz by content": (both(npz(x=X), lambda h: (h / "x.npz").rename(h / "y.npy")), ("--data", "y.npy"), "rename it"),
    "a folder as a file": (lambda h: (h / "x.npy").mkdir(), ("--data", "arrays:path=x.npy"), "is a folder, expected"),
    "a file as a folder": (text("pictures", ""), ("--data", "images:path=pictures"), "is a file, expected a folder"),
    "a device as a file": (None, ("--data", "arrays:path=/dev/null"), "no file, but a device"),
    "no file": (None, ("--data", "arrays:path=nothing.npy"), "no file nothing.npy"),
    "nearly that file": (npy(mydata=X), ("--data", "arrays:path=mydta.npy"), "did you mean 'mydata.npy'?"),
    "odd suffix": (text("x.txt", "1 2"), ("--data", "arrays:path=x.txt"), "expected .npy or .npz"),
    "damaged mnist": (mnist(INVALID), ("--data", "mnist:download=false", "--data-dir", "."), "is damaged"),
    "empty mnist": (mnist(b""), ("--data", "mnist:download=false", "--data-dir", "."), "is damaged"),
    "no mnist": (None, ("--data", "mnist:download=false", "--data-dir", "."), "are not in MNIST/raw"),
    # --- labels
    "too few labels": (
        npy(x=X, y=np.arange(39)),
        ("--data", "arrays:path=x.npy,labels=y.npy"),
        "labels of shape (39,)",
    ),
    "fractions": (npy(x=X, y=X[:, 0]), ("--data", "arrays:path=x.npy,labels=y.npy"), "labels must be whole numbers"),
    "a NaN label": (
        npy(x=X, y=np.r_[np.nan, np.zeros(39)]),
        ("--data", "arrays:path=x.npy,labels=y.npy"),
        "but nan is in row 0",
    ),
    "labels in two columns": (npy(x=X, y=X[:, :2]), ("--data", "arrays:path=x.npy,labels=y.npy"), "expected (40,)"),
    "labels missing": (npy(x=X), ("--data", "arrays:path=x.npy,labels=y.npy"), "no file y.npy"),
    "no such label": (text("t.csv", TABLE), ("--data", "t.csv:label=knid"), "did you mean 'kind'?"),
    "a missing label": (text("t.csv", TABLE + "1,2,\n"), ("--data", "t.csv:label=kind"), "labels are missing"),
    # --- tables
    "empty table": (text("t.csv", ""), ("--data", "t.csv"), "t.csv cannot be read"),
    "a line of names only": (text("t.csv", "a,b\n"), ("--data", "t.csv"), "has 0 rows"),
    "one row": (text("t.csv", "a,b\n1,2\n"), ("--data", "t.csv"), "too few"),
    "a column of words": (text("t.csv", TABLE), ("--data", "t.csv"), "column 'kind' of t.csv is not numeric"),
    "a gap": (text("t.csv", TABLE + "1,,u\n"), ("--data", "t.csv:label=kind"), "column 'b' of t.csv has 1 missing"),
    "inf in a table": (
        text("t.csv", TABLE + "inf,1,u\n"),
        ("--data", "t.csv:label=kind"),
        "'a' of t.csv has 1 infinite",
    ),
    "a constant column": (
        text("t.csv", rows("a,b", *(f"{i},5" for i in range(30)))),
        ("--data", "t.csv"),
        "'b' of t.csv has the same value",
    ),
    "no names": (text("t.csv", rows(*(f"{i},{i * i}" for i in range(30)))), ("--data", "t.csv"), "say header=false"),
    "ragged": (text("t.csv", TABLE + "1,2,u,4,5\n"), ("--data", "t.csv:label=kind"), "t.csv cannot be read"),
    "binary": (text("t.csv", b"\xff\xfe\x00\x01" * 30), ("--data", "t.csv"), "t.csv"),
    "twice a name": (text("t.tsv", "a\ta\n1\t2\n"), ("--data", "t.tsv"), "t.tsv"),
    "text as parquet": (text("t.parquet", TABLE), ("--data", "t.parquet"), "t.parquet cannot be read"),
    "nothing left": (
        text("t.csv", TABLE),
        ("--data", "t.csv:drop=[a,b],label=kind"),
        "no column of t.csv is left to model; it has a",
    ),
    # --- images
    "no image": (lambda h: (h / "pictures").mkdir(), ("--data", "pictures"), "no image in"),
    "sizes": (both(sound_images, image("b.png", (9, 8))), ("--data", "pictures"), "give one size for all"),
    "a cut image": (
        both(sound_images, cut(image("b.png", (64, 64)), "pictures/b.png")),
        ("--data", "pictures"),
        "b.png cannot be read",
    ),
    "no image by content": (
        both(sound_images, text("pictures/b.png", "hello")),
        ("--data", "pictures"),
        "b.png cannot be read",
    ),
    "deep images": (both(sound_images, image("a.png", (8, 8), "I;16")), ("--data", "pictures"), "more than 8 bits"),
    "images and classes": (both(image("a.png", (8, 8)), image("cat/b.png", (8, 8))), ("--data", "pictures"), "both"),
    "two images": (
        both(image("a.png", (8, 8)), image("bb.png", (8, 8))),
        ("--data", "pictures"),
        "at least 4 are needed",
    ),
    # --- more than there is room for
    "latent 1e9": (None, (*POINTS, "--latent", "1000000000"), "latent=1000000000"),
    "a hidden layer of 1e8": (None, (*POINTS, "--network", "mlp:hidden=[100000000,100000000]"), HUGE),
    "a hidden layer of 1e30": (None, (*POINTS, "--network", f"mlp:hidden=[1{'0' * 30}]"), "less than or equal"),
    "33 layers": (None, (*POINTS, "--network", f"mlp:hidden={[1] * 33}"), "at most 32"),
    "no width": (None, (*POINTS, "--network", "mlp:hidden=[0]"), "hidden"),
    "channels": (
        None,
        ("--data", "toy_images", "--network", "conv:channels=[1000000,1000000]"),
        HUGE,
    ),
    "a hierarchy of 1e5": (None, (*POINTS, "--latent", "100000", "--mapping", "hierarchy:levels=2"), HUGE),
    "batch 1e9": (None, (*POINTS, "--batch-size", "1000000000"), "batch_size=1000000000"),
    "particles 1e9": (None, (*POINTS, "--objective", "iwae:particles=1000000000"), "particles=1000000000"),
    "points 1e12": (None, ("--data", "circle:n=1000000000000"), "n=1000000000000"),
    "steps 1e12": (None, (*POINTS, "--steps", "1000000000000"), "steps=1000000000000"),
    "epochs 1e12": (None, (*POINTS, "--epochs", "1000000000000"), "epochs=1000000000000"),
    "epochs that are too many steps": (
        None,
        ("--data", "circle:n=10000", "--epochs", "10000000", "--batch-size", "1"),
        "100,000,000,000 steps; at most 1,000,000,000",
    ),
    "warm-up 1e12": (None, (*POINTS, "--warmup", "1000000000000"), "at most 1,000,000,000"),
    "restarts 1e6": (None, (*POINTS, "--restarts", "1000000"), "restarts=1000000"),
    # --- less than there must be
    "latent 0": (None, (*POINTS, "--latent", "0"), "latent=0"),
    "too small for the mapping": (None, (*POINTS, "--mapping", "torus:planes=2", "--latent", "3"), "torus"),
    "too small for sectors": (None, (*POINTS, "--mapping", "cluster:k=3", "--latent", "1"), "cluster"),
    "more levels than dimensions": (None, (*POINTS, "--mapping", "hierarchy:levels=9", "--latent", "2"), "hierarchy"),
    "more classes than dimensions": (None, (*POINTS, "--mapping", "cluster:k=[9,9,9]", "--latent", "2"), "cluster"),
    "steps -1": (None, (*POINTS, "--steps", "-1"), "steps=-1"),
    "epochs 0": (None, (*POINTS, "--epochs", "0"), "epochs=0"),
    "batch 0": (None, (*POINTS, "--batch-size", "0"), "batch_size=0"),
    "batch 1 and batch norm": (
        None,
        ("--data", "toy_images", "--network", "conv:channels=[2]", "--batch-size", "1"),
        "batch normalisation needs at least 2",
    ),
    "no learning": (None, (*POINTS, "--lr", "0"), "learning_rate=0"),
    "unlearning": (None, (*POINTS, "--lr", "-0.1"), "learning_rate=-0.1"),
    "infinite learning": (None, (*POINTS, "--lr", "inf"), "learning_rate"),
    "learning 1e9": (None, (*POINTS, "--lr", "1e9"), "learning_rate=1000000000.0"),
    "no norm": (None, (*POINTS, "--clip-norm", "0"), "clip_norm=0"),
    "NaN norm": (None, (*POINTS, "--clip-norm", "nan"), "clip_norm"),
    "no patience": (None, (*POINTS, "--patience", "0"), "patience=0"),
    "never evaluated": (None, (*POINTS, "--evaluate-every", "0"), "evaluate_every=0"),
    "never logged": (None, (*POINTS, "--log-every", "-5"), "log_every=-5"),
    "never saved": (None, (*POINTS, "--save-every", "0"), "save_every=0"),
    "saved in no time": (None, (*POINTS, "--save-minutes", "0"), "save_minutes=0"),
    "saved at NaN": (None, (*POINTS, "--save-minutes", "nan"), "save_minutes"),
    "no trial": (None, (*POINTS, "--restarts", "2", "--trial", "0"), "trial=0"),
    "long trial": (None, (*POINTS, "--restarts", "2", "--trial", "1.5"), "trial=1.5"),
    "a trial of one start": (None, (*POINTS, "--trial", "0.5"), "trial=0.5 is the length of each start's trial"),
    "negative beta": (None, (*POINTS, "--objective", "elbo:beta=-1"), "beta=-1"),
    "no noise": (None, (*POINTS, "--likelihood", "gaussian:scale=0"), "scale=0"),
    "seed 2**64": (None, (*POINTS, "--seed", str(2**64)), "seed"),
    # --- wrong words
    "unknown weight": (None, (*POINTS, "--schedule", "kkl=constant"), "no weight is called 'kkl'"),
    "unknown schedule": (None, (*POINTS, "--schedule", "kl=liner:steps=3"), "did you mean 'linear'?"),
    "negative weight": (None, (*POINTS, "--schedule", "kl=constant:value=-1"), "value=-1"),
    "ramp without length": (None, (*POINTS, "--schedule", "kl=linear"), "steps"),
    "unknown key": (None, (*POINTS, "--network", "mlp:hiden=[3]"), "did you mean 'hidden'?"),
    "unknown activation": (None, (*POINTS, "--network", "mlp:activation=rlu"), "activation"),
    "number for a list": (None, (*POINTS, "--network", "mlp:hidden=abc"), "hidden"),
    "word for a number": (None, (*POINTS, "--mapping", "cluster:k=three"), "k=three"),
    "no proportions": (None, (*POINTS, "--mapping", "cluster:k=2,proportions=[0.5,0.6]"), "proportions"),
    "no such device": (None, (*POINTS, "--device", "cuda:99"), "device 'cuda:99' is not here"),
    "discrete values": (
        npy(x=X),
        ("--data", "x.npy", "--likelihood", "continuous_bernoulli"),
        "but x.npy has real numbers",
    ),
    # --- config files and folders
    "config is a folder": (lambda h: (h / "c.yaml").mkdir(), ("--config", "c.yaml"), "'c.yaml' is no file"),
    "config is binary": (text("c.yaml", b"\xff\x00"), ("--config", "c.yaml"), "cannot be read"),
    "config of a list": (text("c.yaml", "- 1\n"), ("--config", "c.yaml"), "does not hold keys"),
    "config with a tag": (
        text("c.yaml", "seed: !!python/object/apply:os.getpid []\n"),
        ("--config", "c.yaml"),
        "cannot",
    ),
    "config with a wrong type": (text("c.yaml", "steps: [1]\n"), ("--config", "c.yaml"), "steps=[1]"),
    "config with a number of mappings": (text("c.yaml", "mapping: 3\n"), ("--config", "c.yaml"), "mapping=3"),
    "config with a key twice": (
        text("c.yaml", "seed: 3\nlatent: 2\nseed: 4\n"),
        ("--config", "c.yaml"),
        "lines 1 and 3",
    ),
    "config with yes for a number": (
        text("c.yaml", "steps: yes\n"),
        ("--config", "c.yaml"),
        "steps=true: expected a number",
    ),
    "component with yes for a number": (
        text("k.yaml", "k: no\n"),
        (*POINTS, "--mapping", "cluster:@k.yaml"),
        "cluster: k=false: expected a number",
    ),
    "config with both": (text("c.yaml", "steps: 3\nepochs: 3\n"), ("--config", "c.yaml"), "not both"),
    "config with a true seed": (text("c.yaml", "seed: x\n"), ("--config", "c.yaml"), "seed=x"),
    "config with schedules of no name": (text("c.yaml", "schedules: [1]\n"), ("--config", "c.yaml"), "schedules=[1]"),
    "config of a damaged run": (text("c.json", json.dumps({"spec": {"laten": 3}})), ("--config", "c.json"), "laten"),
    "run folder is a file": (text("mine", "x"), (*POINTS, "--run-dir", "mine"), "mine is a file"),
    "run folder below a file": (text("mine", "x"), (*POINTS, "--run-dir", "mine/run"), "cannot be made"),
    "run folder of a long name": (None, (*POINTS, "--run-dir", "x" * 300), "cannot be made: File name too long"),
    "runs is a file": (text("runs", "x"), POINTS, "run directory runs cannot be made"),
    "data folder is a file": (text("here", "x"), (*POINTS, "--data-dir", "here"), "is not a folder"),
    "resume a file": (text("mine", "x"), ("--resume", "mine"), "is not a run directory"),
    "resume a file of a run": (
        lambda h: ((h / "mine").mkdir(), (h / "mine" / "run.json").write_text("{}")),
        ("--resume", "mine/run.json"),
        "mine/run.json is not a run directory: it has no run.json; it is a file of the run mine",
    ),
    "resume an empty folder": (lambda h: (h / "mine").mkdir(), ("--resume", "mine"), "it has no run.json"),
}


def listing(folder):
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_told_in_a_line_or_two(call, here, case):
    write, args, expected = CASES[case]
    if write is not None:
        write(here)
    before = listing(here)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = call("train", *args, "--quiet")
    assert isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code in (2, 3, 5), result.output  # usage, data or this machine
    lines = [line for line in result.stderr.strip().splitlines() if not line.startswith("Reading ")]
    assert lines[0].startswith("Error: ")
    assert len(lines) <= 2 or (len(lines) == 3 and "^" in lines[2]), result.stderr
    assert expected in result.stderr
    assert len(result.stderr) < 700
    assert result.stdout == ""
    assert listing(here) == before


ABSURD = {
    "samples": (("sample", "-n", "1000000000000"), "1,000,000,000,000 samples would take about"),
    "no samples": (("sample", "-n", "0"), "not in the range x>=1"),
    "samples to nowhere": (("sample", "-o", "x.npy/y.npy"), "cannot be written"),
    "samples as text": (("sample", "-o", "x.docx"), "has no suffix that can be written"),
    "other data": (("encode", "--data", "toy_images"), "the run was trained on"),
}


@pytest.mark.parametrize("case", ABSURD)
def test_bad_input_to_a_trained_run(call, here, trained, case):
    (here / "x.npy").write_bytes(b"")
    (command, *options), expected = ABSURD[case]
    before = listing(here)
    result = call(command, trained / "points", *options)
    assert result.exit_code in (2, 3, 5), repr(result.exception)
    assert expected in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 2
    assert listing(here) == before


@pytest.mark.parametrize(
    ("args", "writer"),
    [
        (("sample", "-o", "a.npy"), "save"),
        (("sample", "-o", "a.npz"), "savez"),
        (("sample", "-o", "a.csv"), "savetxt"),
        (("encode", "-o", "a.npz"), "savez"),
    ],
)
def test_a_full_disk_leaves_the_old_file(call, here, trained, monkeypatch, args, writer):
    plain = getattr(np, writer)

    def fail(*given, **named):
        plain(*given, **named)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, writer, fail)
    (here / args[-1]).write_text("before")
    result = call(args[0], trained / "points", *args[1:])
    assert result.exit_code == 5, repr(result.exception)
    assert f"{args[-1]} cannot be written: No space left on device" in result.stderr
    assert listing(here) == {args[-1]: b"before"}


def test_the_exploit_of_these_tests_would_work(here):
    pickle.loads(pickle.dumps(Exploit()))
    assert (here / "executed").exists()


def test_more_clusters_than_examples_are_allowed_and_counted_without_a_start(ok, here):
    np.save(here / "x.npy", X[:6])
    words = ("--mapping", "cluster:k=9", "--start", "none", "--steps", "3", "--no-pictures", "--json")
    result = ok("train", "--data", "x.npy", *words)
    assert json.loads(result.stdout)["status"] == "finished"
