"""The rows that a benchmark prints: ratios against a peer, and a last line of JSON for `benchmarks/results/`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

from videomac.facts.provenance import provenance


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison, printed as soon as it is made."""

    case: str
    ratio: float
    """How many times better than the peer."""
    against: str
    """The peer."""
    at_least: float | None = None
    """The lowest ratio that will do; None: the row is only reported."""
    facts: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """What is behind the ratio, by name."""
    right: bool = True
    """Whether the results are those of the peer, where the case asks for that too."""

    def __post_init__(self) -> None:
        limit = "" if self.at_least is None else f"  at least {self.at_least:g}{'' if self.ok else '  MISSED'}"
        shown = "  ".join(f"{name} {value}" for name, value in self.facts.items())
        print(f"{self.case:46} {self.ratio:8.3f} x {self.against}{limit}  {shown}", flush=True)

    @property
    def ok(self) -> bool:
        """Whether the case is as it should be."""
        return self.right and (self.at_least is None or self.ratio >= self.at_least)


def finish(benchmark: str, rows: Sequence[Row]) -> int:
    """Print the line of JSON that `benchmarks/results/` keeps; return the exit code, 1 if a row misses its limit."""
    origin = provenance()
    lines = [
        {"case": row.case, "ratio": round(row.ratio, 6), "against": row.against, "at_least": row.at_least, "ok": row.ok}
        | dict(row.facts)
        for row in rows
    ]
    print(json.dumps({"benchmark": benchmark, "machine": origin["machine"], "commit": origin["commit"], "rows": lines}))
    return 0 if all(row.ok for row in rows) else 1
