"""`lightning-app package show|verify|diff`: what packages are, whether they are whole, what they differ in."""

import json
import sys
from dataclasses import asdict

from rich.console import Console

from lightning_app.errors import UsageError
from lightning_app.packaging.difference import compare_packages
from lightning_app.packaging.errors import PackageError
from lightning_app.packaging.package import Package
from lightning_app.packaging.sample import answer_differences, read_sample
from lightning_app.packaging.show import show_package
from lightning_app.terminal import plain_console
from lightning_app.verb_parser import VerbParser

_COUNTS = {"show": (1, 1), "verify": (1, None), "diff": (2, 2)}
_WIDTH = 160  # of what is no terminal


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: The command line, verb first.
    """
    parser = VerbParser("package", description=__doc__, epilog="verify also asks the sample of the test split again.")
    parser.add_argument("action", choices=tuple(_COUNTS), help="show one, verify one or more, compare two")
    parser.add_argument("folders", nargs="+", metavar="PACKAGE", help="folder of a package")
    parser.add_argument("--json", action="store_true", help="show: print the manifest and the digest as JSON")
    given = parser.parse_args(args[1:])
    least, most = _COUNTS[given.action]
    if not least <= len(given.folders) <= (most or len(given.folders)):
        wanted = f"{least}" if most else f"{least} or more"
        raise UsageError(f"package: {len(given.folders)} folders given, {given.action} takes {wanted}")
    console = plain_console(width=None if sys.stdout.isatty() else _WIDTH)
    if given.action == "show":
        package = Package.load(given.folders[0], replay=False)
        if given.json:
            print(json.dumps({"digest": package.digest, **asdict(package.manifest)}, indent=2))  # noqa: T201
        else:
            show_package(package, console)
    elif given.action == "verify":
        for folder in given.folders:
            console.print(f"{folder}: {_verify(folder)}", soft_wrap=True)
    else:
        one, other = (Package.load(folder, replay=False) for folder in given.folders)
        _compare(one, other, console)


def _verify(folder: str) -> str:
    """What was found to be right, in words."""
    package = Package.load(folder)
    sample = read_sample(package.path)
    differences = answer_differences(package, sample)
    for name, difference in differences.items():
        if not difference.value <= difference.allowed:
            raise PackageError(
                f"reference.parquet: {folder} answers its sample differently from when it was written: {name} by "
                f"{difference}, {difference.allowed:g} is allowed"
            )
    largest = max(difference.value for difference in differences.values())
    return (
        f"every file is as it was written, and the golden request and {len(sample):,} rows of the test split are "
        f"answered as before (largest difference {largest:.1g}); digest {package.digest}"
    )


def _compare(one: Package, other: Package, console: Console) -> None:
    if one.digest == other.digest:
        console.print(f"the same package: digest {one.digest}")
        return
    table, answers = compare_packages(one, other)
    console.print(f"first {one.path}\nsecond {other.path}", soft_wrap=True)
    console.print(table)
    console.print(answers, soft_wrap=True)
