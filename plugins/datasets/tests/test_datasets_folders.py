"""What do sub-folders of images mean, and is what is left out of a folder said?"""

import os

import numpy as np
import pytest
import torch
from intel_datasets.folders import list_images
from PIL import Image

from intel_core import DataError, fit, load_run, parse_spec

LEVEL = {"cat": 40, "dog": 200}


def picture(path, level=9):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), level).save(path)


def photos(root, *splits, n=6, classes=("cat", "dog"), class_first=False):
    for split in splits:
        for name in classes:
            for i in range(n):
                way = (name, split) if class_first else (split, name)
                picture(root.joinpath(*way, f"{i}.png"), LEVEL[name] + i)
    return root


def sizes(data):
    return len(data.train), len(data.validation), len(data.test)


@pytest.mark.parametrize(
    "names",
    [
        ("train", "val", "test"),
        ("Training", "dev", "TESTING"),
        ("train2017", "val2017", "test2017"),
        ("training_set", "validation-set", "test1"),
        ("train_images", "valid", "images.test"),
    ],
)
@pytest.mark.parametrize("class_first", [False, True])
def test_folders_named_as_splits_are_the_splits_and_not_classes(names, class_first, tmp_path, load):
    photos(tmp_path, *names, class_first=class_first)
    for i in range(3):
        picture(tmp_path.joinpath(*(("cat", names[2]) if class_first else (names[2], "cat")), f"more{i}.png"), 77)
    with pytest.warns(UserWarning, match=r"taken as a split \(12 training, 12 validation, 15 test images\), not as cl"):
        data = load(f"images:path={tmp_path},channels=1")
    assert (data.class_names, sizes(data)) == (("cat", "dog"), (12, 12, 15))
    for part in (data.train, data.validation, data.test):
        assert torch.equal(part.x[:, 0, 0, 0] > 100, part.labels == 1)
    assert (data.test.x == 77).flatten(1).all(1).sum() == 3


@pytest.mark.parametrize(("there", "sizes_then"), [(("train", "val"), (10, 12, 2)), (("train", "test"), (10, 2, 12))])
def test_a_part_without_a_folder_is_drawn_from_the_training_images_and_said(there, sizes_then, tmp_path, load):
    photos(tmp_path, *there)
    with pytest.warns(
        UserWarning, match=r"2 of the 12 training images are held out as the (test|validation) part, which"
    ):
        data = load(f"images:path={tmp_path},channels=1,test=0.2,validation=0.2")
    assert sizes(data) == sizes_then
    with pytest.warns(UserWarning, match=r"taken as a split"):
        assert load(f"images:path={tmp_path},channels=1,test=0.2,validation=0.2").summary() == data.summary()


def test_a_lone_training_folder_gives_all_parts(tmp_path, load):
    photos(tmp_path, "train", n=10)
    data = load(f"images:path={tmp_path},channels=1,folders=splits")
    assert (data.class_names, sizes(data)) == (("cat", "dog"), (16, 2, 2))


def test_splits_may_hold_images_without_classes(tmp_path, load):
    for split in ("train", "val", "test"):
        for i in range(4):
            picture(tmp_path / split / f"{i}.png", 9 * i)
    data = load(f"images:path={tmp_path},folders=splits")
    assert (data.class_names, data.train.labels, sizes(data)) == ((), None, (4, 4, 4))


def test_classes_that_only_begin_like_a_part_are_classes(tmp_path, load):
    photos(tmp_path, "train-station", "testament", classes=("cat",))
    assert load(f"images:path={tmp_path}").class_names == ("testament", "train-station")


def test_folders_can_be_said_to_be_classes(tmp_path, load):
    photos(tmp_path, "train", "val")
    data = load(f"images:path={tmp_path},folders=classes")
    assert (data.class_names, sum(sizes(data))) == (("train", "val"), 24)


def test_a_text_of_a_former_version_takes_them_as_classes(tmp_path, load):
    photos(tmp_path, "train", "val")
    text = f"images:path={tmp_path},size=null,channels=3,stream=auto,validation=0.1,test=0.1,split_seed=0"
    assert load(text).class_names == ("train", "val")


def test_streamed_or_not_it_is_the_same_split(tmp_path, load):
    photos(tmp_path, "train", "val")
    kept, streamed = (load(f"images:path={tmp_path},folders=splits,stream={stream}") for stream in ("false", "true"))
    assert kept.summary() == streamed.summary()
    assert torch.equal(kept.train.x, streamed.train.read(torch.arange(len(streamed.train))))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda root: photos(root, "train", "val", "extra"),
            r"parts of a split \(train\) and others \(extra\).*folders=c",
        ),
        (
            lambda root: photos(root, "train", "val", "valid"),
            r"2 folders for the validation part \(val, valid\); keep one, or say folders=classes",
        ),
        (lambda root: photos(root, "val", "test"), r"split \(12 validation, 12 test images\), but none for training"),
        (lambda root: picture(photos(root, "train", "val") / "val" / "0.png"), r"/val holds images, but .* \(cat\)"),
        (lambda root: picture(photos(root, "train", "val") / "0.png"), r"both images \(0.png\) and folders"),
    ],
)
def test_an_ambiguous_layout_is_refused_with_a_way_that_works(make, message, tmp_path, load):
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        load(f"images:path={tmp_path}")


def test_files_of_other_endings_are_counted_and_said(tmp_path, load):
    for i in range(6):
        picture(tmp_path / f"{i}.png", 9 * i)
    for name in ("a.heic", "b.HEIC", "notes.txt", "README", ".hidden"):
        (tmp_path / name).write_text("")
    (tmp_path / "broken.png").symlink_to("nowhere.png")
    with pytest.warns(
        UserWarning, match=r"5 of the files .* left out \(.heic 2, .txt 1, links or devices 1, without an ending 1\)"
    ):
        assert sum(sizes(load(f"images:path={tmp_path}"))) == 6
    assert list_images(tmp_path).left_out == {".heic": 2, ".txt": 1, "without an ending": 1, "links or devices": 1}


def test_a_class_whose_name_is_not_utf8_is_shown_and_stored_safely(tmp_path):
    for name in (b"\xe9t\xe9", b"b"):
        folder = os.fsencode(tmp_path / "im") + b"/" + name
        os.makedirs(folder)
        for i in range(6):
            with open(folder + b"/%d.png" % i, "wb") as file:
                Image.new("L", (4, 4), 9 * i).save(file, format="PNG")
    run = fit(data=parse_spec("datasets", f"images:path={tmp_path / 'im'}"), steps=2, run_dir=tmp_path / "run")
    assert load_run(run.path).info["data"]["classes"] == ["b", r"\xe9t\xe9"]
    names = parse_spec("datasets", f"images:path={tmp_path / 'im'}").examples(None).names
    assert names[-1] == r"\xe9t\xe9/5.png"


# --- as they lie in the folder -----------------------------------------------------------------------------------


def test_examples_come_in_the_order_of_the_files_with_their_names(tmp_path):
    for i in (3, 1, 2):
        picture(tmp_path / f"{i}.png", 10 * i)
    found = parse_spec("datasets", f"images:path={tmp_path},channels=1").examples(None)
    assert (found.names, found.x[:, 0, 0, 0].tolist()) == (("1.png", "2.png", "3.png"), [10, 20, 30])


@pytest.mark.parametrize("n", [1, 2])
def test_one_image_or_two_are_examples_enough(n, tmp_path):
    for i in range(n):
        picture(tmp_path / f"{i}.png", 0)
    assert len(parse_spec("datasets", f"images:path={tmp_path}").examples(None).x) == n
    assert parse_spec("datasets", f"images:path={tmp_path / '0.png'}").examples(None).names == ("0.png",)


def test_classes_and_parts_name_their_examples(tmp_path):
    photos(tmp_path, "train", "test", n=2)
    found = parse_spec("datasets", f"images:path={tmp_path},channels=1").examples(None)
    assert found.names[:3] == ("test/cat/0.png", "test/cat/1.png", "test/dog/0.png")
    assert found.class_names == ("cat", "dog")
    assert np.array_equal(found.labels, [0, 0, 1, 1] * 2)
