"""The application: the command line, and everything that comes after training."""

from importlib.util import find_spec as _find_spec
from pathlib import Path as _Path

__version__ = "0.1.0"

_ROOT = _Path(__file__).resolve().parent.parent

# The other packages have short top-level names; another package of that name earlier on sys.path would be imported
# in their place and fail much later, in a confusing way.
for _name in ("models", "datamodules", "callbacks", "sweeps"):
    _spec = _find_spec(_name)
    _found = _Path(_spec.origin).resolve() if _spec is not None and _spec.origin is not None else None
    _expected = _ROOT / _name / "__init__.py"
    if _found != _expected:
        raise ImportError(
            f"the package {_name!r} of lightning_app is shadowed: found {_found}, expected {_expected}. "
            "Rename the other one, or run from another folder."
        )
