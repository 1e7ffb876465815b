"""An image built by buildah on a base of this machine's own, and a container of it without a container runtime.

No registry is asked: the base is a minimal Debian with the Python that runs the tests. The container has a read-only
root, processes of its own, and the user, environment and command that the image names; network is that of the machine.
"""

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.shipped import DEPLOY, ROOT

MIRROR = "http://deb.debian.org/debian"
NEEDED = ("buildah", "debootstrap", "unshare", "setpriv")
needs_buildah = pytest.mark.skipif(
    os.getuid() != 0 or None in [shutil.which(name) for name in NEEDED],
    reason=f"needs root and {', '.join(NEEDED)}",
)


def run(*words: object, seconds: float = 900.0) -> str:
    """Runs a program that has to succeed; what it printed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=seconds, cwd=ROOT)
    assert done.returncode == 0, f"{shlex.join(map(str, words))}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@dataclass
class Image:
    """An image in a store of its own.

    Attributes:
        buildah: Command line of buildah with the store.
        root: Its file system, mounted.
        config: What it says about its containers, as Docker writes it.
    """

    buildah: list[str]
    root: Path
    config: dict[str, Any]


def build_image(folder: Path) -> Image:
    """Builds deploy/Dockerfile.

    Args:
        folder: Empty folder, for base, wheels and store.
    """
    store = ["--root", str(folder / "store"), "--runroot", str(folder / "run"), "--storage-driver", "vfs"]
    buildah = [str(shutil.which("buildah")), *store]
    base = folder / "base"
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    run("debootstrap", "--variant=minbase", "--include=python3-venv,ca-certificates", release, base, MIRROR)
    if sys.base_prefix != "/usr":
        _copy_python(Path(sys.base_prefix), base / "usr/local")
        run("chroot", base, "ldconfig")
    wheels = folder / "wheels"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:", "--dest", wheels]
    run(*pip, "-r", DEPLOY / "image/server.txt", "-r", DEPLOY / "image/build.txt")
    container = run(*buildah, "from", "scratch").strip()
    run(*buildah, "add", "--quiet", container, base, "/")
    run(*buildah, "commit", "--quiet", container, "localhost/base")
    options = ["--isolation", "chroot", "--format", "docker", "--pull=never", "--volume", f"{wheels}:/wheels:ro"]
    given = {"BASE": "localhost/base", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "PIP_INDEX_URL": ""}
    options += [word for name, value in given.items() for word in ("--build-arg", f"{name}={value}")]
    run(*buildah, "build", *options, "--tag", "localhost/lightning-app", "--file", DEPLOY / "Dockerfile", ROOT)
    config = json.loads(run(*buildah, "inspect", "--type", "image", "localhost/lightning-app"))["Docker"]["config"]
    container = run(*buildah, "from", "localhost/lightning-app").strip()
    return Image(buildah, Path(run(*buildah, "mount", container).strip()), config)


def _copy_python(prefix: Path, place: Path) -> None:
    """Copies a Python without what is installed in it."""
    version = f"python3.{sys.version_info.minor}"
    left_out = shutil.ignore_patterns("site-packages", "test", "idlelib", "__pycache__")
    shutil.copytree(prefix / "lib" / version, place / "lib" / version, ignore=left_out, dirs_exist_ok=True)
    (place / "lib" / version / "site-packages").mkdir(exist_ok=True)
    for library in (prefix / "lib").glob("libpython3*.so*"):
        shutil.copy2(library, place / "lib")
    shutil.copy2(prefix / "bin" / version, place / "bin")
    (place / "bin/python3").unlink(missing_ok=True)
    (place / "bin/python3").symlink_to(version)


def in_container(image: Image, command: list[str], volumes: dict[Path, str]) -> list[str]:
    """Command line that runs a command in a container of an image.

    Args:
        image: The image.
        command: Program and its arguments.
        volumes: Where folders of this machine are mounted; they can be written.
    """
    root, config = shlex.quote(str(image.root)), image.config
    lines = ["set -e", f"mount --bind {root} {root}"]
    for place in volumes.values():
        (image.root / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
    lines += [f"mount -o remount,bind,ro {root}", f"mount -t tmpfs tmpfs {root}/tmp", f"mount -t proc proc {root}/proc"]
    lines += [f"mount --rbind /dev {root}/dev"]
    lines += [f"mount --bind {shlex.quote(str(source))} {root}{place}" for source, place in volumes.items()]
    user, group = config["User"].split(":")
    become = ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
    enter = ["chroot", str(image.root), "env", "-i", "-C", config["WorkingDir"], *config["Env"]]
    lines.append("exec " + shlex.join([*enter, *become, *command]))
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", "\n".join(lines)]


@contextmanager
def container(image: Image, volumes: dict[Path, str], log: Path) -> Iterator[int]:
    """Starts the command of an image; gives the id of its first process.

    Args:
        image: The image.
        volumes: As of `in_container`.
        log: Where its output goes.
    """
    words = [*image.config["Entrypoint"], *image.config["Cmd"]]
    with log.open("wb") as output:
        process = subprocess.Popen(in_container(image, words, volumes), stdout=output, stderr=output)
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        end = time.monotonic() + 30
        while not (found := children.read_text().split()):
            assert time.monotonic() < end
            time.sleep(0.05)
        yield int(found[0])
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
