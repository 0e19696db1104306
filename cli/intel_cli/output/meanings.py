"""What do the numbers mean that a mapping gives of encoded data? A few words for each."""

from __future__ import annotations

__all__ = ["MEANINGS"]

MEANINGS = {
    "proportions": "share of each cluster that the model assumes or has learned; samples come from it so often",
    "data shares": "share of the test data in each cluster; samples come by the proportions instead",
    "classes": "the labels, in the order in which other rows list them",
    "contingency": "how many test examples of each label (columns) lie in each cluster (rows)",
    "purity": "share of test examples with the most frequent label of their cluster; 1 is the most",
    "cohesion": "share of test examples in the cluster where most of their label are; 1: no label is torn apart",
    "nmi": "agreement of clusters and labels; 0: unrelated, 1: one tells the other",
    "accuracy": "share of test examples with the right label if each cluster stands for one label",
    "hoyer": "sparsity of z; 1: each example uses one dimension; hold it against the gaussian floor",
    "gaussian floor": "the sparsity of random numbers, for comparison",
    "mean gate": "by how much the mapping lets a dimension through on average; 1: all, 0: nothing",
    "active share": "share of gates that are more open than shut",
    "active dims": "how many dimensions are open for at least 1 % of the test data",
    "gates by class": "how open each dimension (columns) is for each label (rows), from 0 to 1",
    "class gate distance": "how far labels use different dimensions; 0: the same ones, 1: none in common",
    "level sizes": "dimensions of each level, from the top",
    "level variance": "how much each level varies over the test data, from the top; 0: it says nothing",
    "level zeros": "share of values that are exactly 0 in each level, from the top",
    "level dead": "share of dimensions that are 0 for all test data in each level; 1: the level is not used",
    "level class share": "how much of each level's variation the labels explain, from the top; 0: nothing, 1: all",
    "level from above": "how much of each level's variation comes from the level above; 0: nothing, 1: all",
    "level from own": "how much of each level's variation comes from its own dimensions of y; 0: nothing, 1: all",
    "loop prior": "share of the model's samples on each loop",
    "loop shares": "share of the test data on each loop; samples come by the loop prior instead",
}
"""What the numbers mean that mappings of this project give, for a reader who has not read about them."""
