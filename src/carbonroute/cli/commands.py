"""The commands: name, help, runnable examples, and where to go on."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Columns of the narrowest terminal that examples are written for.
_WIDTH = 79
_RUNS_CODE = (
    "A scenario that names a policy of its own (use = 'file.py:Class' or 'package.module:Class') has that "
    "file or installed module run for this. With --no-code it is refused instead."
)
_REPLAYS_CODE = (
    "Records that name a policy of a file or module have it run for this. With --no-code it is refused."
)


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Attributes
    ----------
    name
        As it is called: ``simulate``, or ``study run``.
    help
        Its purpose: a sentence, and paragraphs after it.
    examples
        Whole command lines, without the program's name. They can be run one after the other, in the order
        of `COMMANDS`.
    ending
        Last line of its help: what usually comes next.
    target
        Module and function below `carbonroute.cli`, where they are not named as the command.
    """

    name: str
    help: str
    examples: tuple[str, ...]
    ending: str
    target: str = ""

    @property
    def reference(self) -> str:
        """The function, as ``package.module:function``."""
        module, _, part = self.name.partition(" ")
        return f"carbonroute.cli.{self.target or f'{module}:{part or module}'}"

    @property
    def epilogue(self) -> str:
        """Examples and ending as Markdown."""
        lines = "\n".join(map(_folded, self.examples))
        return f"Examples:\n\n```\n{lines}\n```\n\n{self.ending}"


def _folded(example: str) -> str:
    r"""Return a whole command in lines that a narrow terminal holds, each but the last ending in a backslash.

    >>> print(_folded("init a-file-with-quite-a-long-name.toml --from published --output somewhere"))
    carbonroute init a-file-with-quite-a-long-name.toml --from published \
        --output somewhere
    """
    line, *options = re.split(r" (?=--)", f"carbonroute {example}")
    lines = []
    for option in options:
        if len(f"{line} {option} \\") <= _WIDTH:
            line = f"{line} {option}"
        else:
            lines.append(f"{line} \\")
            line = f"    {option}"
    return "\n".join([*lines, line])


COMMANDS = (
    Command(
        "init",
        "Write a commented scenario file, or a policy, to start from.",
        (
            "init mine.toml --regions aws:eu-west-1,aws:us-east-1,aws:ap-south-1",
            "init small.toml --regions aws:eu-north-1,gcp:europe-west3 --models bge-large",
            "init study-copy.toml --from published",
            "init --policy my_policy.py",
        ),
        "Next: `carbonroute validate FILE`, then `carbonroute simulate FILE`.",
    ),
    Command(
        "validate",
        f"Check a scenario and its data without simulating it.\n\n{_RUNS_CODE}",
        ("validate mine.toml", "validate mine.toml --json"),
        "Next: `carbonroute simulate FILE`. Faults come with file, line and remedy.",
    ),
    Command(
        "simulate",
        "Run a scenario: print the policy table, write tables and figures.",
        (
            "simulate published",
            "simulate mine.toml --sim-hours 24 --output day --report",
            "simulate mine.toml --replications 20 --output sure --no-figures",
            "simulate mine.toml --engine exact --json --output exact",
        ),
        "Next: `carbonroute frontier SCENARIO` finds the best policy, `carbonroute whatif` tries changes.",
    ),
    Command(
        "frontier",
        "Try many policies and parameters: draw the front, and recommend one within limits.",
        ("frontier mine.toml", "frontier mine.toml --max-violation 1% --output strict"),
        "Next: paste its lines into the scenario; `carbonroute sensitivity SCENARIO` says how firm they are.",
    ),
    Command(
        "sensitivity",
        "Show how the recommended policy responds to each input, changed by a tenth.",
        ("sensitivity mine.toml --sim-hours 24 --output day",),
        "Next: measure the inputs that matter most; docs/guides/certainty.md reads the table.",
    ),
    Command(
        "headroom",
        "Run a scenario with capacity as a multiple of its load, and compare the savings.",
        (
            "headroom examples/capacity-published.toml --sim-hours 2 --output servers",
            "headroom examples/capacity-published.toml --at 1.25,2,inf --sim-hours 2 --output servers",
        ),
        "Next: `carbonroute whatif SCENARIO --full REGION` says what a full region costs.",
    ),
    Command(
        "whatif",
        "Compare a scenario as it is with a full, missing or changed region, or other traffic.\n\nAll "
        "changes that are given hold together; options of changes may be given again, for other names.",
        (
            "whatif mine.toml --without us-east-1",
            "whatif mine.toml --traffic 2x --carbon eu-west-1=+20%",
            "whatif mine.toml --add aws:eu-north-1 --json",
        ),
        "Next: put what is to stay into the scenario, and run `carbonroute simulate`.",
    ),
    Command(
        "figures",
        "Draw the figures of a finished run again.",
        ("figures day", "figures day --format pdf --style paper"),
        "Next: `carbonroute tables FOLDER --format latex` has the tables for the same paper.",
    ),
    Command(
        "report",
        "Write one page that shows all of a finished run or study.",
        ("report day", "report day --output mine.html"),
        "Next: open the page in a browser, or print it; it needs no network.",
    ),
    Command(
        "tables",
        "Print a table of a finished run or study as LaTeX, Markdown or CSV.",
        ("tables day", "tables day --format latex --table workloads --output workloads.tex"),
        "Next: `carbonroute figures FOLDER --style paper` draws the figures for the same paper.",
    ),
    Command(
        "study run",
        "Run a study; after an interruption, resume it.",
        ("study run examples/studies/limits.toml", "study run examples/studies/limits.toml --retry --report"),
        "Next: `carbonroute study show FOLDER`. Interrupted, the same command goes on.",
    ),
    Command(
        "study status",
        "Show the progress of a study.",
        ("study status outputs/limits", "study status outputs/limits --json"),
        "Next: `carbonroute study show FOLDER` when it is finished.",
    ),
    Command(
        "study show",
        "Print the results of a finished study.",
        ("study show outputs/limits", "study show outputs/limits --csv"),
        "Next: `carbonroute report FOLDER` makes one page of it.",
    ),
    Command(
        "study figures",
        "Draw the figures of a finished study.",
        ("study figures outputs/limits --format pdf --style paper",),
        "Next: `carbonroute report FOLDER` makes one page of it.",
    ),
    Command(
        "policies",
        "List the policies that a scenario can use, or check one of your own.\n\nWith --check, the file or "
        "module of a policy is run for this.",
        ("policies", "policies --check my_policy.py:MyPolicy"),
        "Next: a `[[policies]]` entry in the scenario, such as use = \"hybrid\".",
    ),
    Command(
        "replay",
        f"Replay recorded decisions, and count those that differ.\n\n{_REPLAYS_CODE}",
        (
            "simulate examples/capacity-published.toml --sim-hours 1 --journal journal --output queued",
            "replay journal",
        ),
        "The exit code is 1 where a decision differs, and 2 where a record is damaged.",
    ),
    Command(
        "calibrate",
        "Write a scenario, or a pool, as a journal of decisions or a log of requests measured it.\n\n"
        f"{_RUNS_CODE}",
        (
            "calibrate journal/09-spill --scenario examples/capacity-published.toml "
            "--output examples/measured.toml",
            "calibrate examples/llm-requests.jsonl --model llama-3.1-8b --gpu rtx-4090 --output pool.toml",
        ),
        "Next: `carbonroute simulate FILE` runs the scenario as measured.",
    ),
    Command(
        "live init",
        "Write a commented live file for a scenario: a shadow that moves nothing.",
        ("live init mine.toml --output live.toml",),
        "Next: `carbonroute live check FILE` asks all that the file names, and changes nothing.",
    ),
    Command(
        "live check",
        f"Ask all that a live file names once, and print the decision now.\n\n{_RUNS_CODE}",
        ("live check live.toml", "live check live.toml --json"),
        "Next: `carbonroute live run FILE --shadow` decides and records, and moves nothing.",
    ),
    Command(
        "live run",
        f"Run a live file's policy until the process is ended.\n\n{_RUNS_CODE}",
        ("live run live.toml --shadow", "live run live.toml --canary 5%"),
        "SIGTERM ends it after the present decision; `carbonroute live status FILE` tells how it does.",
    ),
    Command(
        "live status",
        "Print the last decision of a live file's controller, and whether it runs.",
        ("live status live.toml",),
        "The exit code is 1 where it does not run, or has alarms.",
    ),
    Command(
        "live savings",
        "Print what a live controller saved, from its journal.",
        ("live savings journal", "live savings journal --scenario mine.toml"),
        "Next: `carbonroute calibrate JOURNAL` corrects the scenario by what was measured.",
    ),
    Command(
        "scenarios",
        "List the built-in scenarios.",
        ("scenarios", "scenarios --json"),
        "Next: `carbonroute simulate NAME`, or `carbonroute init FILE --from NAME` for a copy to change.",
    ),
    Command(
        "regions",
        "Search the catalogue of cloud regions: place, grid, carbon intensity, PUE.",
        ("regions ireland", "regions --provider aws --json"),
        "Next: `carbonroute init FILE --regions ID,ID,ID` writes a scenario of them.",
    ),
    Command(
        "models",
        "Search the catalogue of language models: parameters, layers, cache of a token, experts.",
        ("models llama", "models qwen3 --json"),
        "Next: `carbonroute init FILE --regions ID,ID,ID --models NAME` for those that are measured.",
    ),
    Command(
        "gpus",
        "Search the catalogue of GPUs: memory, bandwidth, arithmetic, power, link.",
        ("gpus h100", "gpus a100 --json"),
        "docs/llm.md says how the time of a step, the cache and the power follow from these figures.",
    ),
    Command(
        "inspect",
        f"Describe a data file: content, faults, and the lines that read it.\n\n{_RUNS_CODE}",
        ("inspect examples/access.log", "inspect mine.toml --picture inputs.png"),
        "Next: paste its lines into the scenario, and run `carbonroute validate`.",
    ),
    Command(
        "fetch",
        "Fetch the history of a carbon provider into files that scenarios read.",
        (
            "fetch neso --from 2024-01-01 --to 2024-01-15 --output grid",
            "fetch electricity-maps --zones DE,FR --from 2024-01-01 --to 2024-02-01 --token-env EM_TOKEN "
            "--output grid",
        ),
        "Next: `carbonroute inspect FILE` for one of them, or paste the lines into a scenario.",
    ),
    Command(
        "import",
        "Write a scenario from your own logs, metrics, tables or traces.",
        (
            "import examples/access.log --output logs.toml --carbon eu-west-1=300,us-east-1=380",
        ),
        "Next: fill in what no file tells, then `carbonroute validate FILE`.",
        target="import_:import_",
    ),
)  # fmt: skip
