"""Label propagation: labels of frame 0 carried forward along affinities of frozen features, exactly and without N x N.

In frame t every site takes the labels of the k context sites that resemble it most, weighted by softmax(A / T). The
context is frame 0 and the last n frames, whose sites count only inside a window. The published implementations build
the affinity of all sites to all context sites. Here queries are compared tile by tile with the region that the tile's
windows cover, and the top k are found in two steps: the k best sites by their maximum over frames, then the k best
(frame, site) among those. Both steps are exact if the k-th value differs from the next; the rare queries with a tie
there are computed again in the order that the preset demands.

Shape letters: t frames, h w grid, c features, l label channels, q queries of a tile, f frames of the context,
s sites of the tile's region, n sites of the grid, k kept sites, m their repeats over frames, r queries with ties.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from videomac.errors import EvaluationError
from videomac.facts.presets import Preset

TILE = 14  # side of a tile in sites; at 480p and 240p, C 80 and 192, one core: 8 and 11 were 28 % and 5 % slower
KEYS_MULTIPLE = 48
"""The keys of a product are padded with zeros to a multiple of this. With other counts MKL sums the last columns (in
float64 on AVX-512 those beyond a multiple of 12) in another order, so that equal keys would no longer tie."""


def propagate(
    features_chw: Iterable[Float[Tensor, "c h w"]], first_lhw: Float[Tensor, "l y x"], preset: Preset
) -> Iterator[Float[Tensor, "l h w"]]:
    """Yield the soft labels of frames 1, 2, ... given the features of frames 0, 1, 2, ... and the labels of frame 0.

    Features are compared as they are: L2-normalise them first, as `extractors.extract` does. The work is done in the
    features' dtype and on their device; memory holds the features and labels of the context, and nothing of size n x n.

    Raises:
        EvaluationError: features and labels have different grids.
    """
    context: collections.deque[_Frame] = collections.deque(maxlen=preset.context)
    first: _Frame | None = None
    tiles: list[_Tile] = []
    for t, frame_chw in enumerate(features_chw):
        features_hwc = frame_chw.permute(1, 2, 0).contiguous()
        if first is None:
            labels_hwl = first_lhw.to(features_hwc).permute(1, 2, 0).contiguous()
            _check_grid(features_hwc, labels_hwl)
            first = _Frame(features_hwc, labels_hwl)
            tiles = _tiles(features_hwc, preset)
            continue
        labels_hwl = torch.empty_like(first.labels_hwl)
        step = _Step(first, list(context), preset.copies_of_first(t), preset)
        for tile in tiles:
            rows, columns = tile.queries
            labels_ql = step.labels_of(tile, features_hwc[rows, columns].flatten(0, 1))
            labels_hwl[rows, columns] = labels_ql.unflatten(0, (rows.stop - rows.start, -1))
        context.append(_Frame(features_hwc, labels_hwl))
        yield labels_hwl.permute(2, 0, 1)


@dataclasses.dataclass(frozen=True)
class _Frame:
    features_hwc: Tensor
    labels_hwl: Tensor

    @functools.cached_property
    def keys_nc(self) -> Tensor:
        """The features of all sites, padded for products."""
        sites, channels = self.labels_hwl[..., 0].numel(), self.features_hwc.shape[2]
        keys_nc = self.features_hwc.new_zeros(_filled(sites), channels)
        keys_nc[:sites] = self.features_hwc.flatten(0, 1)
        return keys_nc


@dataclasses.dataclass(frozen=True)
class _Tile:
    """A rectangle of queries, the region of keys that their windows cover, and which key is in which query's window."""

    queries: tuple[slice, slice]
    region: tuple[slice, slice]
    inside_qs: Tensor
    outside_qs: Tensor  # 0 inside, -inf outside
    sites_s: Tensor  # index in the grid of each of the region's sites


@dataclasses.dataclass(frozen=True)
class _Candidates:
    """The best context sites of each query: affinity, index into the step's flat labels, and how often each counts."""

    value_qk: Tensor
    source_qk: Tensor
    count_qk: Tensor
    tied_q: Tensor  # queries whose best sites are not decided by their values alone


@dataclasses.dataclass
class _Step:
    """One frame to be labelled, with its context; `copies` is how often frame 0 also counts as a recent frame."""

    first: _Frame
    recent: list[_Frame]
    copies: int
    preset: Preset

    def __post_init__(self) -> None:
        self.frames = [self.first, *self.recent]
        self.labels_ml = torch.cat([f.labels_hwl.flatten(0, 1) for f in self.frames])
        self.sites = self.first.labels_hwl.shape[0] * self.first.labels_hwl.shape[1]

    def labels_of(self, tile: _Tile, query_qc: Float[Tensor, "q c"]) -> Float[Tensor, "q l"]:
        """Return the soft labels of one tile's queries."""
        windowed = self.frames if self.preset.first_windowed else self.recent
        near_fqs = _affinity(query_qc, windowed, tile.region)
        far_qn = None if self.preset.first_windowed else (query_qc @ self.first.keys_nc.T)[:, : self.sites]
        kept = self._best(tile, near_fqs, far_qn)
        labels_ql, threshold_q, tied_q = self._weigh(kept)
        if bool(tied_q.any()):
            values_rm, sources_m = self._in_order(tile, near_fqs[:, tied_q], far_qn, tied_q)
            labels_ql[tied_q] = self._weigh_tied(values_rm, sources_m, threshold_q[tied_q])
        return labels_ql

    def _best(self, tile: _Tile, near_fqs: Tensor, far_qn: Tensor | None) -> _Candidates:
        found = []
        if len(near_fqs):
            found.append(self._best_near(tile, near_fqs))
        if far_qn is not None:
            found.append(self._best_far(tile, far_qn))
        return (
            found[0]
            if len(found) == 1
            else _Candidates(
                torch.cat([c.value_qk for c in found], 1),
                torch.cat([c.source_qk for c in found], 1),
                torch.cat([c.count_qk for c in found], 1),
                found[0].tied_q | found[1].tied_q,
            )
        )

    def _best_near(self, tile: _Tile, near_fqs: Float[Tensor, "f q s"]) -> _Candidates:
        frames = len(near_fqs)
        best_qs = near_fqs.amax(0) + tile.outside_qs
        group_qk, site_qk, tied_q = self._top(best_qs)
        value_fqk = near_fqs.gather(2, site_qk.expand(frames, -1, -1)).masked_fill(group_qk.isneginf(), -math.inf)
        offset = 0 if self.preset.first_windowed else 1
        frame_f = torch.arange(offset, frames + offset, device=site_qk.device)
        source_fqk = frame_f[:, None, None] * self.sites + tile.sites_s[site_qk]
        count_fqk = torch.ones_like(source_fqk)
        if self.preset.first_windowed:
            count_fqk[0] += self.copies
        value_qm, source_qm, count_qm = (x.transpose(0, 1).flatten(1) for x in (value_fqk, source_fqk, count_fqk))
        return _Candidates(value_qm, source_qm, count_qm, tied_q)

    def _best_far(self, tile: _Tile, far_qn: Float[Tensor, "q n"]) -> _Candidates:
        queries, sites = far_qn.shape
        groups = max(1, sites // 16)  # amax over 16 strided parts is one vectorised pass; top k then sees n / 16
        width = sites // groups * groups
        body_qpg = far_qn[:, :width].unflatten(1, (-1, groups))
        group_qg = body_qpg.amax(1)
        _, group_qk, tied_q = self._top(group_qg)
        value_qpk = body_qpg.gather(2, group_qk[:, None].expand(-1, body_qpg.shape[1], -1))
        part_p = torch.arange(body_qpg.shape[1], device=far_qn.device)
        site_qpk = part_p[None, :, None] * groups + group_qk[:, None]
        tail = torch.arange(width, sites, device=far_qn.device).expand(queries, -1)
        value_qm = torch.cat([value_qpk.flatten(1), far_qn[:, width:]], 1)
        site_qm = torch.cat([site_qpk.flatten(1), tail], 1)
        return _Candidates(value_qm, site_qm, 1 + self.copies * self._in_window(tile, site_qm), tied_q)

    def _top(self, values_qs: Float[Tensor, "q s"]) -> tuple[Tensor, Tensor, Bool[Tensor, " q"]]:
        """Return the k best of each query and the next one, their places, and whether the k-th ties with the next."""
        k = self.preset.topk
        best_qk, place_qk = values_qs.topk(min(k + 1, values_qs.shape[1]), dim=1)
        if best_qk.shape[1] <= k:
            return best_qk, place_qk, torch.zeros(len(best_qk), dtype=torch.bool, device=best_qk.device)
        return best_qk, place_qk, self._equal(best_qk[:, k - 1], best_qk[:, k])

    def _equal(self, one: Tensor, other: Tensor) -> Bool[Tensor, "..."]:
        return (self._ranked(one) == self._ranked(other)) & ~other.isneginf()

    def _ranked(self, values: Tensor) -> Tensor:
        """Return what the published code takes the top k of: A / T in `crw`, exp(A / T) in `dino`.

        Rounding makes some different affinities equal there, and then they tie.
        """
        ranked = values / self.preset.temperature
        return ranked.exp() if self.preset.ties == "all" else ranked

    def _in_window(self, tile: _Tile, site_qm: Int[Tensor, "q m"]) -> Int[Tensor, "q m"]:
        if not self.copies:
            return torch.zeros_like(site_qm)
        inside_qn = torch.zeros(len(site_qm), self.sites, dtype=torch.int64, device=site_qm.device)
        inside_qn[:, tile.sites_s] = tile.inside_qs.long()
        return inside_qn.gather(1, site_qm)

    def _weigh(self, found: _Candidates) -> tuple[Float[Tensor, "q l"], Float[Tensor, " q"], Bool[Tensor, " q"]]:
        """Return labels by the top k, counting repeats, the k-th value, and where a tie makes the top k ambiguous."""
        topk = self.preset.topk
        value_qk, order_qk = found.value_qk.topk(min(topk + 1, found.value_qk.shape[1]), dim=1)
        source_qk, count_qk = found.source_qk.gather(1, order_qk), found.count_qk.gather(1, order_qk)
        upto_qk = count_qk.cumsum(1)
        taken_qk = torch.minimum(count_qk, topk - (upto_qk - count_qk)).clamp(min=0)
        weight_qk = taken_qk * torch.exp((value_qk - value_qk[:, :1]) / self.preset.temperature)
        weight_qk = weight_qk / weight_qk.sum(1, keepdim=True)
        labels_ql = (self.labels_ml[source_qk] * weight_qk[..., None]).sum(1)
        last_q = (taken_qk > 0).sum(1, keepdim=True) - 1
        same_qk = self._equal(value_qk[:, :-1], value_qk[:, 1:])
        cut_qk = same_qk & (taken_qk[:, :-1] > 0) & (upto_qk[:, 1:] > topk)
        return labels_ql, value_qk.gather(1, last_q)[:, 0], cut_qk.any(1) | found.tied_q

    def _in_order(
        self, tile: _Tile, near_frs: Float[Tensor, "f r s"], far_qn: Tensor | None, tied_q: Bool[Tensor, " q"]
    ) -> tuple[Float[Tensor, "r m"], Int[Tensor, " m"]]:
        """Return all affinities of some queries, repeats written out, by (frame, site); -inf outside the window."""
        near_frs = near_frs + tile.outside_qs[tied_q]
        all_sites = torch.arange(self.sites, device=near_frs.device)
        if far_qn is None:
            repeats = [1 + self.copies] + [1] * len(self.recent)
            near_frs = near_frs.repeat_interleave(torch.tensor(repeats, device=near_frs.device), dim=0)
            frames = [i for i, count in enumerate(repeats) for _ in range(count)]
            return _by_row(near_frs), torch.cat([tile.sites_s + f * self.sites for f in frames])
        far_rn = far_qn[tied_q]
        copy_rs = far_rn[:, tile.sites_s] + tile.outside_qs[tied_q]
        values_rm = torch.cat([far_rn, copy_rs.repeat(1, self.copies), _by_row(near_frs)], 1)
        recent = [tile.sites_s + f * self.sites for f in range(1, len(self.frames))]
        return values_rm, torch.cat([all_sites, tile.sites_s.repeat(self.copies), *recent])

    def _weigh_tied(
        self, values_rm: Float[Tensor, "r m"], sources_m: Int[Tensor, " m"], threshold_r: Float[Tensor, " r"]
    ) -> Float[Tensor, "r l"]:
        rank_rm, kth_r1 = self._ranked(values_rm), self._ranked(threshold_r[:, None])
        above_rm, at_rm = rank_rm > kth_r1, rank_rm == kth_r1
        if self.preset.ties == "lowest":
            at_rm &= at_rm.cumsum(1) <= self.preset.topk - above_rm.sum(1, keepdim=True)
        weight_rm = torch.exp((values_rm - values_rm.amax(1, keepdim=True)) / self.preset.temperature)
        weight_rm = weight_rm * (above_rm | at_rm)
        return (weight_rm / weight_rm.sum(1, keepdim=True)) @ self.labels_ml[sources_m]


def _by_row(near_frs: Float[Tensor, "f r s"]) -> Float[Tensor, "r m"]:
    return near_frs.transpose(0, 1).flatten(1)


def _affinity(
    query_qc: Float[Tensor, "q c"], frames: list[_Frame], region: tuple[slice, slice]
) -> Float[Tensor, "f q s"]:
    height, width = (part.stop - part.start for part in region)
    sites = height * width
    keys_sc = query_qc.new_zeros(_filled(sites), query_qc.shape[1])
    near_fqs = query_qc.new_empty(len(frames), len(query_qc), len(keys_sc))
    # One product per frame, all of one shape: repeated frames then tie to the last bit, however the library blocks.
    for near_qs, frame in zip(near_fqs, frames, strict=True):
        keys_sc[:sites].unflatten(0, (height, width)).copy_(frame.features_hwc[region])
        torch.mm(query_qc, keys_sc.T, out=near_qs)
    return near_fqs[..., :sites]


def _filled(sites: int) -> int:
    return -(-sites // KEYS_MULTIPLE) * KEYS_MULTIPLE


def _tiles(features_hwc: Float[Tensor, "h w c"], preset: Preset) -> list[_Tile]:
    height, width, _ = features_hwc.shape
    reach = preset.radius - 1 if preset.window == "circle" else preset.radius
    windows: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}  # tiles away from the borders share theirs
    tiles = []
    for rows in _split(height):
        for columns in _split(width):
            region = _grown(rows, reach, height), _grown(columns, reach, width)
            shape = tuple(e - rows.start for e in (rows.stop, region[0].start, region[0].stop))
            shape += tuple(e - columns.start for e in (columns.stop, region[1].start, region[1].stop))
            if shape not in windows:
                windows[shape] = _window((rows, columns), region, preset, features_hwc)
            ys, xs = (torch.arange(s.start, s.stop, device=features_hwc.device) for s in region)
            tiles.append(_Tile((rows, columns), region, *windows[shape], (ys[:, None] * width + xs).flatten()))
    return tiles


def _window(
    queries: tuple[slice, slice], region: tuple[slice, slice], preset: Preset, like: Tensor
) -> tuple[Bool[Tensor, "q s"], Float[Tensor, "q s"]]:
    (qy, qx), (ky, kx) = (
        torch.meshgrid(*(torch.arange(s.start, s.stop, device=like.device) for s in area), indexing="ij")
        for area in (queries, region)
    )
    dy_qs, dx_qs = qy.flatten()[:, None] - ky.flatten(), qx.flatten()[:, None] - kx.flatten()
    if preset.window == "circle":
        inside_qs = dy_qs**2 + dx_qs**2 < preset.radius**2
    else:
        inside_qs = (dy_qs.abs() <= preset.radius) & (dx_qs.abs() <= preset.radius)
    outside_qs = torch.zeros(inside_qs.shape, dtype=like.dtype, device=like.device)
    return inside_qs, outside_qs.masked_fill(~inside_qs, -math.inf)


def _split(length: int) -> list[slice]:
    parts = math.ceil(length / TILE)
    borders = [length * i // parts for i in range(parts + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(borders)]


def _grown(part: slice, reach: int, length: int) -> slice:
    return slice(max(0, part.start - reach), min(length, part.stop + reach))


def _check_grid(features_hwc: Tensor, labels_hwl: Tensor) -> None:
    if features_hwc.shape[:2] != labels_hwl.shape[:2]:
        raise EvaluationError(
            f"features have a grid of {tuple(features_hwc.shape[:2])}, labels one of {tuple(labels_hwl.shape[:2])}: "
            "resize the labels to the feature grid (propagation.labels)"
        )
