"""Single faults of a scenario with data files, of every kind, to be combined at random."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from helpers import small

_TRAFFIC = (
    'kind = "replay"\n[[traffic.logs]]\npath = "log.csv"\ntime_column = "time"\norigin_column = "origin"\n'
    'service_column = "ms"\nservice_unit = "ms"\n'
)
_RTT = "[network.rtt_ms]\nWest = { A = 5, B = 65 }\nEast = { A = 80, B = 10 }\n"
#: The small scenario, with a file for everything that can be one.
SCENARIO = small.changed(
    small.SCENARIO,
    (small.SYNTHETIC, small.WIDE + 'source = "a grid"\n'),
    ('kind = "fixed-rate"\nrequests_per_hour = 50\n', _TRAFFIC),
    (_RTT, 'rtt_file = "rtt.csv"\n'),
    (
        "mean = 20, std = 4 }",
        'mean = 20, std = 4 }\nenergy_j = 5\n',
    ),
    ('{ law = "normal", mean = 120, std = 25, floor = 1 }',
     '{ law = "empirical", path = "ms.csv", column = "ms", unit = "ms" }\nenergy_j = 50'),
)  # fmt: skip
FILES = {
    "carbon.csv": small.WIDE_CSV,
    "log.csv": "time,origin,ms\n" + "".join(f"2021-01-01T0{i}:10:00Z,West,{20 + i}\n" for i in range(6)),
    "rtt.csv": "from,A,B\nWest,5,65\nEast,80,10\n",
    "ms.csv": "ms\n100\n120\n140\n",
}


@dataclass(frozen=True)
class Planted:
    """A fault.

    Attributes
    ----------
    place
        Of what it changes: faults of one place exclude each other.
    changes, files
        In the scenario, and in the files beside it; None removes one.
    """

    place: str
    changes: tuple[small.Change, ...] = ()
    files: dict[str, str | None] = field(default_factory=dict)


def _of(file: str, old: str, new: str) -> dict[str, str | None]:
    return {file: small.changed(FILES[file], (old, new))}


PLANTED: dict[str, Planted] = {
    "an unknown key": Planted("horizon key", (("[horizon]\n", "[horizon]\nhuors = 3\n"),)),
    "an unknown section": Planted("section", (("[sampling]", "[smapling]\nseed = 1\n[sampling]"),)),
    "hours of another type": Planted("hours", (("hours = 6", 'hours = "6"'),)),
    "hours out of range": Planted("hours", (("hours = 6", "hours = 0"),)),
    "a start without offset": Planted("start", (("00:00:00Z", "00:00:00"),)),
    "a start as text": Planted("start", (("2021-01-01T00:00:00Z", '"2021-01-01"'),)),
    "no start": Planted("start", (("start = 2021-01-01T00:00:00Z\n", ""),)),
    "a seed below 0": Planted("seed", (("seed = 7", "seed = -7"),)),
    "an unknown scheme": Planted("scheme", (('"streams"', '"stream"'),)),
    "a percentage": Planted("share", (("share = 0.4", "share = 40"),)),
    "a percentage as text": Planted("share", (("share = 0.4", 'share = "40 %"'),)),
    "shares that do not add up": Planted("share", (("share = 0.4", "share = 0.35"),)),
    "shares of workloads that do not add up": Planted(
        "workload share",
        (("\"large\"\nshare = 0.3", "\"large\"\nshare = 0.2"),)
    ),
    "a name twice": Planted("origin", (('name = "East"\n', 'name = "West"\n'),)),
    "a region's name twice": Planted("region", (('name = "B"\n', 'name = "A"\n'),)),
    "a reserved name": Planted("region", (('name = "B"\n', 'name = "hour"\n'),)),
    "a pue below 1": Planted("pue", (('name = "A"\n', 'name = "A"\npue = 0.9\n'),)),
    "a latitude": Planted("latitude", (('name = "West"\n', 'name = "West"\nlatitude = 120\n'),)),
    "a misspelt key of a region": Planted("pue", (('name = "A"\n', 'name = "A"\npeu = 1.2\n'),)),
    "a zone that is not in the file": Planted("region zone", (("carbon_g_per_kwh = 50\n", 'zone = "C"\n'),)),
    "a limit below 0": Planted("slo", (("slo_ms = 100", "slo_ms = -100"),)),
    "no limit": Planted("slo", (("slo_ms = 300\n", ""),)),
    "an unknown law": Planted("law", (('law = "normal"', 'law = "norml"'),)),
    "a law without a mean": Planted("law", (("mean = 20, ", ""),)),
    "no energy of one workload": Planted("energy", (("energy_j = 50\n", ""),)),
    "an energy as text": Planted("energy", (("energy_j = 50\n", 'energy_j = "50 J"\n'),)),
    "an unknown policy": Planted("policy", (('use = "latency-first"', 'use = "latency-frist"'),)),
    "a parameter that there is not": Planted("alpha", (("alpha = 0.5", "alhpa = 0.5"),)),
    "a parameter out of range": Planted("alpha", (("alpha = 0.5", "alpha = 50"),)),
    "a policy twice": Planted(
        "policies",
        (("margin_ms = 5\n", 'margin_ms = 5\n[[policies]]\nuse = "constrained-hybrid"\nmargin_ms = 5\n'),)
    ),
    "an unknown kind of carbon": Planted("carbon", (('kind = "file"', 'kind = "flie"'),)),
    "an unknown unit": Planted("unit", (('unit = "g/kWh"', 'unit = "g/Wh"'),)),
    "a column that there is not": Planted(
        "carbon column",
        (('layout = "wide"\ntime_column = "time"', 'layout = "wide"\ntime_column = "tiem"'),)
    ),
    "no carbon file": Planted("carbon file", (), {"carbon.csv": None}),
    "a negative carbon value": Planted("carbon file", (), _of("carbon.csv", "402", "-402")),
    "a word in carbon": Planted("carbon file", (), _of("carbon.csv", "402", "much")),
    "no log": Planted("log", (), {"log.csv": None}),
    "a time that is none": Planted("log", (), _of("log.csv", "2021-01-01T03:10:00Z", "yesterday")),
    "an origin that there is not": Planted("log", (), _of("log.csv", "03:10:00Z,West", "03:10:00Z,Wset")),
    "a log's column that there is not": Planted(
        "log column",
        (('service_column = "ms"', 'service_column = "msec"'),)
    ),
    "a log's unit": Planted("log unit", (('service_unit = "ms"', 'service_unit = "min"'),)),
    "no RTT file": Planted("rtt", (), {"rtt.csv": None}),
    "a row of RTT": Planted("rtt", (), _of("rtt.csv", "East,", "Esat,")),
    "a negative RTT": Planted("rtt", (), _of("rtt.csv", "65", "-65")),
    "a negative jitter": Planted("jitter", (("jitter_std_ms = 3", "jitter_std_ms = -3"),)),
    "an unknown rule for RTT": Planted(
        "missing",
        (('rtt_file = "rtt.csv"', 'rtt_file = "rtt.csv"\nmissing = "revers"'),)
    ),
    "no file of service times": Planted("ms", (), {"ms.csv": None}),
    "a service time below 0": Planted("ms", (), _of("ms.csv", "120", "-120")),
    "a column of service times": Planted("ms column", (('column = "ms", unit', 'column = "msec", unit'),)),
    "information that there is not": Planted(
        "information",
        (('service_time = "mean"', 'service_time = "maen"'),)
    ),
    "an objective of no policy": Planted(
        "objective",
        (("[sampling]", '[objectives]\npolicy = "Nobody"\nslo_violation_pct = "<= 1"\n[sampling]'),)
    ),
    "a warm-up longer than the horizon": Planted(
        "warmup",
        (("[sampling]", "[control]\nwarmup_hours = 7\n[sampling]"),)
    ),
}  # fmt: skip

#: What faults belong together: one may hide another of the data that are read by the same section.
TOPICS = {
    "carbon": {"carbon", "unit", "carbon column", "carbon file", "region zone"},
    "log": {"log", "log column", "log unit"},
    "rtt": {"rtt", "missing"},
    "ms": {"ms", "ms column"},
    "horizon": {"hours", "start"},
    "names": {"origin", "region"},
    "policies": {"policy", "alpha", "policies"},
}
#: Faults of the scenario itself that cannot be known beside those of a topic.
_UNKNOWN = {
    "a warm-up longer than the horizon": {"horizon"},
    "an objective of no policy": {"policies"},
    "an unknown unit": {"carbon"},
    "no start": {"carbon", "log"},
}
_DATA = {
    "carbon": {"carbon", "horizon", "names"},
    "log": {"log", "horizon", "names"},
    "rtt": {"rtt", "names"},
    "ms": {"ms"},
}


def topic_of(name: str) -> str:
    """Return the topic of a fault, or its place where it has none."""
    place = PLANTED[name].place
    return next((topic for topic, places in TOPICS.items() if place in places), place)


def may_hide(name: str, others: list[str], *, is_of_data: bool) -> bool:
    """Whether a fault of data, or of the scenario itself, need not be known beside others."""
    hiding = _DATA.get(topic_of(name), set()) if is_of_data else _UNKNOWN.get(name, set())
    return any(topic_of(other) in hiding for other in others if other != name)


def write(folder: Path, names: list[str]) -> Path:
    """Write the scenario with some of the faults, and its files; return its path."""
    files: dict[str, str | None] = dict(FILES)
    text = SCENARIO
    for name in names:
        text = small.changed(text, *PLANTED[name].changes)
        files |= PLANTED[name].files
    for name, content in files.items():
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_text(content, encoding="utf-8")
    path = folder / "faulty.toml"
    path.write_text(text, encoding="utf-8")
    return path
