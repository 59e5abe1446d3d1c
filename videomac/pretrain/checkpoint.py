"""A checkpoint: a folder that holds everything a run resumes from, read without unpickling.

`online.safetensors`, `target.safetensors`, `optimizer.safetensors` (AdamW's moments by parameter name), `state.json`
(rows used, counters, configuration, versions) and, written last, `files.json` with the SHA-256 of each: a folder
without it, or with different hashes, is not a checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from videomac.errors import CheckpointError
from videomac.facts.provenance import provenance
from videomac.pretrain.step import TrainState
from videomac.records.checkpoint import FORMAT, CheckpointFiles, CheckpointState, DataFacts
from videomac.storage.checksums import sha256_of_file

LIST = "files.json"
"""Written last: the SHA-256 of every other file."""
FILES = ("online.safetensors", "target.safetensors", "optimizer.safetensors", "state.json")


def save(state: TrainState, folder: str | Path, facts: DataFacts | None = None) -> None:
    """Write the state into an empty or missing folder; `facts` of the data are kept in `state.json`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in (("online", state.online), ("target", state.target)):
        safetensors.torch.save_file(_tensors(network), folder / f"{name}.safetensors")
    safetensors.torch.save_file(_moments(state), folder / "optimizer.safetensors")
    (folder / "state.json").write_bytes(_described(state, facts or DataFacts()).to_json(indent=1))
    files = CheckpointFiles(format=FORMAT, sha256={name: sha256_of_file(folder / name) for name in FILES})
    (folder / LIST).write_bytes(files.to_json())


def load(state: TrainState, folder: str | Path) -> CheckpointState:
    """Set networks, optimizer, scaler, position and counters of `state`; returns `state.json`.

    Raises:
        CheckpointError: the folder is not an intact checkpoint, or does not match the network.
    """
    saved = verify(folder)
    folder = Path(folder)
    for name, network in (("online", state.online), ("target", state.target)):
        _load_network(network, folder / f"{name}.safetensors")
    _load_moments(state, read_tensors(folder / "optimizer.safetensors"), saved.optimizer_steps)
    state.scaler.load_state_dict(saved.scaler)
    state.step, state.rows_used = saved.step, saved.rows_used
    state.bad_rows, state.skipped_steps = saved.bad_rows, saved.skipped_steps
    return saved


def verify(folder: str | Path) -> CheckpointState:
    """Return `state.json` of an intact checkpoint: every file is there and has the hash it was written with.

    Raises:
        CheckpointError: the folder is missing, incomplete or damaged.
    """
    folder = Path(folder)
    try:
        hashes = listed_hashes((folder / LIST).read_bytes(), str(folder))
        damaged = [name for name, sha256 in hashes.items() if sha256_of_file(folder / name) != sha256]
        described = (folder / "state.json").read_bytes()
    except OSError as error:
        raise CheckpointError(f"{folder}: incomplete checkpoint ({error}); use the previous one") from error
    if damaged:
        raise CheckpointError(
            f"{folder}: {', '.join(damaged)} changed since it was written; use the previous checkpoint"
        )
    return CheckpointState.from_json(described, f"{folder}/state.json", CheckpointError)


def listed_hashes(content: bytes, place: str) -> dict[str, str]:
    """Return the SHA-256 of every other file of a checkpoint, as its `files.json` lists them.

    Raises:
        CheckpointError: this is not such a list, or one of another format.
    """
    try:
        files = CheckpointFiles.from_json(content, LIST, CheckpointError)
    except CheckpointError as error:
        raise CheckpointError(f"{place}: incomplete checkpoint ({error}); use the previous one") from error
    if files.format != FORMAT:
        raise CheckpointError(f"{place}: checkpoint format {files.format}, but this version reads {FORMAT}")
    return files.sha256


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        CheckpointError: missing, or not a safetensors file.
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


def _described(state: TrainState, facts: DataFacts) -> CheckpointState:
    settings = state.settings
    return CheckpointState(
        **facts.model_dump(),
        step=state.step,
        rows_used=state.rows_used,
        bad_rows=state.bad_rows,
        skipped_steps=state.skipped_steps,
        optimizer_steps=_optimizer_steps(state),
        scaler=state.scaler.state_dict(),
        batch_size=state.extent.batch_size,
        micro_steps=state.extent.micro_steps,
        config=settings.plain(),
        config_hash=settings.config_hash(),
        **provenance(),
    )


def _optimizer_steps(state: TrainState) -> float:
    """Return the number of AdamW's updates, which it counts per parameter; ours are always equal."""
    return max((float(moments["step"]) for moments in state.optimizer.state.values()), default=0.0)


def _load_network(network: nn.Module, path: Path) -> None:
    tensors = read_tensors(path)
    refuse_other_shapes(str(path), tensors, network.state_dict(), "check model.encoder and model.decoder_dim")
    network.load_state_dict(tensors, strict=True)


def refuse_other_shapes(origin: str, given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], advice: str) -> None:
    """Raise CheckpointError if tensors of a file do not have the names and shapes of a model's."""
    differing = differing_shapes(given, wanted)
    if differing:
        name = differing[0]
        theirs, ours = (str(tuple(t[name].shape)) if name in t else "absent" for t in (given, wanted))
        raise CheckpointError(
            f"{origin}: the weights do not match this model: {len(differing)} tensors differ, first {name}: {theirs} "
            f"in the file, {ours} in the model; {advice}"
        )


def differing_shapes(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    """Return the names of tensors that only one has, or that differ in shape."""
    theirs, ours = ({name: tuple(tensor.shape) for name, tensor in t.items()} for t in (given, wanted))
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


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
