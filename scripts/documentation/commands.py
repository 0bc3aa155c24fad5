"""docs/reference/commands.md: every command and option, from the command line's own help."""

from __future__ import annotations

import re

from carbonroute.cli.app import app
from carbonroute.cli.commands import COMMANDS

_TOP = """# Commands

Every command with its arguments and options, as `carbonroute COMMAND --help` has them: this page is made from
the command line itself (`scripts/docs reference`). Results go to stdout; progress, notes and errors to
stderr. [In a script](../guides/scripts.md) has the exit codes.

"""
_CONTENTS = re.compile(r"^## Table of Contents\n.*?(?=^\*\*Commands\*\*)", re.MULTILINE | re.DOTALL)


def page() -> str:
    """Return the whole page."""
    text = app.generate_docs(output_format="markdown")
    body = _CONTENTS.sub("", text).partition("\n")[2].replace("```console", "```text")
    body = re.sub(r"(--install-completion) \1", r"\1", body)  # an option that is a command is named twice
    for command in COMMANDS:
        lines = "\n".join(f"carbonroute {example}" for example in command.examples)
        usage = re.compile(rf"^```text\ncarbonroute {command.name} .*?^```\n", re.MULTILINE | re.DOTALL)
        if block := usage.search(body):
            end = block.end()
            body = f"{body[:end]}\nExamples:\n\n```sh\n{lines}\n```\n{body[end:]}"
    return _TOP + body.strip() + "\n"
