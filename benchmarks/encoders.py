"""The encoder's training step: packed cells against the masked reference and MinkowskiEngine, in one run.

.venv/bin/python benchmarks/encoders.py [--quick]

A step is the online network's forward pass, the target network's, and the backward pass; no drop path. Backends take
turns; the least time of the rounds counts. Beside each ratio stands the arithmetic one, cells / visible cells. Also:
bytes that autograd keeps, the share of matrix products that really run in bf16, and the whole step with decoder,
optimiser and EMA beside its own arithmetic ratio (the dense decoder does not shrink).
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from videomac import config
from videomac.config.provenance import provenance
from videomac.errors import ConfigError
from videomac.nn.encoder import Encoder
from videomac.nn.masking import all_cells
from videomac.nn.minkowski import engine
from videomac.nn.registry import build_encoder
from videomac.patches import normalise_cells, patchify, visible_count
from videomac.pretrain import ema
from videomac.pretrain.model import build_model
from videomac.pretrain.optim import build_optimizer

BATCH, SIZE, CELLS, GRID = 8, 224, 49, (7, 7)
NETWORKS = ("convnextv2_tiny", "convnext_tiny", "resnet18", "resnet50")
AT_LEAST = {
    ("convnextv2_tiny", 0.75, "masked"): 3.8,
    ("convnextv2_tiny", 0.9, "masked"): 7.0,
    ("convnextv2_tiny", 0.75, "minkowski"): 2.7,
    ("convnextv2_tiny", 0.9, "minkowski"): 2.0,
    ("resnet50", 0.75, "masked"): 2.5,
}
MEMORY_AT_MOST = 0.35
BF16_SHARE = 0.9


class EncoderStep:
    """One network and its target on fixed frames and cells."""

    def __init__(self, name: str, mask_ratio: float, backend: str, bf16: bool = False, batch: int = BATCH) -> None:
        torch.manual_seed(0)
        self.online = build_encoder(config.Encoder().with_values(name=name, backend=backend))
        self.target: Encoder = copy.deepcopy(self.online).eval()
        self.frames = [torch.randn(batch, 3, SIZE, SIZE) for _ in range(2)]
        keep = visible_count(CELLS, mask_ratio)
        self.cells_bk = torch.stack([torch.randperm(CELLS)[:keep].sort().values for _ in range(batch)])
        self.valid_b = torch.ones(batch, dtype=torch.bool)
        self.bf16 = bf16

    def loss(self) -> Tensor:
        """Both forward passes."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            last = self.online(self.frames[0], self.cells_bk, self.valid_b)[-1]
            with torch.no_grad():
                wanted = self.target(self.frames[1], self.cells_bk, self.valid_b)[-1]
        return (last - wanted).float().square().mean()

    def __call__(self) -> None:
        """The whole step, gradients thrown away."""
        self.loss().backward()
        self.online.zero_grad(set_to_none=True)

    def saved_bytes(self) -> int:
        """Bytes that autograd keeps between the passes, each storage once, parameters left out."""
        kept: dict[int, int] = {}
        own = {parameter.untyped_storage().data_ptr() for parameter in self.online.parameters()}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            self.loss()
        return sum(kept.values())


class FlopsByType(TorchDispatchMode):
    """Arithmetic of matrix products (convolutions by oneDNN left out) by the type they run in."""

    def __init__(self) -> None:
        super().__init__()
        self.flops: Counter[torch.dtype] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        packet = func._overloadpacket
        if "mm" in str(packet) and packet in flop_registry:
            operand = next(argument for argument in args[-2:] if isinstance(argument, Tensor))
            self.flops[operand.dtype] += flop_registry[packet](*args, **(kwargs or {}), out_val=result)
        return result


def seconds(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """The least time of each, taking turns: the first, which warms up, is never the least."""
    least = dict.fromkeys(steps, float("inf"))
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            least[name] = min(least[name], time.perf_counter() - start)
    return least


def row(case: str, ratio: float, against: str, at_least: float | None, **facts: Any) -> dict[str, Any]:
    """A result as the last line lists it, printed as it comes."""
    ok = at_least is None or ratio >= at_least
    wanted = "" if at_least is None else f"  at least {at_least:g}{'' if ok else '  MISSED'}"
    shown = "  ".join(f"{key} {value}" for key, value in facts.items())
    print(f"{case:46} {ratio:6.2f} x {against:14}{wanted}  {shown}", flush=True)
    return {"case": case, "ratio": round(ratio, 3), "against": against, "at_least": at_least, "ok": ok} | facts


def encoder_rows(name: str, mask_ratio: float, backends: list[str], rounds: int) -> list[dict[str, Any]]:
    """fp32: packed against each other backend, and what autograd keeps."""
    steps = {backend: EncoderStep(name, mask_ratio, backend) for backend in ["packed", *backends]}
    took = seconds(dict(steps), rounds)
    arithmetic = round(CELLS / visible_count(CELLS, mask_ratio), 2)
    case = f"{name}, mask {mask_ratio:g}, fp32"
    rows = [
        row(case, took[other] / took["packed"], other, AT_LEAST.get((name, mask_ratio, other)), arithmetic=arithmetic,
            packed_s=round(took["packed"], 3), other_s=round(took[other], 3))
        for other in backends
    ]  # fmt: skip
    if "masked" in backends and mask_ratio == 0.75:
        share = steps["packed"].saved_bytes() / steps["masked"].saved_bytes()
        rows.append(row(f"{case}, saved bytes", 1 / share, "masked", 1 / MEMORY_AT_MOST, share=round(share, 3)))
    return rows


def bf16_rows(name: str, mask_ratio: float, rounds: int, timed: bool = True) -> list[dict[str, Any]]:
    """bf16 autocast against fp32, and the share of matrix products (of one image's step) that really run in bf16."""
    with FlopsByType() as counted:
        EncoderStep(name, mask_ratio, "packed", bf16=True, batch=1)()
    share = counted.flops[torch.bfloat16] / sum(counted.flops.values())
    case = f"{name}, mask {mask_ratio:g}, bf16"
    rows = [row(f"{case}, share of matmul", share, "all", BF16_SHARE)]
    if timed:
        steps = {kind: EncoderStep(name, mask_ratio, "packed", kind == "bf16") for kind in ("fp32", "bf16")}
        took, at_least = seconds(dict(steps), rounds), 1.0 if has_bf16_units() else None
        rows.append(row(case, took["fp32"] / took["bf16"], "packed fp32", at_least, packed_s=round(took["bf16"], 3)))
    return rows


def has_bf16_units() -> bool:
    """Whether this CPU computes bf16 products itself (avx512_bf16 or amx_bf16)."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").is_file() else ""
    return "avx512_bf16" in flags or "amx_bf16" in flags


def whole_step(mask_ratio: float, backend: str) -> Callable[[], None]:
    """Both networks with decoder, backward pass, AdamW and EMA."""
    torch.manual_seed(0)
    online = build_model(
        config.Model(encoder=config.Encoder().with_values(backend=backend), mask_ratio=mask_ratio), seed=0
    )
    target = ema.make_target(online)
    optimizer = build_optimizer(online, config.Optim())
    encoder = EncoderStep("convnextv2_tiny", mask_ratio, backend)
    wanted_bnd = normalise_cells(patchify(encoder.frames[0], 32))

    def step() -> None:
        pred_bnd = online(encoder.frames[0], encoder.cells_bk)[0]
        with torch.no_grad():
            target_bnd = target(encoder.frames[1], encoder.cells_bk)[0]
        ((pred_bnd - wanted_bnd).square().mean() + (pred_bnd - target_bnd).square().mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
        ema.update(target, online, 0.996)

    return step


def whole_arithmetic(mask_ratio: float) -> float:
    """Dense over sparse arithmetic of encoder and decoder together."""
    model = build_model(config.Model(encoder=config.Encoder(backend="masked")), seed=0)
    x_bchw, cells_bn = torch.randn(1, 3, SIZE, SIZE), all_cells(1, GRID)
    with FlopCounterMode(display=False) as both:
        model(x_bchw, cells_bn)
    with FlopCounterMode(display=False) as alone:
        model.encoder(x_bchw, cells_bn)
    encoder, decoder = alone.get_total_flops(), both.get_total_flops() - alone.get_total_flops()
    return (encoder + decoder) / (encoder * visible_count(CELLS, mask_ratio) / CELLS + decoder)


def whole_rows(mask_ratios: list[float], rounds: int) -> list[dict[str, Any]]:
    """The whole step of ConvNeXtV2-T, packed against masked: reported, no limit."""
    rows = []
    for mask_ratio in mask_ratios:
        took = seconds({backend: whole_step(mask_ratio, backend) for backend in ("packed", "masked")}, rounds)
        case = f"convnextv2_tiny, mask {mask_ratio:g}, whole step"
        arithmetic = round(whole_arithmetic(mask_ratio), 2)
        rows.append(row(case, took["masked"] / took["packed"], "masked", None, arithmetic=arithmetic))
    return rows


def others() -> list[str]:
    """What packed is measured against here."""
    try:
        engine()
    except ConfigError as error:
        print(f"without MinkowskiEngine: {error}")
        return ["masked"]
    return ["masked", "minkowski"]


def main() -> int:
    """Prints the table and the line of JSON; 1 if a ratio is below its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="the rows with limits only, fewer rounds; bf16 timed where the CPU has units for it",
    )
    quick = parser.parse_args().quick
    rounds = 3 if quick else 6
    print(f"{torch.get_num_threads()} threads, batch {BATCH}, {SIZE} px", flush=True)
    if quick:
        rows = encoder_rows("convnextv2_tiny", 0.75, others(), rounds)
        rows += encoder_rows("convnextv2_tiny", 0.9, others(), 2)
        rows += encoder_rows("resnet50", 0.75, ["masked"], 2) + bf16_rows("convnextv2_tiny", 0.75, 2, has_bf16_units())
    else:
        cases = [(name, mask_ratio) for name in NETWORKS for mask_ratio in (0.5, 0.75, 0.9)]
        rows = [line for case in cases for line in encoder_rows(*case, others(), rounds) + bf16_rows(*case, rounds)]
        rows += whole_rows([0.75, 0.9], rounds)
    origin = provenance()
    print(json.dumps({"benchmark": "encoders", "machine": origin["machine"], "commit": origin["commit"], "rows": rows}))
    return 0 if all(line["ok"] for line in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
