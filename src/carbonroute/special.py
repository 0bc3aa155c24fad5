"""Special functions of SciPy, as it compiled them: without its wrappers for other array libraries."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType

_PACKAGE = "scipy.special"


def _compiled() -> ModuleType:
    """Import the compiled module alone: its package takes ten times as long, most of it for wrappers."""
    spec = None if _PACKAGE in sys.modules else find_spec(_PACKAGE)
    if spec is None:
        return import_module(_PACKAGE)
    sys.modules[_PACKAGE] = module_from_spec(spec)  # says where its modules are, and is not run
    try:
        return import_module(f"{_PACKAGE}._ufuncs")
    finally:
        del sys.modules[_PACKAGE]  # whoever imports the package gets the whole of it


_ufuncs = _compiled()
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
