"""Distances of the prior from itself are measured once for all runs of one size, and are those of each run alone."""

from intel_metrics import aggregate

from intel_core import fit, parse_spec


def test_a_second_run_has_the_numbers_that_it_has_alone(tmp_path, monkeypatch):
    counted = []
    whole = aggregate.mmd_squared
    monkeypatch.setattr(aggregate, "mmd_squared", lambda a, b: counted.append(len(a)) or whole(a, b))
    spec = parse_spec("metrics", "aggregate:pairs=2,permutations=19")
    runs = [
        fit(mapping="identity", data="circle", latent=2, steps=2, seed=seed, run_dir=tmp_path / str(seed))
        for seed in (0, 1)
    ]
    aggregate._floors.clear()
    first, second = (run.measure(spec, again=True)[0].measurement for run in runs)
    assert len(counted) == 2, "the second run draws no others from the prior"
    aggregate._floors.clear()
    alone = runs[1].measure(spec, again=True)[0].measurement
    assert len(counted) == 4
    assert second.numbers == alone.numbers
    assert second.numbers != first.numbers
