"""Is CelebA read as it is laid out, whole or in part? The images here are made up."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from intel_datasets import celeba
from intel_datasets.celeba import attributes, read_face
from intel_datasets.specs.images import ATTRIBUTES
from PIL import Image

from intel_core import DataError, SpecError, parse_spec
from intel_core.helpers.torchvision_compat import import_with_torchvision
from intel_core.reading.streamed import StreamedSplit

RNG = np.random.default_rng(0)
N = 12
PARTS = [0, 0, 1, 0, 0, 2, 0, 1, 0, 2, 0, 0]
MISSING = (3, 7)  # images that are listed and are not there
SAID = RNG.integers(0, 2, (N, 40))


def name(i):
    return f"{i + 1:06}.jpg"


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data" / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    for i in range(N):
        if i not in MISSING:
            pixels = RNG.integers(0, 256, (218, 178, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "img_align_celeba" / name(i))
    (folder / "list_eval_partition.txt").write_text("".join(f"{name(i)} {part}\n" for i, part in enumerate(PARTS)))
    rows = "".join(f"{name(i)} {' '.join(f'{2 * v - 1:2}' for v in said)}\n" for i, said in enumerate(SAID))
    (folder / "list_attr_celeba.txt").write_text(f"{N}\n{' '.join(ATTRIBUTES)} \n{rows}")
    return tmp_path / "data"


def there(part):
    return [i for i in range(N) if PARTS[i] == part and i not in MISSING]


@pytest.mark.parametrize("stream", ["true", "false"])
def test_the_images_that_are_there_are_parted_as_the_official_file_says(stream, root, load):
    data = load(f"celeba:attribute=Male,stream={stream}", root)
    assert isinstance(data.train, StreamedSplit) == (stream == "true")
    assert (data.x_shape, data.support, data.class_names) == ((3, 64, 64), "unit", ("not Male", "Male"))
    for number, part in enumerate((data.train, data.validation, data.test)):
        rows = there(number)
        images = part.read(torch.arange(len(part)))
        wanted = [read_face(root / "celeba" / "img_align_celeba" / name(i), 64) for i in rows]
        assert torch.equal(images, torch.from_numpy(np.stack(wanted)))
        assert part.labels.tolist() == SAID[rows, ATTRIBUTES.index("Male")].tolist()


def test_the_pixels_are_those_of_torchvisions_transforms(root):
    transforms = import_with_torchvision("torchvision.transforms")
    path = root / "celeba" / "img_align_celeba" / name(0)
    for size in (64, 32):
        plain = transforms.Compose([transforms.CenterCrop(148), transforms.Resize(size), transforms.PILToTensor()])
        assert torch.equal(torch.from_numpy(read_face(path, size)), plain(Image.open(path)))


def test_all_attributes_come_in_the_order_of_the_images(root):
    faces = attributes(root, examples=4)
    assert faces.names == ATTRIBUTES
    for part, rows in ((faces.train, there(0)[:4]), (faces.validation, there(1)), (faces.test, there(2))):
        assert part.tolist() == SAID[rows].tolist()


def test_settings(root, load):
    data = load("celeba:size=16,examples=4", root)
    assert (data.x_shape, len(data.train), data.train.labels, data.class_names) == ((3, 16, 16), 4, None, ())
    assert load(f"celeba:path={root}", None).x_shape == (3, 64, 64)
    assert load(f"celeba:path={root / 'celeba'}", None).x_shape == (3, 64, 64)
    with pytest.raises(SpecError, match=r"no attribute 'Smilling'; did you mean 'Smiling'\?"):
        parse_spec("datasets", "celeba:attribute=Smilling")


@pytest.mark.parametrize("gone", [["list_attr_celeba.txt"], ["img_align_celeba", "list_eval_partition.txt"]])
def test_what_is_missing_is_named_in_one_line_and_nothing_is_downloaded_unasked(gone, root, load, monkeypatch):
    monkeypatch.setattr(celeba, "import_with_torchvision", lambda module: pytest.fail("tried"))
    for item in gone:
        (root / "celeba" / item).rename(root / item)
    with pytest.raises(DataError) as caught:
        load("celeba", root)
    words = [*gone, str(root / "celeba"), "--data-dir", "INTEL_DATA_DIR", "download=true"]
    assert all(word in str(caught.value) for word in words)
    assert len(str(caught.value).splitlines()) == 1


class Offline:
    """Stands for torchvision.datasets where there is no network."""

    class CelebA:
        def __init__(self, root, split, download):
            assert (split, download) == ("all", True)
            raise RuntimeError("Error downloading\nno route")


def test_a_download_is_torchvisions(tmp_path, load, monkeypatch):
    monkeypatch.setattr(celeba, "import_with_torchvision", lambda module: Offline)
    with pytest.raises(DataError, match=r"celeba: img_align_celeba and 2 text files .*downloaded \(no route\)"):
        load("celeba:download=true", tmp_path / "empty")


def cut_table(folder):
    lines = (folder / "list_attr_celeba.txt").read_text().splitlines()
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines[:-3]))


def spoil_table(folder):
    text = (folder / "list_attr_celeba.txt").read_text()
    (folder / "list_attr_celeba.txt").write_text(text[:-3] + "7\n")


def spoil_partition(folder):
    with (folder / "list_eval_partition.txt").open("a") as file:
        file.write("000099.jpg 3\n")


def forget_an_image(folder):
    text = (folder / "list_attr_celeba.txt").read_text()
    (folder / "list_attr_celeba.txt").write_text(text.replace(name(0), "other.jpg"))


def no_test_images(folder):
    for i in there(2):
        (folder / "img_align_celeba" / name(i)).unlink()


def damage(folder):
    path = folder / "img_align_celeba" / name(there(1)[0])
    path.write_bytes(path.read_bytes()[:2000])


def shrink(folder):
    Image.new("RGB", (100, 218)).save(folder / "img_align_celeba" / name(there(1)[0]))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut_table, r"list_attr_celeba.txt has 9 rows, its first line says otherwise"),
        (spoil_table, r"line 14 of .*list_attr_celeba.txt is no file and 40 values"),
        (spoil_partition, r"line 13 of .*list_eval_partition.txt is '000099.jpg 3', expected 000001.jpg 0"),
        (forget_an_image, r"list_attr_celeba.txt says nothing of 000001.jpg"),
        (no_test_images, r"0 images of the test part are in .*img_align_celeba"),
        (damage, r"000003.jpg cannot be read"),
        (shrink, r"000003.jpg is 100x218, smaller than the 148x148"),
    ],
)
def test_a_spoilt_file_is_named(spoil, message, root, load):
    spoil(root / "celeba")
    with pytest.raises(DataError, match=f"celeba: .*{message}") as caught:
        load("celeba:attribute=Male", root)
    assert len(str(caught.value).splitlines()) == 1


@pytest.fixture
def real_celeba():
    """The folder that holds celeba; nothing is ever downloaded by a test."""
    beside_the_repository = Path(__file__).resolve().parents[3].parent / "shared" / "data"
    folder = Path(os.environ.get("INTEL_DATA_DIR", beside_the_repository))
    if not (folder / "celeba" / "img_align_celeba").is_dir():
        pytest.skip(f"real CelebA is not in {folder}; set INTEL_DATA_DIR to a folder that holds celeba/")
    return folder


def test_the_real_faces(real_celeba, load):
    data = load("celeba:attribute=Male,stream=true,size=16", real_celeba)
    faces = parse_spec("datasets", "celeba").attributes(real_celeba)
    assert faces.names == ATTRIBUTES
    assert torch.equal(faces.train[:, ATTRIBUTES.index("Male")].long(), data.train.labels)
    assert 0.35 < data.train.labels.float().mean() < 0.5  # 0.42 in the full set
    assert len(data.train) > 3 * len(data.test)
    assert data.train.read(torch.arange(20)).shape == (20, 3, 16, 16)
