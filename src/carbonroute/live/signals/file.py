"""A file that another program keeps up to date, of any kind that scenarios read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import field_validator

from carbonroute.carbon import Accounting, CarbonSource, FileSource, Query
from carbonroute.carbon.formats import labelled
from carbonroute.live.signals.plain import plain_points
from carbonroute.live.signals.provider import (
    Call,
    Point,
    Provider,
    ProviderContext,
    Reply,
    Session,
    points_of,
)


class LiveFile(Provider):
    """A file of carbon values; rows that begin later than now are not read yet.

    Attributes
    ----------
    carbon
        How it is read, as ``[carbon]`` of a scenario; paths are relative to the live file.
    """

    kind: Literal["file"]
    carbon: CarbonSource

    @field_validator("carbon")
    @classmethod
    def _of_a_file(cls, carbon: Any) -> Any:
        if not isinstance(carbon, FileSource):
            raise ValueError(f"found kind {carbon.kind!r}; a source that reads files is expected")
        return carbon

    @property
    def _source(self) -> FileSource:
        assert isinstance(self.carbon, FileSource)  # noqa: S101  the validator holds it
        return self.carbon

    @property
    def labels(self) -> Accounting:
        """Accounting of the values."""
        known = getattr(self._source, "labels", None)
        return labelled(self._source.accounting, known) if known else self._source.accounting

    def calls(self, zones: Sequence[str], now: datetime) -> tuple[Call, ...]:  # noqa: ARG002  a file needs no time
        """Return one reading of the file."""
        return (Call("latest", tuple(dict.fromkeys(zones))),)

    def parse(self, content: bytes, call: Call) -> Reply:
        """Refuse: a file is read in place."""
        raise NotImplementedError("files are read by `answer`")

    def answer(self, call: Call, session: Session, around: ProviderContext) -> Reply:  # noqa: ARG002  nothing is sent
        """Return the rows that have begun by now; of a zone without any, the next, which is refused."""
        now = around.clock.now()
        points = plain_points(self._source, call.zones, around.folder)
        if points is None:
            readings = self._source.read(Query.of_all_times(call.zones, around.folder))
            points = points_of(readings, self._source.step.minutes)
        return Reply({zone: _begun(of, now) for zone, of in points.items()})


def _begun(points: Sequence[Point], now: datetime) -> list[Point]:
    """Return the values whose interval has begun; if there is none, the next one."""
    begun = [each for each in points if each.start <= now]
    return begun or sorted(points, key=lambda each: each.start)[:1]
