"""Environments of their own for peers whose pins exclude those of Headwater: datatrove wants trafilatura below 1.12,
Mosaic's streaming numpy below 2.2."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).parent / "uv"
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
STREAMING = ("mosaicml-streaming==0.13.0", "torchvision==0.29.2")
"""Installed without what they ask for: torch is taken from this environment, and clients of object stores are not
needed."""
STREAMING_NEEDS = ("numpy<2.2", "brotli", "python-snappy", "tqdm", "xxhash<4", "zstd<2", "catalogue<3", "boto3<2")


def datatrove_python() -> str:
    """Path of a Python that has datatrove 0.10.1; the first call installs it under build/peers, in a minute or two."""
    folder = REPOSITORY / "build" / "peers" / "datatrove"
    python, done = folder / "bin" / "python", folder / ".done"
    if not done.is_file():
        _new_environment(folder)
        _install(python, *DATATROVE)
        done.touch()
    return str(python)


def streaming_python() -> str:
    """Path of a Python that has Mosaic's streaming 0.13.0 and this environment's torch; the first call installs it
    under build/peers."""
    folder = REPOSITORY / "build" / "peers" / "streaming"
    python, done = folder / "bin" / "python", folder / ".done"
    if not done.is_file():
        _new_environment(folder)
        _install(python, "--no-deps", *STREAMING)
        _install(python, *STREAMING_NEEDS)
        packages = next((folder / "lib").glob("python*/site-packages"))
        (packages / "torch.pth").write_text(sysconfig.get_path("purelib") + "\n")
        done.touch()
    return str(python)


def _new_environment(folder: Path) -> None:
    subprocess.run([UV, "venv", "--quiet", "--clear", "--python", sys.executable, folder], check=True)


def _install(python: Path, *requirements: str) -> None:
    subprocess.run([UV, "pip", "install", "--quiet", "--python", python, *requirements], check=True)
