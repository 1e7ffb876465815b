"""The application: the command line, and everything that comes after training."""

from lightning_app import module_search as _module_search

__version__ = "0.1.0"

_module_search.install()
