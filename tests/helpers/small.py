"""A small scenario as text, the changes that make another of it, and the carbon file that it can read."""

from __future__ import annotations

from pathlib import Path

SCENARIO = """\
schema = 1
name = "small"

[horizon]
hours = 6
start = 2021-01-01T00:00:00Z

[sampling]
scheme = "streams"
seed = 7

[information]
service_time = "mean"

[traffic]
kind = "fixed-rate"
requests_per_hour = 50

[carbon]
kind = "synthetic"
noise = 0.1

[network]
jitter_std_ms = 3
[network.rtt_ms]
West = { A = 5, B = 65 }
East = { A = 80, B = 10 }

[[origins]]
name = "West"
share = 0.4
[[origins]]
name = "East"
share = 0.6

[[regions]]
name = "A"
carbon_g_per_kwh = 400
[[regions]]
name = "B"
carbon_g_per_kwh = 50

[[workloads]]
id = "short"
name = "Short answers"
model = "tiny"
share = 0.7
slo_ms = 100
service_ms = { law = "normal", mean = 20, std = 4 }
[[workloads]]
id = "long"
name = "Long answers"
model = "large"
share = 0.3
slo_ms = 300
service_ms = { law = "normal", mean = 120, std = 25, floor = 1 }

[[policies]]
use = "latency-first"
[[policies]]
use = "hybrid"
alpha = 0.5
[[policies]]
use = "constrained-hybrid"
margin_ms = 5
"""

#: What stands in the scenario for made-up carbon, and what reads a file instead.
SYNTHETIC = 'kind = "synthetic"\nnoise = 0.1\n'
WIDE = 'kind = "file"\npath = "carbon.csv"\nlayout = "wide"\ntime_column = "time"\nunit = "g/kWh"\n'
LONG = (
    'kind = "file"\npath = "carbon.csv"\nlayout = "long"\ntime_column = "time"\nzone_column = "zone"\n'
    'value_column = "value"\nunit = "g/kWh"\n'
)

HOURS = tuple(f"2021-01-01T{hour:02}:00:00Z" for hour in range(6))
#: Six hours of both zones.
WIDE_CSV = "time,A,B\n" + "".join(f"{time},{400 + i},{50 + i}\n" for i, time in enumerate(HOURS))
LONG_CSV = "time,zone,value\n" + "".join(
    f"{time},{zone},{value + i}\n" for zone, value in (("A", 400), ("B", 50)) for i, time in enumerate(HOURS)
)

Change = tuple[str, str]


def changed(text: str, *changes: Change) -> str:
    """Return a text with the first place of each `old` replaced by `new`; every `old` must be there."""
    for old, new in changes:
        assert old in text, f"{old!r} is not in the text to change"
        text = text.replace(old, new, 1)
    return text


def write(folder: Path, *changes: Change) -> Path:
    """Write the scenario, changed, and return its path."""
    path = folder / "small.toml"
    path.write_text(changed(SCENARIO, *changes), encoding="utf-8")
    return path


def write_with_carbon(folder: Path, data: str | bytes, section: str = WIDE, *changes: Change) -> Path:
    """Write the scenario with a carbon file beside it, at the section's path."""
    path = section.partition('path = "')[2].partition('"')[0]
    (folder / path).write_bytes(data.encode() if isinstance(data, str) else data)
    return write(folder, (SYNTHETIC, section), *changes)


def timed_log(folder: Path) -> str:
    """Write a log of half an hour with service times of its own; return the lines of ``[traffic]`` for it."""
    start = 1_609_459_200  # 2021-01-01
    rows = [f"{start + 60 * minute},{20 + minute},West,short\n" for minute in range(30)]
    log = "".join(["TIME,SERVICE,WHO,WHAT\n", *rows])
    (folder / "log.csv").write_text(log, encoding="utf-8")
    return (
        'kind = "replay"\n[[traffic.logs]]\npath = "log.csv"\ntime_column = "TIME"\ntime_unit = "s"\n'
        'service_column = "SERVICE"\nservice_unit = "ms"\norigin_column = "WHO"\nworkload_column = "WHAT"\n'
    )
