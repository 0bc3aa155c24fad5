"""Special functions: SciPy's own, without the import of what they do not need."""

from __future__ import annotations

import subprocess
import sys

import scipy.special

from carbonroute import special


def test_each_function_is_scipys() -> None:
    names = [name for name in vars(special) if hasattr(scipy.special, name) and not name.startswith("_")]
    assert len(names) == 10
    assert all(getattr(special, name) is getattr(scipy.special, name) for name in names)


def test_wrappers_for_other_libraries_are_not_imported_and_the_package_is_whole_for_others() -> None:
    code = """
import sys
from carbonroute.special import ndtr
print([name for name in ("scipy.special", "scipy._lib._array_api", "numpy.f2py") if name in sys.modules])
import scipy.special, scipy.stats
print(scipy.special.ndtr is ndtr, scipy.special.logsumexp([0.0]), scipy.stats.norm.cdf(0.0))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "True 0.0 0.5"]


def test_a_release_without_the_compiled_module_has_the_functions_as_well() -> None:
    code = """
import sys
class Hidden:
    def find_spec(self, name, path, target=None):
        if name == "scipy.special._ufuncs":
            sys.meta_path.remove(self)
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hidden())
from carbonroute.special import ndtr
import scipy.special
print(ndtr is scipy.special.ndtr, ndtr(0.0))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True 0.5\n"
