"""Modules that are imported when they are first used."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGIN = (
    "import sys; from carbonroute.cli.late import import_late; import_late('json'); import_late('email'); "
    "assert 'json.decoder' not in sys.modules and 'email.charset' not in sys.modules; "
)


@pytest.mark.parametrize(
    "use",
    [
        "import json; assert 'json.decoder' not in sys.modules; print(json.loads('[1]'))",
        "from json import loads; print(loads('[1]'))",
        "import json.decoder; print(json.decoder.JSONDecoder().decode('[1]'))",
        "import json; import json.tool; print(json.loads('[1]'))",
        "import email; import json; print(json.loads('[1]')); assert 'email.charset' not in sys.modules",
        "import json; import_late('json'); json.loads('[]'); import_late('json'); print(json.loads('[1]'))",
    ],
)
def test_a_late_module_is_whole_however_it_is_used(use: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + use], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[1]\n", "")


def test_an_attribute_that_a_late_module_lacks_is_refused_as_by_any_module() -> None:
    use = "import json; json.nothing"
    done = subprocess.run([sys.executable, "-c", BEGIN + use], capture_output=True, text=True, check=False)
    assert done.stderr.strip().endswith("AttributeError: module 'json' has no attribute 'nothing'")


def test_a_module_that_is_not_installed_fails_at_its_import() -> None:
    code = "from carbonroute.cli.late import import_late; import_late('no_such'); import no_such"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError: No module named 'no_such'" in done.stderr
