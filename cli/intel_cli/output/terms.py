"""What are the terms of a run called, and who offers a component? One name wherever they are shown."""

from __future__ import annotations

from collections.abc import Container, Iterable

from intel_core.components.discovery import THIS_PROCESS

__all__ = ["TERMS", "in_order", "offered_by", "term_name"]

TERMS = {"elbo": "ELBO", "iwae": "IWAE bound", "log_likelihood": "log-likelihood", "kl": "KL", "kl_y": "KL in y"}
"""In the order in which they are shown."""


def term_name(name: str, among: Container[str]) -> str:
    """The name of a term, given all that a run has: where KL in y is told beside it, the KL term is that in z.

    >>> term_name("kl", {"kl"}), term_name("kl", {"kl", "kl_y"}), term_name("own_loss", ())
    ('KL', 'KL in z', 'own loss')
    """
    if name == "kl" and "kl_y" in among:
        return "KL in z"
    return TERMS.get(name, name.replace("_", " "))


def in_order(names: Iterable[str], hidden: Container[str] = ()) -> list[str]:
    """Terms as they are shown: those of every run first, then a mapping's own; some not at all.

    >>> in_order(["own", "kl", "loss", "elbo"], hidden=["loss"])
    ['elbo', 'kl', 'own']
    """
    first = list(TERMS)
    return sorted(
        (name for name in names if name not in hidden), key=lambda n: first.index(n) if n in first else len(first)
    )


def offered_by(distribution: str, version: str) -> str:
    """Who offers a component: a distribution in its version, or a file or a program of the user's own.

    >>> offered_by("intelvae-metrics", "0.1.0"), offered_by("this-process", "0")
    ('intelvae-metrics 0.1.0', 'a component of this process')
    """
    return "a component of this process" if distribution == THIS_PROCESS else f"{distribution} {version}"
