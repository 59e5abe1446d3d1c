"""The configuration: what can be set, how it is read, and what is refused. No torch, no Ray."""

from videomac.config.base import Section, differing_keys, load, read_yaml, validate
from videomac.config.data import Augment, Bounds, BuildShards, Data, Shards
from videomac.config.evaluate import Evaluate, Features, LabelledData, Probe, Propagation
from videomac.config.model import Encoder, Model
from videomac.config.outputs import Export, Report
from videomac.config.pretrain import Checkpoint, Log, Optim, Pretrain, Run, Train, Workers
from videomac.config.tune import Quickstart, Tune

__all__ = [
    "Augment",
    "Bounds",
    "BuildShards",
    "Checkpoint",
    "Data",
    "Encoder",
    "Evaluate",
    "Export",
    "Features",
    "LabelledData",
    "Log",
    "Model",
    "Optim",
    "Pretrain",
    "Probe",
    "Propagation",
    "Quickstart",
    "Report",
    "Run",
    "Section",
    "Shards",
    "Train",
    "Tune",
    "Workers",
    "differing_keys",
    "load",
    "read_yaml",
    "validate",
]
