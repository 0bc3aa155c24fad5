"""How a command ends: by a signal, a full disk, a closed stream, or whatever a policy raises."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from carbonroute.cli import main
from carbonroute.cli.ending import ended_by_signals
from carbonroute.errors import Ended, PolicyError
from carbonroute.policies.checks import check_policy
from carbonroute.runs.folder import require_unchanged
from carbonroute.runs.store import read_manifest
from helpers import small
from helpers.grids import grid

MANY = ("requests_per_hour = 50", "requests_per_hour = 400000")  # two chunks of a run


def own_policy(folder: Path, body: str, *changes: small.Change, top: str = "") -> Path:
    """Write the small scenario with a policy beside it whose `cost` begins with some lines."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    text = f"import multiprocessing, os, signal, sys, time, warnings\nfrom pathlib import Path\n{top}\n\n"
    text += f'class Own:\n    name = "Own"\n\n    def cost(self, view):\n{lines}        return view.rtt_ms\n'
    (folder / "own.py").write_text(text, encoding="utf-8")
    return small.write(folder, ("[[policies]]", '[[policies]]\nuse = "own.py:Own"\n[[policies]]'), *changes)


def start(
    *arguments: str,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    first: Callable[[], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "carbonroute", *arguments],
        env={**os.environ, **(environment or {})},
        stdout=stdout,
        stderr=stderr,
        preexec_fn=first,
        start_new_session=True,
        text=True,
        check=False,
    )


def simulate(scenario: Path, *options: str) -> list[str]:
    return ["simulate", str(scenario), "--no-figures", "--output", str(scenario.parent / "out"), *options]


def ended(place: Path) -> None:
    """Wait until the processes have ended whose numbers are the names of files."""
    numbers = [int(path.name) for path in place.iterdir()]
    assert numbers
    for number in numbers:
        try:
            process = psutil.Process(number)
            gone = process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            continue
        assert gone or process.wait(60) is None


# By a signal


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "interrupted\n"),
        pytest.param(signal.SIGTERM, 143, "terminated\n", marks=pytest.mark.full),
        (signal.SIGHUP, 129, "terminated\n"),
    ],
)
def test_a_signal_ends_a_command_without_a_word_more(
    number: signal.Signals, code: int, said: str, tmp_path: Path
) -> None:
    scenario = own_policy(tmp_path, f"os.kill(os.getpid(), {number})")
    done = start(*simulate(scenario))
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)
    assert not (tmp_path / "out").exists()


def test_a_signal_within_code_that_runs_from_a_string_has_its_own_exit_code(tmp_path: Path) -> None:
    """As that of dataclasses does: after a plain KeyboardInterrupt Python would end by SIGINT."""
    scenario = own_policy(tmp_path, f"exec('os.kill(os.getpid(), {signal.SIGTERM}); time.sleep(60)')")
    assert start(*simulate(scenario)).returncode == 143


@pytest.mark.parametrize("number", grid([signal.SIGTERM, signal.SIGINT], one_of=2))
def test_a_signal_while_files_are_written_leaves_no_part_of_one(
    number: signal.Signals, tmp_path: Path
) -> None:
    # The third file is being written: files take their places together, or none of them does.
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nwhole, done = os.fsync, []\n"
        "def fsync(file):\n"
        "    done.append(file)\n"
        f"    if len(done) == 3: os.kill(os.getpid(), {number})\n"
        "    whole(file)\n"
        "os.fsync = fsync\n",
        encoding="utf-8",
    )
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    done = start(*simulate(small.write(tmp_path)), environment={"PYTHONPATH": paths})
    assert done.returncode == 128 + number
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_that_come_with_the_first_one_do_not_disturb_the_end(
    number: signal.Signals, tmp_path: Path
) -> None:
    """Such as those of several workers: while files are put away, and when the process ends."""
    top = f"import atexit\natexit.register(lambda: os.kill(os.getpid(), {number}))\n"
    kill = f"os.kill(os.getpid(), {number})"
    body = f"try:\n    {kill}\nfinally:\n    {kill}"
    done = start(*simulate(own_policy(tmp_path, body, top=top)))
    said = "interrupted\n" if number == signal.SIGINT else "terminated\n"
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", said)


def test_a_command_of_many_in_a_process_never_ends_it() -> None:
    """As in a notebook: every signal raises, and the handlers of before come back."""
    with ended_by_signals(alone=False):
        for _ in range(2):
            with pytest.raises(Ended):
                signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_ignores_a_signal_goes_on_doing_so(tmp_path: Path) -> None:
    scenario = own_policy(tmp_path, "os.kill(os.getpid(), signal.SIGHUP)")
    done = start(*simulate(scenario), first=lambda: ignore(signal.SIGHUP))
    assert done.returncode == 0, done.stderr


def ignore(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)


@pytest.mark.parametrize(
    ("number", "loaded", "deep"),
    [
        (signal.SIGTERM, False, False),
        (signal.SIGINT, True, True),
        pytest.param(signal.SIGINT, True, False, marks=pytest.mark.full),
        pytest.param(signal.SIGINT, False, False, marks=pytest.mark.full),
        pytest.param(signal.SIGTERM, True, False, marks=pytest.mark.full),
    ],
)
def test_a_signal_ends_workers_too(number: signal.Signals, loaded: bool, deep: bool, tmp_path: Path) -> None:
    """Ctrl-C reaches all processes of a terminal, while workers still import or once they have begun.

    They come from a server, but in a deep temporary folder, where its socket would have too long a name.
    """
    pids = tmp_path / "pids"
    pids.mkdir()
    temporary = tmp_path / ("x" * 60) if deep else Path(tempfile.mkdtemp(prefix="short-", dir="/tmp"))
    temporary.mkdir(exist_ok=True)
    top = (
        "HERE = Path(__file__).parent\n"
        "if multiprocessing.parent_process():\n"
        '    (HERE / "pids" / str(os.getpid())).touch()\n'
    )
    wait = 'while not list((HERE / "pids").iterdir()):\n    time.sleep(0.01)\n' if loaded else ""
    strike = (
        "os.killpg(0, signal.SIGINT)" if number == signal.SIGINT else "os.kill(os.getpid(), signal.SIGTERM)"
    )
    scenario = own_policy(tmp_path, f"{wait}{strike}", MANY, top=top)
    done = start(*simulate(scenario, "--workers", "2"), environment={"TMPDIR": str(temporary)})
    assert done.returncode == 128 + number
    assert done.stderr == ("interrupted\n" if number == signal.SIGINT else "terminated\n")
    assert not list(temporary.iterdir())
    temporary.rmdir()
    if loaded:
        ended(pids)


@pytest.mark.parametrize("number", grid([signal.SIGINT, signal.SIGTERM], one_of=2))
def test_a_signal_ends_a_study_and_its_workers(number: signal.Signals, tmp_path: Path) -> None:
    """The worker would go on: it is ended by the process that it works for."""
    (tmp_path / "pids").mkdir()
    body = (
        'Path(__file__).with_name("pids").joinpath(str(os.getpid())).touch()\n'
        f"os.kill(multiprocessing.parent_process().pid, {number})\n"
        "time.sleep(20)\n"
        'Path(__file__).with_name("survived").touch()'
    )
    own_policy(tmp_path, body)
    file = tmp_path / "study.toml"
    file.write_text('schema = 1\nname = "s"\nscenario = "small.toml"\n', encoding="utf-8")
    done = start("study", "run", str(file), "--output", str(tmp_path / "out"), "--workers", "2")
    assert done.returncode == 128 + number
    assert done.stderr.splitlines()[0].startswith("Finished cells are kept")
    assert done.stderr.splitlines()[1:] == ["interrupted" if number == signal.SIGINT else "terminated"]
    ended(tmp_path / "pids")
    assert not (tmp_path / "survived").exists()


#: Sends Ctrl-C at an import after that of the command line's front, by its number; or counts them.
INTERRUPTING = """
import builtins, os, signal, sys
real, count, last = builtins.__import__, 0, int(os.environ["INTERRUPT_AT"])
def counting(*arguments, **options):
    global count
    if hasattr(sys.modules.get("carbonroute.cli"), "main"):
        count += 1
        if count == last:
            signal.raise_signal(signal.SIGINT)
    return real(*arguments, **options)
builtins.__import__ = counting
if not last:
    import atexit
    atexit.register(lambda: real("pathlib").Path(os.environ["COUNT_INTO"]).write_text(str(count)))
"""


def interrupted_at(number: int, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(INTERRUPTING, encoding="utf-8")
    settings = {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path]), "COUNT_INTO": str(folder / "n")}
    return start("validate", "published", environment={**settings, "INTERRUPT_AT": str(number)})


@pytest.fixture(scope="module")
def imports(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Return how often a command imports something."""
    folder = tmp_path_factory.mktemp("imports")
    assert interrupted_at(0, folder).returncode == 0
    count = int((folder / "n").read_text(encoding="utf-8"))
    assert count > 100
    return count


@pytest.mark.parametrize(
    "number", grid(["1", "2", "3", "3/8", "1/8", "2/8", "5/8", "4/8", "6/8", "7/8"], one_of=3)
)
def test_ctrl_c_while_it_imports_ends_it_as_at_any_other_time(
    number: str, imports: int, tmp_path: Path
) -> None:
    """At the first imports, and after so many eighths of all."""
    first, _, eighths = number.partition("/")
    done = interrupted_at(int(first) * imports // 8 if eighths else int(first), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


# Where nothing can be written


def test_a_limit_of_file_sizes_is_an_error_like_a_full_disk(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = start(*simulate(small.write(tmp_path)), first=limit)
    assert done.returncode == 2
    assert ": cannot write here (File too large); make room" in done.stderr
    assert not list((tmp_path / "out").rglob("*.partial"))
    with (tmp_path / "printed").open("w") as file:
        done = start("policies", stdout=file.fileno(), first=limit)
        assert done.returncode == 2
        assert done.stderr.startswith("error: standard output: File too large; ")
        done = start("policies", stdout=file.fileno(), stderr=file.fileno(), first=limit)
        assert done.returncode == 2
        done = start("--help", stdout=file.fileno(), stderr=file.fileno(), first=limit)
        assert done.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "closed"),
    grid(
        [["policies"], ["--help"], ["validate", "none.toml"], ["simulate", "--x"]],
        [(1,), (2,), (1, 2), (0, 1, 2)],
        one_of=4,
    ),
)
def test_a_closed_stream_hears_nothing(arguments: list[str], closed: tuple[int, ...]) -> None:
    def close() -> None:
        for number in closed:
            os.close(number)

    done = start(*arguments, first=close)
    assert done.returncode == (0 if arguments[0] in {"policies", "--help"} else 2)
    assert "Traceback" not in done.stderr


def test_results_do_not_depend_on_streams_that_are_closed(tmp_path: Path) -> None:
    scenario = own_policy(tmp_path, "os.write(1, b'printed')\nprint('printed')")
    done = start(*simulate(scenario), first=lambda: os.closerange(0, 3))
    assert done.returncode == 0
    require_unchanged(tmp_path / "out", read_manifest(tmp_path / "out")["outputs"])


def test_a_reader_that_leaves_takes_errors_with_it() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = start("validate", "none.toml", stdout=writing, stderr=writing)
    os.close(writing)
    assert done.returncode == 2


# What a policy does

RAISED = {
    "GeneratorExit": "raise GeneratorExit",
    "SystemExit: 3": "sys.exit(3)",
    "SystemExit": "raise SystemExit",
    "StopIteration": "next(iter([]))",
    "MemoryError": "raise MemoryError",
    "RecursionError: ": "def f():\n    f()\nf()",
    "Stop: now": "class Stop(KeyboardInterrupt): pass\nraise Stop('now')",
    "Base: now": "class Base(BaseException): pass\nraise Base('now')",
    "Mute: no text available": (
        "class Mute(Exception):\n    def __str__(self):\n        raise ValueError\nraise Mute"
    ),
    "ExceptionGroup: two (1 sub-exception)": "raise ExceptionGroup('two', [ValueError()])",
}


@pytest.mark.parametrize("found", RAISED)
def test_whatever_a_policy_raises_is_its_error(
    found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(simulate(own_policy(tmp_path, RAISED[found]))) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: policy 'Own': {found}")
    assert " (own.py, line " in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("found", RAISED)
def test_so_is_what_its_file_and_its_class_raise(
    found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raising = "".join(f"    {line}\n" for line in RAISED[found].splitlines())
    own_policy(tmp_path, "", top=f"def fail(*_):\n{raising}\nfail()")
    assert main(["validate", str(tmp_path / "small.toml")]) == 2
    said = capsys.readouterr().err
    assert "policies[0].use: own.py fails when it is run (line " in said
    assert f": {found}" in said
    made = f"def fail(*_):\n{raising}\nclass Making(type):\n    __call__ = fail\n"
    own_policy(tmp_path, "", top=made)
    text = (tmp_path / "own.py").read_text(encoding="utf-8")
    (tmp_path / "own.py").write_text(
        text.replace("class Own:", "class Own(metaclass=Making):"), encoding="utf-8"
    )
    assert main(["validate", str(tmp_path / "small.toml")]) == 2
    assert f"policies[0]: 'own.py:Own' cannot be made ({found}" in capsys.readouterr().err


def test_a_policy_is_interrupted_by_ctrl_c_alone(tmp_path: Path) -> None:
    assert main(simulate(own_policy(tmp_path, "raise KeyboardInterrupt"))) == 130


def test_the_contract_names_what_a_policy_raises() -> None:
    class Leaving:
        name = "Leaving"

        def cost(self, view: object) -> object:
            raise GeneratorExit

    with pytest.raises(PolicyError, match=r"policy 'Leaving': GeneratorExit \(test_ends\.py, line \d+\)"):
        check_policy(Leaving())  # type: ignore[arg-type]  # it breaks the contract


@pytest.mark.parametrize("command", ["simulate", "validate", "inspect", "frontier"])
def test_what_a_policy_prints_is_not_among_the_results(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    printing = "print('printed')\nos.write(1, b'printed')\nsys.stdout.flush()"
    scenario = own_policy(tmp_path, printing, top=printing)
    options = {"validate": [], "inspect": ["--json"]}.get(
        command, ["--json", "--no-figures", "--output", str(tmp_path / "out")]
    )
    assert main([command, str(scenario), *options]) == 0
    out, err = capfd.readouterr()
    assert "printed" not in out
    assert "printed" in err
    if options:
        assert json.loads(out)


def test_what_a_policy_prints_goes_to_stderr_in_workers_too(tmp_path: Path) -> None:
    scenario = own_policy(tmp_path, "", MANY, top="print('printed')\nos.write(1, b'printed')")
    done = start(*simulate(scenario, "--workers", "2", "--json"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    assert done.stderr.count("printed") == 4


# What libraries say


def test_what_libraries_warn_of_is_noted_once_and_not_at_all_if_quiet(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    body = "warnings.warn('odd\\nnumbers')\n__import__('logging').warning('%s logged', 'odd')"
    scenario = own_policy(tmp_path, body)
    done = start(*simulate(scenario))
    assert (done.returncode, done.stderr) == (0, "note: odd numbers\nnote: odd logged\n")
    done = start(*simulate(scenario, "--quiet"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not recwarn.list


@pytest.mark.parametrize("quiet", [True, pytest.param(False, marks=pytest.mark.full)])
def test_matplotlib_says_nothing_if_quiet(quiet: bool, tmp_path: Path) -> None:
    """Where it has no folder of its own it warns at its import, and builds a font cache."""
    (tmp_path / "no-folder").touch()
    settings = {"MPLCONFIGDIR": str(tmp_path / "no-folder"), "TMPDIR": str(tmp_path)}
    small.write(tmp_path, ('name = "B"', 'name = "بلد"'), ("B = 65", '"بلد" = 65'), ("B = 10", '"بلد" = 10'))
    arguments = ["frontier", str(tmp_path / "small.toml"), "--output", str(tmp_path / "out")]
    if quiet:
        done = start(*arguments, "--quiet", environment=settings)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return
    done = start(*arguments, environment=settings)
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert any("Matplotlib" in line for line in lines)
    assert all(line.startswith("note: ") for line in lines)
    assert len(set(lines)) == len(lines)


def test_without_compiled_loops_queues_give_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pools = "[[pools]]\nservers = 2\nqueue_limit = 3\n[[policies]]"
    scenario = small.write(tmp_path, ("[[policies]]", pools))
    assert main(simulate(scenario, "--json")) == 0
    plain = start(*simulate(scenario, "--json"), environment={"NUMBA_DISABLE_JIT": "1"}).stdout
    assert capsys.readouterr().out == plain != ""
