"""Measure the encoder's training step: packed cells against the masked reference and MinkowskiEngine, in one run.

.venv/bin/python benchmarks/encoders.py [--quick]

A step is the online network's forward pass, the target network's, and the backward pass; no drop path. Backends take
turns, after a step of one image each; the least time of the rounds counts; there are as many rounds as a case's
seconds allow. Beside each ratio stands the arithmetic one, cells / visible cells. Also: bytes that autograd keeps, the
share of matrix products that really run in bf16, and the whole step with decoder, optimiser and EMA next to its own
arithmetic ratio (the dense decoder does not shrink).

MinkowskiEngine's step is the published code's: its convolutions, and linear layers and GRN in PyTorch's operations.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from rows import Row, finish
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from videomac import config
from videomac.errors import ConfigError
from videomac.facts.grid import visible_count
from videomac.facts.heap import FREED_MEMORY_STAYS
from videomac.nn.grn import GlobalResponseNorm
from videomac.nn.masking import all_cells
from videomac.nn.networks.encoder import Encoder
from videomac.nn.networks.registry import build_encoder
from videomac.nn.patches import normalise_cells, patchify
from videomac.nn.sites.minkowski import engine
from videomac.nn.sites.protocol import Features
from videomac.nn.torch_internals import CPU_MULTIPLIES_BF16
from videomac.pretrain import ema
from videomac.pretrain.model import MaskedAutoencoder, build_model
from videomac.pretrain.optim import build_optimizer

BATCH, SIZE, CELLS, GRID = 8, 224, 49, (7, 7)
NETWORKS = ("convnextv2_tiny", "convnext_tiny", "resnet18", "resnet50")
MASK_RATIOS = (0.5, 0.75, 0.9)
AT_LEAST = {
    ("convnextv2_tiny", 0.75, "masked"): 3.8,
    ("convnextv2_tiny", 0.9, "masked"): 7.0,
    ("convnextv2_tiny", 0.75, "minkowski"): 2.7,
    ("convnextv2_tiny", 0.9, "minkowski"): 2.0,
    ("resnet50", 0.75, "masked"): 2.5,
}
MEMORY_AT_MOST = 0.35
BF16_SHARE = 0.9


class PublishedGRN(GlobalResponseNorm):
    """GRN with the operations of the published code's layer; the results are the same."""

    def forward(self, x: Features, valid_b: Tensor | None = None) -> Features:  # noqa: ARG002 - all rows are valid
        """Return the response of packed maps (b k t t c), per image."""
        norm_b111c = torch.linalg.vector_norm(x, dim=(1, 2, 3), keepdim=True)
        share_b111c = norm_b111c / (norm_b111c.mean(-1, keepdim=True) + self.eps)
        return self.weight * (x * share_b111c) + self.bias + x


def frames_and_cells(mask_ratio: float, batch: int) -> tuple[list[Tensor], Tensor]:
    """Return both frames of random pairs, and their visible cells."""
    keep = visible_count(CELLS, mask_ratio)
    cells_bk = torch.stack([torch.randperm(CELLS)[:keep].sort().values for _ in range(batch)])
    return [torch.randn(batch, 3, SIZE, SIZE) for _ in range(2)], cells_bk


class EncoderStep:
    """One network and its target on fixed frames and cells."""

    def __init__(self, name: str, mask_ratio: float, backend: str, bf16: bool = False, batch: int = BATCH) -> None:
        torch.manual_seed(0)
        self.online = build_encoder(config.Encoder().with_values(name=name, backend=backend))
        if backend == "minkowski":
            for module in self.online.modules():
                if isinstance(module, GlobalResponseNorm):
                    module.__class__ = PublishedGRN
        self.target: Encoder = copy.deepcopy(self.online).eval()
        self.frames, self.cells_bk = frames_and_cells(mask_ratio, batch)
        self.bf16 = bf16

    def loss(self) -> Tensor:
        """Run both forward passes."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            last = self.online(self.frames[0], self.cells_bk)[-1]
            with torch.no_grad():
                wanted = self.target(self.frames[1], self.cells_bk)[-1]
        return (last - wanted).float().square().mean()

    def __call__(self) -> None:
        """Run the whole step and drop the gradients."""
        self.loss().backward()
        self.online.zero_grad(set_to_none=True)

    def saved_bytes(self) -> int:
        """Return the bytes that autograd keeps between the passes: each storage once, without the parameters."""
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
    """Counts the arithmetic of matrix products (without convolutions by oneDNN) by the type they run in."""

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


def least_seconds(steps: dict[str, Callable[[], None]], budget_s: float) -> dict[str, float]:
    """Return the least time of each over rounds in which they take turns: 1 to 6, within the budget."""
    least = dict.fromkeys(steps, float("inf"))
    begun = time.perf_counter()
    for done in range(6):
        spent = time.perf_counter() - begun
        if done and spent + spent / done > budget_s:
            break
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            least[name] = min(least[name], time.perf_counter() - start)
    return least


def warmed(step: EncoderStep) -> EncoderStep:
    """Run the step on a single image, so that libraries load and allocate before the clock runs; return the step."""
    frames, cells_bk = step.frames, step.cells_bk
    step.frames, step.cells_bk = [frame[:1] for frame in frames], cells_bk[:1]
    step()
    step.frames, step.cells_bk = frames, cells_bk
    return step


def encoder_rows(name: str, mask_ratio: float, backends: list[str], budget_s: float) -> list[Row]:
    """Measure packed against each other backend in fp32, and what autograd keeps."""
    steps = {backend: warmed(EncoderStep(name, mask_ratio, backend)) for backend in ["packed", *backends]}
    took = least_seconds(dict(steps), budget_s)
    arithmetic = round(CELLS / visible_count(CELLS, mask_ratio), 2)
    case = f"{name}, mask {mask_ratio:g}, fp32"
    rows = [
        Row(case, took[other] / took["packed"], other, AT_LEAST.get((name, mask_ratio, other)),
            {"arithmetic": arithmetic, "packed_s": round(took["packed"], 3), "other_s": round(took[other], 3)})
        for other in backends
    ]  # fmt: skip
    if "masked" in backends and mask_ratio == 0.75:
        share = steps["packed"].saved_bytes() / steps["masked"].saved_bytes()
        rows.append(Row(f"{case}, saved bytes", 1 / share, "masked", 1 / MEMORY_AT_MOST, {"share": round(share, 3)}))
    return rows


def bf16_rows(name: str, mask_ratio: float, budget_s: float) -> list[Row]:
    """Measure bf16 autocast against fp32, and the share of one image's matrix products that really run in bf16.

    Timed where the CPU has units for bf16; elsewhere it takes many times longer and says nothing.
    """
    with FlopsByType() as counted:
        EncoderStep(name, mask_ratio, "packed", bf16=True, batch=1)()
    share = counted.flops[torch.bfloat16] / sum(counted.flops.values())
    case = f"{name}, mask {mask_ratio:g}, bf16"
    rows = [Row(f"{case}, share of matmul", share, "all", BF16_SHARE)]
    if CPU_MULTIPLIES_BF16:
        steps = {kind: warmed(EncoderStep(name, mask_ratio, "packed", kind == "bf16")) for kind in ("fp32", "bf16")}
        took = least_seconds(dict(steps), budget_s)
        rows.append(Row(case, took["fp32"] / took["bf16"], "packed fp32", 1.0, {"packed_s": round(took["bf16"], 3)}))
    return rows


def model_of(name: str, backend: str) -> MaskedAutoencoder:
    """Build encoder and decoder with default settings."""
    return build_model(config.Model(encoder=config.Encoder().with_values(name=name, backend=backend)), seed=0)


def whole_step(name: str, mask_ratio: float, backend: str) -> Callable[[], None]:
    """Return the whole step: both networks with decoder, backward pass, AdamW and EMA."""
    torch.manual_seed(0)
    online = model_of(name, backend)
    target = ema.make_target(online)
    optimizer = build_optimizer(online, config.Optim())
    frames, cells_bk = frames_and_cells(mask_ratio, BATCH)
    wanted_bnd = normalise_cells(patchify(frames[0], 32))

    def step() -> None:
        pred_bnd = online(frames[0], cells_bk)[0]
        with torch.no_grad():
            target_bnd = target(frames[1], cells_bk)[0]
        ((pred_bnd - wanted_bnd).square().mean() + (pred_bnd - target_bnd).square().mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
        ema.update(target, online, 0.996)

    return step


def whole_arithmetic(name: str, mask_ratio: float) -> float:
    """Return dense over sparse arithmetic of encoder and decoder together."""
    model = model_of(name, "masked").eval()
    x_bchw, cells_bn = torch.randn(1, 3, SIZE, SIZE), all_cells(1, GRID)
    with FlopCounterMode(display=False) as both:
        model(x_bchw, cells_bn)
    with FlopCounterMode(display=False) as alone:
        model.encoder(x_bchw, cells_bn)
    encoder, decoder = alone.get_total_flops(), both.get_total_flops() - alone.get_total_flops()
    return (encoder + decoder) / (encoder * visible_count(CELLS, mask_ratio) / CELLS + decoder)


def whole_rows(name: str, mask_ratio: float, budget_s: float) -> list[Row]:
    """Measure the whole step, packed against masked: only reported, without a limit."""
    steps = {backend: whole_step(name, mask_ratio, backend) for backend in ("packed", "masked")}
    for step in steps.values():
        step()  # makes the optimiser's state
    took = least_seconds(steps, budget_s)
    arithmetic = round(whole_arithmetic(name, mask_ratio), 2)
    case = f"{name}, mask {mask_ratio:g}, whole step"
    facts = {"arithmetic": arithmetic, "packed_s": round(took["packed"], 3), "other_s": round(took["masked"], 3)}
    return [Row(case, took["masked"] / took["packed"], "masked", None, facts)]


def others() -> list[str]:
    """Return the backends that packed is measured against on this machine."""
    try:
        engine()
    except ConfigError as error:
        print(f"without MinkowskiEngine: {error}")
        return ["masked"]
    return ["masked", "minkowski"]


def quick_rows(backends: list[str]) -> list[Row]:
    """Measure the cases that have limits."""
    rows = encoder_rows("convnextv2_tiny", 0.75, backends, budget_s=23)
    rows += encoder_rows("convnextv2_tiny", 0.9, backends, budget_s=8)
    rows += encoder_rows("resnet50", 0.75, ["masked"], budget_s=6)
    return rows + bf16_rows("convnextv2_tiny", 0.75, budget_s=3)


def all_rows(backends: list[str]) -> list[Row]:
    """Measure every network at every mask ratio: encoder in fp32 and bf16, whole step."""
    rows = []
    for name in NETWORKS:
        for mask_ratio in MASK_RATIOS:
            rows += encoder_rows(name, mask_ratio, backends, budget_s=13) + bf16_rows(name, mask_ratio, budget_s=4)
            rows += whole_rows(name, mask_ratio, budget_s=7)
    return rows


def main() -> int:
    """Print the table and the line of JSON; return 1 if a ratio is below its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the rows with limits only, in less than a minute")
    quick = parser.parse_args().quick
    if not FREED_MEMORY_STAYS.items() <= os.environ.items():  # as in training, for all sides
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | FREED_MEMORY_STAYS)
    print(f"{torch.get_num_threads()} threads, batch {BATCH}, {SIZE} px", flush=True)
    rows = (quick_rows if quick else all_rows)(others())
    return finish("encoders", rows)


if __name__ == "__main__":
    raise SystemExit(main())
