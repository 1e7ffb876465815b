"""Package command: `lightning-app package show|verify|diff|sign` describes, verifies, compares or signs packages."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from lightning_app.errors import UsageError
from lightning_app.packaging.commands.difference import compare_packages
from lightning_app.packaging.commands.show import show_package
from lightning_app.packaging.format.errors import PackageError
from lightning_app.packaging.format.package_signature import (
    TRUSTED_KEYS,
    sign_package,
    trusted_keys,
    verify_signature,
)
from lightning_app.packaging.runtime.package import Package
from lightning_app.packaging.runtime.sample import answer_differences, read_sample
from lightning_app.terminal import plain_console, print_json, show
from lightning_app.verb_parser import VerbParser

_COUNTS = {"show": (1, 1), "verify": (1, None), "diff": (2, 2), "sign": (1, None)}


def run(args: list[str]) -> None:
    """Runs the verb; see `--help`.

    Args:
        args: Command line, verb first.
    """
    parser = VerbParser("package", description=__doc__, epilog="verify also replays the sample of the test split.")
    parser.add_argument("action", choices=tuple(_COUNTS), help="show one, verify or sign some, compare two")
    parser.add_argument("folders", nargs="+", metavar="PACKAGE", help="folder of a package")
    parser.add_argument("--json", action="store_true", help="print JSON; show prints the manifest and the digest")
    parser.add_argument("--key", metavar="PEM", help="private key that signs, on the curve P-256, P-384 or P-521")
    parser.add_argument(
        "--trusted-key",
        action="append",
        dest="trusted_keys",
        metavar="PEM",
        help=f"verify: a public key; the package has to be signed by one of them; default: ${TRUSTED_KEYS}",
    )
    arguments = parser.parse_args(args[1:])
    for option, action in (("key", "sign"), ("trusted_keys", "verify")):
        if getattr(arguments, option) is not None and arguments.action != action:
            raise UsageError(f"package: --{option.replace('_', '-').rstrip('s')} is for {action}")
    least, most = _COUNTS[arguments.action]
    if not least <= len(arguments.folders) <= (most or len(arguments.folders)):
        needed = f"{least}" if most else f"{least} or more"
        raise UsageError(f"package: {len(arguments.folders)} folders given, {arguments.action} takes {needed}")
    console = plain_console()
    if arguments.action == "show":
        package = Package.load(arguments.folders[0], replay=False)
        if arguments.json:
            print_json({"digest": package.digest, **asdict(package.manifest)})
        else:
            show_package(package)
    elif arguments.action == "verify":
        keys = trusted_keys(arguments.trusted_keys)
        verified = [_verify(folder, keys) for folder in arguments.folders]
        if arguments.json:
            print_json([asdict(result) for result in verified])
            return
        for result in verified:
            console.print(f"{result.package}: {result}")
    elif arguments.action == "sign":
        if arguments.key is None:
            raise UsageError("package: sign needs --key PEM, a private key")
        digests = {folder: sign_package(folder, arguments.key) for folder in arguments.folders}
        if arguments.json:
            print_json([{"package": folder, "digest": digest} for folder, digest in digests.items()])
            return
        for folder, digest in digests.items():
            console.print(f"signed: {folder}, digest {digest}")
    else:
        one, other = (Package.load(folder, replay=False) for folder in arguments.folders)
        if one.digest == other.digest and not arguments.json:
            console.print(f"the same package: digest {one.digest}")
            return
        difference = compare_packages(one, other)
        if arguments.json:
            digests = {"first": one.digest, "second": other.digest}
            print_json({**digests, **asdict(difference)})
            return
        console.print(f"first {one.path}\nsecond {other.path}")
        show(difference.as_table())
        console.print(difference.answers)


@dataclass(frozen=True)
class Verified:
    """Result of a successful verification.

    Attributes:
        package: Folder of the package.
        digest: Digest of the package.
        rows: Rows of the reference sample that were predicted again.
        largest_difference: Largest difference between the answers then and now.
        signed_by: File of the trusted key that signed it; None if no key was given.
    """

    package: str
    digest: str
    rows: int
    largest_difference: float
    signed_by: str | None = None

    def __str__(self) -> str:
        return (
            f"every file is as it was written, and the golden request and {self.rows:,} rows of the test split are "
            f"answered as before (largest difference {self.largest_difference:.1g}); digest {self.digest}"
            + ("" if self.signed_by is None else f"; signed by {self.signed_by}")
        )


def _verify(folder: str, keys: Sequence[Path]) -> Verified:
    signature = verify_signature(folder, keys) if keys else None
    package = Package.load(folder)
    if signature is not None and package.digest != signature.digest:
        raise PackageError(f"package: {folder} was replaced by another while it was verified")
    sample = read_sample(package.path)
    differences = answer_differences(package, sample)
    for name, difference in differences.items():
        if not difference.value <= difference.allowed:
            raise PackageError(
                f"reference.parquet: {folder} answers its sample differently from when it was written: {name} by "
                f"{difference}, {difference.allowed:g} is allowed"
            )
    largest = max(difference.value for difference in differences.values())
    signed_by = None if signature is None else str(signature.key)
    return Verified(folder, package.digest, len(sample), largest, signed_by)
