"""An environment of its own for datatrove, whose pins (trafilatura below 1.12 among them) exclude those of Headwater."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
DATATROVE = (
    "datatrove==0.10.1",
    "trafilatura<1.12",
    "lxml_html_clean",
    "spacy>=3.8",
    "nltk",
    "inscriptis",
    "python-magic",
    "warcio",
    "faust-cchardet",
    "tldextract",
    "regex",
    "xxhash<3.6",  # later ones refuse strings, which datatrove gives it
    "orjson",
    "tokenizers",
)


def datatrove_python() -> str:
    """Path of a Python that has datatrove 0.10.1; the first call installs it under build/peers, in a minute or two."""
    folder = REPOSITORY / "build" / "peers" / "datatrove"
    python, done = folder / "bin" / "python", folder / ".done"
    if not done.is_file():
        uv = Path(sys.executable).parent / "uv"
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *DATATROVE], check=True)
        done.touch()
    return str(python)
