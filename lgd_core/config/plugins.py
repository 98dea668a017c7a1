"""Plug-ins: modules of a package that offer something by their name, found by looking."""

import pkgutil
from functools import cache
from importlib import import_module
from typing import Any


@cache
def discover(package: str, attribute: str) -> dict[str, Any]:
    """Return what the modules of a package offer under a name, by the modules' names.

    Hyphens stand for underscores. Configuration knows packages above it by their names alone.
    """
    folder = import_module(package).__path__
    modules = sorted(module.name for module in pkgutil.iter_modules(folder))
    return {
        name.replace("_", "-"): getattr(import_module(f"{package}.{name}"), attribute)
        for name in modules
    }
