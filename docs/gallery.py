"""How are the pictures of the gallery made? By the commands that the page shows, and then halved in size.

python docs/gallery.py    does so for docs/gallery.md, in the repository's root
"""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "gallery.md"


def commands() -> list[list[str]]:
    """Every command of the page that writes a picture, as words."""
    lines = re.findall(r"^intel show .* -o \S+\.png$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [shlex.split(line) for line in lines]


def smaller(path: Path) -> None:
    """Half as wide and in 64 colours: a tenth of the bytes."""
    picture = Image.open(path).convert("RGB")
    half = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)
    half.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    for command in commands():
        subprocess.run(command, cwd=ROOT, check=True)
        smaller(ROOT / command[-1])
