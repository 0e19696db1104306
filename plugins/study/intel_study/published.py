"""Which studies are published? Those that a distribution registers under ``intelvae.studies``, by name.

Nothing here imports torch.
"""

from __future__ import annotations

from importlib import import_module, resources
from pathlib import Path
from typing import ClassVar

from intel_core.components.spec import ComponentSpec
from intel_core.errors import PluginError

__all__ = ["StudySpec"]


class StudySpec(ComponentSpec):
    """Base of every published study's spec: a class that names a file beside it.

    A distribution publishes a study by such a class, an entry in ``intelvae.studies``, and the file::

        class LoopsSpec(StudySpec):
            \"\"\"One line that `intel study` prints.\"\"\"

            file: ClassVar[str] = "loops.yaml"
    """

    kind: ClassVar[str] = "studies"
    file: ClassVar[str] = ""

    @classmethod
    def path(cls) -> Path:
        """The study's file, beside the module of the class.

        Raises:
            PluginError: if it is not there.
        """
        module = import_module(cls.__module__)
        package = cls.__module__ if hasattr(module, "__path__") else cls.__module__.rpartition(".")[0]
        found = Path(str(resources.files(package).joinpath(cls.file)))
        if not cls.file or not found.is_file():
            raise PluginError(f"{cls.__name__} names the file {cls.file!r}, which {package} does not hold")
        return found

    @classmethod
    def file_schema(cls) -> dict[str, object]:
        """The JSON Schema of a study's file."""
        from intel_study.design import Study

        return Study.model_json_schema()
