"""The changes that a what-if makes to a scenario: as a user writes them, in words, and by its keys."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from carbonroute.arrays import Array, Mask
from carbonroute.catalogue import cloud_region, remedy_for
from carbonroute.errors import Fault, InputError, did_you_mean
from carbonroute.scenario import Inputs, Scenario
from carbonroute.scenario.written.sections import Origin, Workload
from carbonroute.units import MS_PER

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_SIGNED = re.compile(rf"([+-]?)({_NUMBER})\s*(%?)")
_TIMES = re.compile(rf"({_NUMBER})\s*[x×]")
_LIMIT = re.compile(rf"(?:(ttft|tpot):\s*)?({_NUMBER})\s*(ms|s)")
#: Keys of a workload's limits, and what each is of.
_LIMITS: Mapping[str | None, tuple[str, str]] = MappingProxyType(
    {
        None: ("slo_ms", ""),
        "ttft": ("ttft_slo_ms", "the first token of "),
        "tpot": ("tpot_slo_ms", "further tokens of "),
    }
)

Fields = Mapping[str, Any]
ALLOWED = "allowed_regions"


@dataclass(frozen=True)
class Alterations:
    """What is to be different, all of it at once; each as the command line has it.

    Attributes
    ----------
    full
        Regions without a spare server: they serve the origins they are nearest to, and nobody else.
    without
        Regions that are taken away. Their users stay.
    carbon
        ``"NAME=+20%"``, ``"NAME=-50"`` or ``"NAME=300"``, of a region or of all regions in a zone: every hour
        is multiplied by the number that makes the mean over the horizon 20 % higher, 50 g/kWh lower, or
        300 g/kWh.
    traffic
        ``"2x"``, ``"+20%"`` or ``"-20%"``; None to leave it. Servers stay as many as they are.
    slo
        ``"WORKLOAD=8s"`` or ``"WORKLOAD=200ms"``, by its id or name; ``"WORKLOAD=ttft:1s"`` and
        ``"WORKLOAD=tpot:80ms"`` are the limits of first and further tokens.
    add
        Regions of the catalogue, such as ``"aws:eu-north-1"``, that serve requests as well; their round trips
        are estimated.
    """

    full: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    carbon: tuple[str, ...] = ()
    traffic: str | None = None
    slo: tuple[str, ...] = ()
    add: tuple[str, ...] = ()

    def read(self, inputs: Inputs) -> Altered:
        """Return what they change in a scenario.

        Raises InputError with every fault: names that the scenario does not have, values that cannot be read,
        or changes that contradict each other.
        """
        reading = _ChangeReader(inputs.scenario)
        if self == Alterations():
            reading.refuse("whatif", "found no change", "state one, such as --without REGION or --traffic 2x")
        full = reading.regions("--full", self.full)
        without = reading.removed(self.without)
        both = [name for name in reading.names(full) if name in reading.names(without)]
        if both:
            reading.refuse("--full", f"{both[0]!r} is taken away as well", "state one of the two")
        scale = reading.carbon(self.carbon, inputs.carbon.g_per_kwh.mean(axis=0), without)
        factor = reading.traffic(self.traffic)
        slo_ms = reading.slo(self.slo)
        added = reading.added(self.add)
        reading.raise_faults()
        return Altered(full, without, scale, factor, slo_ms, added, tuple(reading.words))


@dataclass(frozen=True)
class Altered:
    """The changes as numbers, for one scenario.

    Attributes
    ----------
    full, without
        Indices of regions.
    scale
        Factor on the carbon of a region, by its index.
    traffic
        Factor on all rates.
    slo_ms
        Limits of a workload, ms, by its index and by their keys: slo_ms, ttft_slo_ms, tpot_slo_ms.
    add
        Regions of the catalogue that stand behind the scenario's own, by id.
    words
        Every change in words, to follow "if".
    """

    full: tuple[int, ...]
    without: tuple[int, ...]
    scale: Mapping[int, float]
    traffic: float
    slo_ms: Mapping[int, Mapping[str, float]]
    add: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """All changes in words, to follow "if"."""
        return " and ".join(filter(None, [", ".join(self.words[:-1]), self.words[-1]]))

    def changes(self, data: Mapping[str, Any], scenario: Scenario) -> dict[str, Any]:
        """Return the changes of a scenario's keys by path, as `carbonroute.load` takes them.

        `data` are the tables that the scenario was loaded from, with the changes that it has already.
        """
        changes: dict[str, Any] = {}
        if self.scale or self.without or self.add:
            kept = list(self._regions(data["regions"], scenario))
            changes["regions"] = [*kept, *({"from": region} for region in self.add)]
        if self.add and scenario.network.missing == "refuse":
            changes["network.missing"] = "great-circle"
        rtt_ms = data.get("network", {}).get("rtt_ms")
        gone = {scenario.regions[index].name for index in self.without}
        if self.without and rtt_ms is not None:
            changes["network.rtt_ms"] = {
                origin: {name: value for name, value in row.items() if name not in gone}
                for origin, row in rtt_ms.items()
            }
        for section in ("origins", "workloads"):
            if any(gone.intersection(table.get(ALLOWED, ())) for table in data[section]):
                changes[section] = [_allowed_without(gone, table) for table in data[section]]
        if self.slo_ms:
            changes["workloads"] = [
                {**table, **self.slo_ms.get(index, {})}
                for index, table in enumerate(changes.get("workloads", data["workloads"]))
            ]
        if self.traffic != 1:
            key = scenario.traffic.rate_key
            changes[f"traffic.{key}"] = _multiplied(getattr(scenario.traffic, str(key)), self.traffic)
        return changes

    def _regions(self, tables: Sequence[Fields], scenario: Scenario) -> Iterator[Fields]:
        for index, (table, region) in enumerate(zip(tables, scenario.regions, strict=True)):
            if index not in self.without:
                factor = self.scale.get(index)
                yield table if factor is None else {**table, "carbon_scale": region.carbon_scale * factor}

    @property
    def full_places(self) -> list[int]:
        """Indices of the full regions among those that are left."""
        return [index - sum(gone < index for gone in self.without) for index in self.full]

    def allowed(self, rtt_ms: Array, allowed: Mask) -> Mask:
        """Return which regions may serve a cell while some are full, shape (O, W, R).

        A full region is left to the cells that it has the lowest round trip to, among the allowed ones, the
        first on ties: requests that would come to it if nothing were moved.

        `rtt_ms`: round trips to the regions that are left, shape (O, R).
        `allowed`: which of them may serve a cell, shape (O, W, R).
        """
        regions = np.arange(rtt_ms.shape[1])
        nearest = np.where(allowed, rtt_ms[:, np.newaxis], np.inf).argmin(axis=-1)
        taking: Mask = ~np.isin(regions, self.full_places) | (regions == nearest[..., np.newaxis])
        return allowed & taking


def _allowed_without(gone: Collection[str], table: Fields) -> Fields:
    """Return the table of an origin or a workload, its allowed regions without those that are gone."""
    if ALLOWED not in table:
        return table
    return {**table, ALLOWED: [name for name in table[ALLOWED] if name not in gone]}


def _multiplied(rate: float, factor: float) -> float:
    """Return a rate times a factor; a whole number where the rate is one, as of so many requests an hour."""
    return max(1, round(rate * factor)) if isinstance(rate, int) else rate * factor


class _ChangeReader:
    """Reads changes of a scenario, and collects their faults."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.faults: list[Fault] = []
        self.words: list[str] = []

    def refuse(self, option: str, problem: str, remedy: str, kind: str = "invalid-value") -> None:
        self.faults.append(Fault("", problem, remedy, kind, file=option))

    def raise_faults(self) -> None:
        if self.faults:
            raise InputError(self.faults[0].file, self.faults)

    def names(self, regions: Iterable[int]) -> list[str]:
        return [self.scenario.regions[index].name for index in regions]

    def regions(self, option: str, given: Sequence[str]) -> tuple[int, ...]:
        """Return the indices of regions by name; each one once."""
        known = [[region.name] for region in self.scenario.regions]
        indices = [index for name in given for index in self._named(option, name, "region", known)]
        if option == "--full":
            self.words += [f"{name} is full" for name in self.names(dict.fromkeys(indices))]
        return tuple(dict.fromkeys(indices))

    def removed(self, given: Sequence[str]) -> tuple[int, ...]:
        """Return the indices of the regions that are taken away."""
        indices = self.regions("--without", given)
        if indices and len(indices) == len(self.scenario.regions):
            self.refuse("--without", "found every region of the scenario", "leave one that serves requests")
        self.words += [f"there is no {name}" for name in self.names(indices)]
        gone = set(self.names(indices))
        members: tuple[Origin | Workload, ...] = (*self.scenario.origins, *self.scenario.workloads)
        for member in members if len(gone) < len(self.scenario.regions) else ():
            if member.allowed_regions and gone.issuperset(member.allowed_regions):
                problem = (
                    f"requests of {member.name} may be served in {', '.join(member.allowed_regions)} alone"
                )
                self.refuse("--without", problem, "leave one of these, or allow another region")
        return indices

    def carbon(self, given: Sequence[str], mean: Array, without: Sequence[int]) -> dict[int, float]:
        """Return the factor on each region's carbon, by index; `mean`: over the horizon, g/kWh, (R,)."""
        regions = self.scenario.regions
        by_name = [[region.name] for region in regions]
        by_zone = [[region.name, region.zone or region.name] for region in regions]
        scale: dict[int, float] = {}
        for text in given:
            name, amount = self._pair("--carbon", text, "de=+20%, de=-50 or de=300 (g/kWh)")
            known = by_name if any(name in names for names in by_name) else by_zone
            indices = self._named("--carbon", name, "region or zone", known) if name else []
            match = _SIGNED.fullmatch(amount)
            if name and (match is None or (match[3] and not match[1])):
                problem = f"found {amount!r} for {name}"
                self.refuse("--carbon", problem, "+20% or -20%, +50 or -50 g/kWh, or 300 g/kWh is expected")
            elif match is not None and indices:
                own = {label for index in indices for label in known[index]}
                spelled = name if name in own else next(x for x in own if x.casefold() == name.casefold())
                self.words.append(_carbon_in_words(spelled, match))
                for index in indices:
                    if index in scale:
                        self.refuse("--carbon", f"{regions[index].name} stands twice", "state it once")
                    if index in without:
                        problem = f"{regions[index].name} is taken away as well"
                        self.refuse("--carbon", problem, "state one of the two")
                    scale[index] = self._factor(name, match, float(mean[index]))
        return scale

    def _factor(self, name: str, match: re.Match[str], mean: float) -> float:
        """Return the factor that gives a region's carbon another mean over the horizon."""
        sign, number, percent = -1 if match[1] == "-" else 1, float(match[2]), match[3]
        if percent:
            factor = 1 + sign * number / 100
        elif mean == 0:
            problem = f"{name} has no carbon at all: no factor changes that"
            self.refuse("--carbon", problem, "leave it out")
            return 1.0
        else:
            factor = (mean + sign * number if match[1] else number) / mean
        if factor < 0:
            problem = f"{match[0]} leaves less than nothing of the {mean:.1f} g/kWh of {name}"
            most = "-100%" if percent else f"-{mean:.1f}"
            self.refuse("--carbon", problem, f"no less than {most} is expected")
        return factor

    def traffic(self, given: str | None) -> float:
        """Return the factor on all traffic."""
        if given is None:
            return 1.0
        times, signed = _TIMES.fullmatch(given.strip()), _SIGNED.fullmatch(given.strip())
        factor = 0.0
        if times:
            factor = float(times[1])
        elif signed and signed[1] and signed[3]:
            factor = 1 + float(signed[1] + signed[2]) / 100
        if not 0 < factor <= 1e6:
            self.refuse("--traffic", f"found {given!r}", "2x, 0.5x, +20% or -20% is expected")
        elif self.scenario.traffic.rate_key is None:
            problem = f"traffic of kind {self.scenario.traffic.kind!r} is that of its logs"
            remedy = "state rates, such as traffic.kind = 'poisson' or 'rate-file': they can be multiplied"
            self.refuse("--traffic", problem, remedy)
        self.words.append(f"traffic is {factor:g} times as much")
        return factor

    def slo(self, given: Sequence[str]) -> dict[int, dict[str, float]]:
        """Return the limits of workloads, ms, by index and key."""
        known = [[workload.id, workload.name] for workload in self.scenario.workloads]
        pools = [*self.scenario.pools, *(pool for region in self.scenario.regions for pool in region.pools)]
        llm = any(pool.llm for pool in pools)
        slo_ms: dict[int, dict[str, float]] = {}
        for text in given:
            name, span = self._pair("--slo", text, "chat=8s or chat=200ms")
            indices = self._named("--slo", name, "workload", known) if name else []
            match = _LIMIT.fullmatch(span)
            if name and (match is None or float(match[2]) == 0):
                remedy = "a time is expected: 8s or 200ms, ttft:1s or tpot:80ms of first or further tokens"
                self.refuse("--slo", f"found {span!r} for {name}", remedy)
            elif match is not None and match[1] and not llm:
                problem = f"{text} limits tokens, and no pool of the scenario states llm"
                self.refuse("--slo", problem, f"limit the whole request: {name}={match[2]}{match[3]}")
            elif match is not None and indices:
                key, of = _LIMITS[match[1]]
                self.words.append(f"the limit of {of}{name} is {match[2]} {match[3]}")
                for index in indices:
                    limits_ms = slo_ms.setdefault(index, {})
                    if key in limits_ms:
                        self.refuse("--slo", f"{name} stands twice", "state it once")
                    limits_ms[key] = float(match[2]) * MS_PER[match[3]]
        return slo_ms

    def added(self, given: Sequence[str]) -> tuple[str, ...]:
        """Return the regions of the catalogue that are added, by id."""
        names = [region.name for region in self.scenario.regions]
        for text in given:
            region = cloud_region(text)
            if region is None:
                problem = f"the catalogue has no region {text!r}"
                self.refuse("--add", problem, remedy_for(text), "unknown-name")
            elif region.region in names:
                self.refuse("--add", f"the scenario has a region {region.region!r}", "leave it out")
            else:
                names.append(region.region)
                self.words.append(f"there is {text} as well")
        return tuple(given)

    def _pair(self, option: str, text: str, example: str) -> tuple[str, str]:
        """Return name and value of ``NAME=VALUE``; an empty name where it is none."""
        name, _, value = text.rpartition("=")
        if not name.strip():
            self.refuse(option, f"found {text!r}", f"a name and a value are expected: {example}")
            return "", ""
        return name.strip(), value.strip()

    def _named(self, option: str, name: str, kind: str, known: Sequence[Sequence[str]]) -> list[int]:
        """Return the indices of the members that have a name, in upper or lower case where none has it."""
        exact = [index for index, names in enumerate(known) if name in names]
        folded = name.casefold()
        indices = exact or [i for i, names in enumerate(known) if folded in map(str.casefold, names)]
        if indices and (len(indices) == 1 or kind == "region or zone"):
            return indices
        if indices:
            named = ", ".join(known[index][0] for index in indices)
            self.refuse(option, f"{name!r} may be {named}", f"give the {kind}'s own name, or its id")
            return []
        problem, remedy = f"there is no {kind} {name!r}", did_you_mean(name, _each_once(known))
        if kind != "workload" and any(name == origin.name for origin in self.scenario.origins):
            problem = f"{name!r} is an origin alone: no region of that name serves requests"
        self.refuse(option, problem, remedy, "unknown-name")
        return []


def _each_once(names: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for some in names for name in some))


def _carbon_in_words(name: str, match: re.Match[str]) -> str:
    """Return a change of carbon in words."""
    if not match[1]:
        return f"the carbon intensity of {name} is {match[2]} g/kWh on average"
    unit = " %" if match[3] else " g/kWh"
    return f"the carbon intensity of {name} is {match[2]}{unit} {'higher' if match[1] == '+' else 'lower'}"
