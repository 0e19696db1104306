"""What a user can mistype, in any command, or have wrong in the data: told in a line, with the nearest, and a code."""

import numpy as np
import pandas as pd
import pytest

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=["height", "age"]).assign(kind="cat")
USAGE, DATA, ENVIRONMENT = 2, 3, 5

# what is typed: the exit code, and what is said of it
MISTYPED = {
    # --- commands
    "trian": (USAGE, "no command is called 'trian'; did you mean 'train'?"),
    "plugins shw": (USAGE, "no command is called 'shw'; did you mean 'show'?"),
    "runs --jsn": (USAGE, "Did you mean '--json'?"),
    "--no-plugin clutser runs": (USAGE, "names 'clutser', which is not installed; did you mean 'cluster'?"),
    # --- train
    "train --mapping clutser:k=3": (USAGE, "no mapping is called 'clutser'; did you mean 'cluster'?"),
    "train --mapping cluster:K=3": (USAGE, "cluster has no key 'K'; did you mean 'k'?"),
    "train --mapping cluster,k=3": (USAGE, "settings come after a colon: cluster:k=3"),
    "train --prior mgo": (USAGE, "no prior is called 'mgo'; did you mean 'mog'?"),
    "train --posterior gausian": (USAGE, "did you mean 'gaussian'?"),
    "train --start mixtur": (USAGE, "no start is called 'mixtur'; did you mean 'mixture'?"),
    "train --start mydta.csv": (DATA, "there is no file or folder 'mydta.csv' in {here}; did you mean 'mydata.csv'?"),
    "train --start notes.txt": (USAGE, "start 'notes.txt' is a file of another kind; a start is read from a .csv"),
    "train --objective iwae:particle=3": (USAGE, "iwae has no key 'particle'; did you mean 'particles'?"),
    "train --latent two": (USAGE, "'two' is not a valid integer"),
    "train --lr 0,001": (USAGE, "'0,001' is not a valid float"),
    "train --data digit": (USAGE, "no dataset is called 'digit'; did you mean 'digits'?"),
    "train --data mydta.csv": (DATA, "there is no file or folder 'mydta.csv' in {here}; did you mean 'mydata.csv'?"),
    "train --data phots": (DATA, "no data set and no file or folder 'phots' in {here}; did you mean 'photos'?"),
    "train --data sub/mydata.csv": (DATA, "no folder 'sub' in {here}, and so no 'sub/mydata.csv'; did you mean "),
    "train --data mydata.csv:label=knid": (DATA, "mydata.csv has no column 'knid' (label); did you mean 'kind'?"),
    "train --data mydata.csv:lable=kind": (USAGE, "table has no key 'lable'; did you mean 'label'?"),
    "train --data slip.csv:label=kind": (DATA, "(row 3 holds 'unknown'); mend or remove the row"),
    "train --data german.csv:label=kind": (DATA, 'say separator=; and, for numbers like 1,5, decimal=","'),
    "train --data notes.txt": (DATA, "'notes.txt' cannot be read as data; expected a .csv"),
    "train --data toy_points --device gpu": (USAGE, "device 'gpu' is not here; a GPU is called cuda"),
    "train --data toy_points --device cuda:7": (ENVIRONMENT, "device 'cuda:7' is not here"),
    "train --resume ponts": (USAGE, "it has no run.json; did you mean 'points'?"),
    "train --resume points": (USAGE, "points is finished at step 20; there is nothing to resume"),
    "train --config nothing.yaml": (USAGE, "no file 'nothing.yaml'"),
    # --- runs that are read
    "evaluate ponts": (USAGE, "ponts is not a run directory: it has no run.json; did you mean 'points'?"),
    "evaluate runs": (USAGE, "it holds runs, so name one of them: runs/images"),
    "evaluate points --metric likelyhood": (USAGE, "no metric is called 'likelyhood'; did you mean 'likelihood'?"),
    "evaluate points --from poled": (USAGE, "no sampler is called 'poled'; did you mean 'pooled'?"),
    "evaluate points --device cuda": (ENVIRONMENT, "device 'cuda' is not here"),
    "compare points imags": (USAGE, "did you mean 'images'?"),
    "compare points --only elb": (USAGE, "no number is called elb; did you mean 'elbo'?"),
    "compare points --level 5": (USAGE, "the level is 5, expected a number between 0 and 1"),
    "report points -o x.pdf": (USAGE, "'x.pdf' has no suffix that can be written; suffixes: .htm, .html"),
    "report points --against images": (USAGE, "was trained on other data than"),
    "report points --beside images": (USAGE, "images was trained on other data than runs/points"),
    "report points --beside imags": (USAGE, "did you mean 'images'?"),
    "explore ponts": (USAGE, "did you mean 'points'?"),
    "sample points -n 1e3": (USAGE, "'1e3' is not a valid integer"),
    "sample points --cluster 2": (USAGE, "points has no cluster 2; its 2 clusters are 0 to 1"),
    "sample images --cluster 0": (USAGE, "images has no clusters: neither its mapping nor its prior makes some"),
    "sample points -o x.xlsx": (USAGE, "'x.xlsx' has no suffix that can be written"),
    "encode points --data mydta.csv": (DATA, "there is no file or folder 'mydta.csv'"),
    "encode points --data three.npy": (DATA, "three.npy: examples have shape (3,), the run was trained on (2,)"),
    "encode points --split tset": (USAGE, "'tset' is not one of 'train', 'validation', 'test'"),
    "runs run": (USAGE, "run is not a folder"),
    # --- mappings and plugins
    "show cluster:k=5 --latent 1": (USAGE, "k=5 needs at least 2 latent dimensions"),
    "show posterior:sylvester": (USAGE, "cannot be drawn: a posterior needs data"),
    "check cluster:k=5 --only row": (USAGE, "no check is called 'row'; did you mean 'rows'?"),
    "check posterior:gausian": (USAGE, "no posterior is called 'gausian'; did you mean 'gaussian'?"),
    "plugins list mapings": (USAGE, "did you mean 'mappings'?"),
    "plugins show clutser": (USAGE, "no component is called 'clutser'; did you mean 'cluster'?"),
    "plugins new 3d": (USAGE, "'3d' is no name for a mapping"),
    "schema maping": (USAGE, "no schema is called 'maping'; did you mean 'mapping'?"),
    "schema mapping": (USAGE, "name the mapping as well; names: circle, cluster"),
}


@pytest.fixture
def workplace(here, trained):
    """A folder with a few files of data, a folder of images, and two runs."""
    FRAME.to_csv(here / "mydata.csv", index=False)
    FRAME.astype({"age": object}).replace({"age": {FRAME["age"][3]: "unknown"}}).to_csv(here / "slip.csv", index=False)
    FRAME.to_csv(here / "german.csv", index=False, sep=";", decimal=",")
    np.save(here / "three.npy", np.zeros((9, 3)))
    (here / "notes.txt").write_text("hello\n")
    (here / "photos").mkdir()
    (here / "runs").symlink_to(trained)
    return here


@pytest.mark.parametrize("typed", MISTYPED)
def test_what_is_mistyped_is_told_with_the_nearest(refused, workplace, typed):
    code, says = MISTYPED[typed]
    if "--data" in typed or "cluster" in says:
        pytest.importorskip("intel_datasets")
    words = [word.replace("{here}", str(workplace)) for word in typed.split()]
    told = refused(*words, says=says.replace("{here}", str(workplace)), code=code)
    assert len(told) <= 2


def test_a_run_is_found_by_its_name_beside_a_folder_of_that_name(ok, workplace):
    (workplace / "points").mkdir()
    assert "in" in ok("sample", "points", "-o", "x.npy").stdout
