"""Which classifier of a data set is applied to generated examples, and how good is it?"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from typing import Any, Literal, NamedTuple

import safetensors
import safetensors.torch
import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from intel_core import files
from intel_core.data.dataset import Split
from intel_core.evaluation.measurement import NotApplicableError
from intel_core.evaluation.subject import Subject
from intel_core.helpers.labels import as_classes
from intel_core.randomness import stream
from intel_core.runs import checkpoint
from intel_metrics.examples import is_images, require_images, take, treated

__all__ = [
    "Classifier",
    "ClassifierSettings",
    "LeNet",
    "Logistic",
    "Trained",
    "classifier_of",
    "settings_for",
    "train_classifier",
]

_ROWS = 500
_FORMAT = 1


class ClassifierSettings(BaseModel):
    """How a classifier is trained; together with the data this decides its weights, on one build of torch.

    >>> ClassifierSettings(kind="logistic").seed
    0
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["lenet", "logistic"] = Field("lenet", description="the network")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of its initial weights and of the order of its examples")
    epochs: int = Field(300, ge=1, le=10_000, description="passes through the training part, at most")
    patience: int = Field(3, ge=1, le=1000, description="passes without a lower validation loss before it stops")
    batch: int = Field(128, ge=1, le=65536, description="examples in a step")
    rate: float = Field(2e-3, gt=0, le=1, description="Adam's learning rate")


def settings_for(kind: Literal["lenet", "logistic"], seed: int) -> ClassifierSettings:
    """The usual settings: a linear network takes larger steps.

    >>> settings_for("logistic", 0).rate
    0.01
    """
    return ClassifierSettings(kind=kind, seed=seed, rate=1e-2 if kind == "logistic" else 2e-3)


class LeNet(nn.Module):
    """A small convolutional classifier: 5x5 convolutions and max-pooling down to 8x8 or less, then 120-84-classes.

    Source: after LeCun et al. 1998, with ReLU and max-pooling; 84 features, as there.

    >>> LeNet((1, 28, 28), 10).features(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 84])
    """

    def __init__(self, x_shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, height, width = x_shape
        layers: list[nn.Module] = []
        wide = 8
        while len(layers) < 6 or max(height, width) > 8:
            layers += [nn.Conv2d(channels, wide, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
            channels, wide, height, width = wide, min(2 * wide, 32), math.ceil(height / 2), math.ceil(width / 2)
        hidden = [nn.Linear(channels * height * width, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()]
        self.features = nn.Sequential(*layers, nn.Flatten(), *hidden)
        self.head = nn.Linear(84, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, ``(n, C, H, W) -> (n, classes)``."""
        logits: Tensor = self.head(self.features(x))
        return logits


class Logistic(nn.Module):
    """Multinomial logistic regression on the values themselves.

    >>> Logistic((3,), 2)(torch.zeros(5, 3)).tolist()[0]
    [0.0, 0.0]
    """

    def __init__(self, x_shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.features = nn.Flatten()
        self.head = nn.Linear(math.prod(x_shape), classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, ``(n, *x_shape) -> (n, classes)``."""
        logits: Tensor = self.head(self.features(x))
        return logits


class Trained(NamedTuple):
    """A network with its best weights, and how it was trained."""

    net: LeNet | Logistic
    epochs: int
    validation_accuracy: float


def _make(kind: str, x_shape: tuple[int, ...], classes: int, seed: int) -> LeNet | Logistic:
    # The caller's random state is not changed.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, f"classifier/{kind}"))
        return (LeNet if kind == "lenet" else Logistic)(x_shape, classes)


class Labelled(NamedTuple):
    """A part of a data set with the index of each example's class, -1 for a class that is not in the training part."""

    split: Split
    target: Tensor

    def rows(self, rows: Tensor, images: bool) -> Tensor:
        """Examples as a classifier sees them."""
        return treated(take(self.split, rows), images)


@torch.no_grad()
def _evaluate(net: nn.Module, part: Labelled, images: bool) -> tuple[float, float]:
    """Mean cross-entropy of the examples of known classes, in nats, and accuracy on all examples."""
    net.eval()
    loss, right = 0.0, 0
    for rows in torch.split(torch.arange(len(part.target)), _ROWS):
        logits, target = net(part.rows(rows, images)), part.target[rows]
        known = target >= 0
        loss += float(cross_entropy(logits[known], target[known], reduction="sum"))
        right += int((logits.argmax(1) == target).sum())
    return loss / max(1, int((part.target >= 0).sum())), right / len(part.target)


def train_classifier(
    train: Labelled, validation: Labelled, settings: ClassifierSettings, *, images: bool, subject: Subject | None = None
) -> Trained:
    """Adam on the cross-entropy, until the validation loss has not fallen for some epochs; the best weights are kept.

    Args:
        train: what is fitted.
        validation: what decides when to stop.
        settings: see `ClassifierSettings`.
        images: whether values are clipped to [0, 1].
        subject: is told the progress.
    """
    n, classes = len(train.target), int(train.target.max()) + 1
    shape = tuple(train.rows(torch.arange(1), images).shape[1:])
    net = _make(settings.kind, shape, classes, settings.seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=settings.rate)
    order = torch.Generator().manual_seed(stream(settings.seed, "classifier/order"))
    best, best_loss, best_epoch, accuracy = copy.deepcopy(net.state_dict()), math.inf, 0, 0.0
    for epoch in range(1, settings.epochs + 1):
        net.train()
        for done, rows in enumerate(torch.split(torch.randperm(n, generator=order), settings.batch)):
            if subject is not None and done % 50 == 0:
                share = min(1.0, (epoch - 1 + done * settings.batch / n) / settings.epochs)
                subject.tell(f"training a {settings.kind} classifier of {subject.dataset.name}", share)
            optimizer.zero_grad(set_to_none=True)
            cross_entropy(net(train.rows(rows, images)), train.target[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        loss, right = _evaluate(net, validation, images)
        if loss < best_loss:
            best, best_loss, best_epoch, accuracy = copy.deepcopy(net.state_dict()), loss, epoch, right
        elif epoch - best_epoch >= settings.patience:
            break
    net.load_state_dict(best)
    return Trained(net.eval(), best_epoch, accuracy)


class Classifier:
    """A trained classifier, on the CPU.

    Attributes:
        kind: ``lenet`` or ``logistic``.
        classes: the labels it tells apart, in the order of its probabilities.
        hash: of its weights.
        accuracy: on the test part.
        about: everything that is stored about it.
    """

    def __init__(self, net: LeNet | Logistic, about: dict[str, Any]) -> None:
        self.net, self.about = net, about
        self.kind = str(about["settings"]["kind"])
        self.classes: list[int] = list(about["classes"])
        self.hash = str(about["hash"])
        self.accuracy = float(about["test accuracy"])

    @property
    def description(self) -> dict[str, JsonValue]:
        """Its description for a protocol."""
        kept = ("settings", "epochs", "trained on", "stopped on", "validation accuracy", "test accuracy", "hash")
        return {"name": self.kind, **{key: self.about[key] for key in kept}}

    @torch.no_grad()
    def probabilities(self, x: Tensor) -> Tensor:
        """Class probabilities of treated examples, ``(n, *x_shape) -> (n, classes)``, float64."""
        return torch.cat([self.net(rows).double().softmax(1) for rows in torch.split(x, _ROWS)])

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """The input of the last layer, ``(n, *x_shape) -> (n, d)``."""
        return torch.cat([self.net.features(rows) for rows in torch.split(x, _ROWS)])


def _labelled(subject: Subject, name: str, classes: list[int]) -> Labelled:
    labels = subject.labels(name).long().cpu()
    known = torch.tensor(classes)
    place = torch.searchsorted(known, labels).clamp(max=len(classes) - 1)
    return Labelled(subject.split(name), torch.where(known[place] == labels, place, -1))


def classifier_of(subject: Subject, settings: ClassifierSettings) -> Classifier:
    """The classifier of a run's data: read from the cache, or trained on the training part and kept there.

    It is kept under a name made from the data, their labels and all settings; a file that is damaged is made again.

    Raises:
        NotApplicableError: if the data have no labels or fewer than two classes, or if a LeNet needs images.
    """
    if settings.kind == "lenet":
        require_images(subject, "a LeNet", "a logistic classifier takes vectors")
    labels = subject.labels("train")
    found = as_classes(labels, len(labels))
    if found is None or len(found[0]) < 2:
        raise NotApplicableError(
            f"the labels of {subject.dataset.name} are no classes that a classifier could tell apart"
        )
    parts = {name: _labelled(subject, name, found[0]) for name in ("train", "validation", "test")}
    name = f"{settings.kind}-{_key(subject, parts, found[0], settings)}"
    folder = subject.cache("classifiers")
    weights, record = folder / f"{name}.safetensors", folder / f"{name}.json"
    try:
        about = json.loads(record.read_text(encoding="utf-8"))
        net = _make(settings.kind, subject.dataset.x_shape, len(found[0]), settings.seed)
        net.load_state_dict(safetensors.torch.load_file(weights))
        if about["hash"] == checkpoint.weights_digest(net):
            return Classifier(net.eval(), about)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError):
        pass
    images = is_images(subject)
    trained = train_classifier(parts["train"], parts["validation"], settings, images=images, subject=subject)
    about = {
        "format": _FORMAT,
        "data": subject.dataset.name,
        "fingerprint": subject.run.fingerprint,
        "settings": settings.model_dump(mode="json"),
        "classes": found[0],
        "epochs": trained.epochs,
        "trained on": f"{len(parts['train'].target)} examples of the training part",
        "stopped on": f"the cross-entropy of {len(parts['validation'].target)} examples of the validation part",
        "validation accuracy": trained.validation_accuracy,
        "test accuracy": _evaluate(trained.net, parts["test"], images)[1],
        "torch": torch.__version__,
        "hash": checkpoint.weights_digest(trained.net),
    }
    files.write_bytes(weights, checkpoint.to_bytes(trained.net.state_dict()))
    files.write_text(record, json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    return Classifier(trained.net, about)


def _key(subject: Subject, parts: dict[str, Labelled], classes: list[int], settings: ClassifierSettings) -> str:
    """A hash of what decides the weights: fingerprint of the training examples, labels, the other parts, settings."""
    fingerprint = subject.run.fingerprint
    # The targets below are indices of classes: without the classes, labels 0, 1 and labels 3, 7 would be the same.
    digest = hashlib.sha256(f"{_FORMAT} {fingerprint} {classes} {settings.model_dump_json()}".encode())
    for part in parts.values():
        digest.update(part.target.numpy().tobytes())
    # The fingerprint covers the training part only; another split may have the same training part.
    for name in ("validation", "test"):
        digest.update(parts[name].split.x.contiguous().numpy().data)
    return digest.hexdigest()[:16]
