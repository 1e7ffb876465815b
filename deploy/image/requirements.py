"""Requirements of the images: the closure of the extras that a server needs, with the versions of requirements.lock.

`pip install 'lightning-r2p[serve]'` brings torch, which a server never imports. An image installs these files instead,
and then the wheel with `--no-deps`. Run it in the development environment, whose metadata it reads:

    python deploy/image/requirements.py           # writes serve.txt, server.txt and monitor.txt anew
    python deploy/image/requirements.py --check   # fails where they are not what would be written
"""

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TRAINING = {"torch", "lightning", "pytorch-lightning", "torchmetrics", "jsonargparse", "wandb", "matplotlib"}
"""Core dependencies that no process of a server imports; tests/deploy/test_image_requirements.py proves it."""
_SERVER = ("serve", "score-text", "serve-grpc", "kafka", "registry", "postgres-store", "redis", "signing", "otel")
FILES = {
    "serve.txt": ("serve",),
    "server.txt": _SERVER,
    "monitor.txt": (*_SERVER, "monitor"),
}
"""Extras of each file: packages in folders alone; all that a server, a stream and the verbs of the registry can do; the
monitor too."""
_HEADER = "# lightning-r2p[{extras}] without what only training imports; `make lock` writes it anew.\n"


def closure(extras: tuple[str, ...]) -> list[str]:
    """Names of the distributions that the extras need on this platform, in alphabetical order.

    Args:
        extras: Of the project.

    Raises:
        PackageNotFoundError: One of them is not installed here.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = {canonicalize_name(name): listed for name, listed in project["optional-dependencies"].items()}
    waiting = [Requirement(text) for text in project["dependencies"]]
    waiting = [each for each in waiting if canonicalize_name(each.name) not in TRAINING]
    waiting += [Requirement(text) for extra in extras for text in optional[canonicalize_name(extra)]]
    known: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name == canonicalize_name(project["name"]):
            waiting += [Requirement(text) for extra in requirement.extras for text in optional[extra]]
            continue
        for extra in {"", *requirement.extras} - {extra for known_name, extra in known if known_name == name}:
            known.add((name, extra))
            further = [Requirement(text) for text in requires(name) or ()]
            waiting += [each for each in further if each.marker is None or each.marker.evaluate({"extra": extra})]
    return sorted({name for name, _ in known})


def text_of(file: str) -> str:
    """What a file has to hold.

    Args:
        file: One of `FILES`.

    Raises:
        KeyError: The lock lacks a distribution; `make lock` resolves it.
    """
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = dict(line.split("==") for line in lines if not line.startswith("#"))
    pins = [f"{name}=={locked[name]}\n" for name in closure(FILES[file])]
    return _HEADER.format(extras=",".join(FILES[file])) + "".join(pins)


def main(args: list[str]) -> int:
    """Writes or checks the files; the exit code.

    Args:
        args: Command line without the program.
    """
    if args not in ([], ["--check"]):
        sys.stderr.write(f"usage: requirements.py [--check]; {' '.join(args)} given\n")
        return 2
    try:
        texts = {Path(__file__).parent / file: text_of(file) for file in FILES}
    except (PackageNotFoundError, KeyError) as error:
        sys.stderr.write(f"requirements.py: {error} is not installed, or not in requirements.lock\n")
        return 1
    stale = [path.name for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if args:
        for name in stale:
            sys.stderr.write(f"deploy/image/{name} is not what requirements.lock gives; run {Path(__file__).name}\n")
        return int(bool(stale))
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
