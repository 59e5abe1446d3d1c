"""The configuration: what can be set, how it is read, and what is refused. Loads without torch and Ray."""

from videomac.config.base import Section, Tree, differing_keys, filled, load, read_yaml, validate, without_access
from videomac.config.data import Augment, Bounds, BuildShards, Data, IndexShards, Shards, ShowShards, VerifyShards
from videomac.config.evaluate import Candidate, Evaluate, LabelledData, Probe, Propagation
from videomac.config.model import Encoder, Model
from videomac.config.outputs import Export, Report
from videomac.config.preflight import check_inputs, refuse_throwaway_places, with_absolute_places
from videomac.config.pretrain import Checkpoint, Log, Optim, Pretrain, Run, Train, Workers
from videomac.config.secrets import Access, StorageOptions, clear_options, hold_secrets
from videomac.config.tune import Quickstart, Tune

__all__ = [
    "Access",
    "Augment",
    "Bounds",
    "BuildShards",
    "Candidate",
    "Checkpoint",
    "Data",
    "Encoder",
    "Evaluate",
    "Export",
    "IndexShards",
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
    "ShowShards",
    "StorageOptions",
    "Train",
    "Tree",
    "Tune",
    "VerifyShards",
    "Workers",
    "check_inputs",
    "clear_options",
    "differing_keys",
    "filled",
    "hold_secrets",
    "load",
    "read_yaml",
    "refuse_throwaway_places",
    "validate",
    "with_absolute_places",
    "without_access",
]
