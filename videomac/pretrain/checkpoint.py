"""A checkpoint: a folder that holds everything a run goes on from, read without unpickling.

`online.safetensors`, `target.safetensors`, `optimizer.safetensors` (AdamW's moments by parameter name), `state.json`
(rows used, counters, configuration, versions) and, written last, `files.json` with the SHA-256 of each: a folder
without it, or with another hash, is no checkpoint.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from videomac.errors import CheckpointError
from videomac.facts.provenance import provenance
from videomac.pretrain.step import TrainState
from videomac.storage.checksums import sha256_of_file

FORMAT = 1
LIST = "files.json"
"""Written last: the SHA-256 of every other file."""
FILES = ("online.safetensors", "target.safetensors", "optimizer.safetensors", "state.json")


def save(state: TrainState, folder: str | Path, facts: dict[str, Any] | None = None) -> None:
    """Writes the state into an empty or missing folder; `facts` (hashes of the data, say) stand in `state.json`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in (("online", state.online), ("target", state.target)):
        safetensors.torch.save_file(_tensors(network), folder / f"{name}.safetensors")
    safetensors.torch.save_file(_moments(state), folder / "optimizer.safetensors")
    (folder / "state.json").write_text(json.dumps(_facts(state) | (facts or {}), indent=1), encoding="utf-8")
    hashes = {name: sha256_of_file(folder / name) for name in FILES}
    (folder / LIST).write_text(json.dumps({"format": FORMAT, "sha256": hashes}), encoding="utf-8")


def load(state: TrainState, folder: str | Path) -> dict[str, Any]:
    """Sets networks, optimiser, scaler, position and counters of `state`; returns `state.json`.

    Raises:
        CheckpointError: the folder is no whole checkpoint, or one of another network.
    """
    facts = verify(folder)
    folder = Path(folder)
    for name, network in (("online", state.online), ("target", state.target)):
        _load_network(network, folder / f"{name}.safetensors")
    _load_moments(state, read_tensors(folder / "optimizer.safetensors"), facts["optimizer_steps"])
    state.scaler.load_state_dict(facts["scaler"])
    for counter in ("step", "rows_used", "bad_rows", "skipped_steps"):
        setattr(state, counter, facts[counter])
    return facts


def verify(folder: str | Path) -> dict[str, Any]:
    """`state.json` of a whole checkpoint: every file is there and has the hash it was written with.

    Raises:
        CheckpointError: the folder is missing, half-written or damaged.
    """
    folder = Path(folder)
    try:
        hashes = listed_hashes((folder / LIST).read_bytes(), str(folder))
        damaged = [name for name, sha256 in hashes.items() if sha256_of_file(folder / name) != sha256]
        facts = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder}: no whole checkpoint ({error}); use the one before it") from error
    if damaged:
        raise CheckpointError(
            f"{folder}: {', '.join(damaged)} changed since it was written; use the checkpoint before it"
        )
    return facts


def listed_hashes(content: bytes, place: str) -> dict[str, str]:
    """Return the SHA-256 of every other file of a checkpoint, as its `files.json` lists them.

    Raises:
        CheckpointError: this is not such a list, or one of another format.
    """
    try:
        listed = json.loads(content)
        hashes = {str(name): str(sha256) for name, sha256 in listed["sha256"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{place}: no whole checkpoint ({error}); use the one before it") from error
    if listed.get("format") != FORMAT:
        raise CheckpointError(f"{place}: checkpoint format {listed.get('format')}, this version reads {FORMAT}")
    return hashes


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        CheckpointError: missing or no safetensors file.
    """
    try:
        return safetensors.torch.load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read as safetensors ({error})") from error


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}


def _moments(state: TrainState) -> dict[str, Tensor]:
    kept = {}
    for name, parameter in state.online.named_parameters():
        for moment in ("exp_avg", "exp_avg_sq"):
            if parameter in state.optimizer.state:
                kept[f"{name}:{moment}"] = state.optimizer.state[parameter][moment].cpu().contiguous()
    return kept


def _facts(state: TrainState) -> dict[str, Any]:
    settings = state.settings
    return {
        "step": state.step,
        "rows_used": state.rows_used,
        "bad_rows": state.bad_rows,
        "skipped_steps": state.skipped_steps,
        "optimizer_steps": _optimizer_steps(state),
        "scaler": state.scaler.state_dict(),
        "batch_size": state.extent.batch_size,
        "micro_steps": state.extent.micro_steps,
        "config": settings.model_dump(mode="json"),
        "config_hash": settings.config_hash(),
        **provenance(),
    }


def _optimizer_steps(state: TrainState) -> float:
    """AdamW counts its updates per parameter; ours are always alike."""
    return max((float(moments["step"]) for moments in state.optimizer.state.values()), default=0.0)


def _load_network(network: nn.Module, path: Path) -> None:
    tensors = read_tensors(path)
    ours = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    theirs = {name: tuple(t.shape) for name, t in tensors.items()}
    if ours != theirs:
        differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        name = differing[0]
        raise CheckpointError(
            f"{path}: of another network: {len(differing)} tensors differ, first {name}: "
            f"{theirs.get(name, 'absent')} in the file, {ours.get(name, 'absent')} in this model"
        )
    network.load_state_dict(tensors, strict=True)


def _load_moments(state: TrainState, tensors: dict[str, Tensor], steps: float) -> None:
    on_device = state.optimizer.defaults.get("fused") or state.optimizer.defaults.get("capturable")
    for name, parameter in state.online.named_parameters():
        if f"{name}:exp_avg" not in tensors:
            continue
        step_device = parameter.device if on_device else torch.device("cpu")
        state.optimizer.state[parameter] = {
            "step": torch.tensor(steps, dtype=torch.float32, device=step_device),
            **{m: _laid_out_as(parameter, tensors[f"{name}:{m}"]) for m in ("exp_avg", "exp_avg_sq")},
        }


def _laid_out_as(parameter: Tensor, moment: Tensor) -> Tensor:
    """Copy a moment to its parameter's device and memory layout.

    AdamW's fused kernels need the same strides for both: on CUDA they refuse others, on CPU they
    pair the wrong elements.
    """
    return torch.empty_like(parameter, dtype=moment.dtype).copy_(moment)
