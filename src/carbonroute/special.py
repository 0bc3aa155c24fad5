"""Special functions of SciPy, as it compiled them: without its wrappers for other array libraries."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType

_PACKAGE = "scipy.special"
_NAMES = (
    *("betainc", "betaincinv", "gammainc", "gammaincc", "gammainccinv", "gammaincinv"),
    *("ndtr", "ndtri", "owens_t", "stdtrit"),
)


def _compiled() -> ModuleType | None:
    """Import the compiled module alone: its package takes ten times as long, most of it for wrappers.

    None where a release of SciPy has no such module.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or _PACKAGE in sys.modules:
        return None
    sys.modules[_PACKAGE] = module_from_spec(spec)  # says where its modules are, and is not run
    try:
        return import_module(f"{_PACKAGE}._ufuncs")
    except ModuleNotFoundError:
        return None
    finally:
        del sys.modules[_PACKAGE]  # whoever imports the package gets the whole of it


def _functions() -> ModuleType:
    """Return what has all functions: the compiled module, or else the package."""
    compiled = _compiled()
    if compiled is None or not all(hasattr(compiled, name) for name in _NAMES):
        return import_module(_PACKAGE)
    return compiled


_ufuncs = _functions()
betainc = _ufuncs.betainc
betaincinv = _ufuncs.betaincinv
gammainc = _ufuncs.gammainc
gammaincc = _ufuncs.gammaincc
gammainccinv = _ufuncs.gammainccinv
gammaincinv = _ufuncs.gammaincinv
ndtr = _ufuncs.ndtr
ndtri = _ufuncs.ndtri
owens_t = _ufuncs.owens_t
stdtrit = _ufuncs.stdtrit
