"""Nothing secret is written or logged: whole commands run with secrets, then every file that they left is searched."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pyarrow.parquet as pq
import pytest

from tests.integration.runs import ROOT
from videomac.config import StorageOptions
from videomac.errors import StorageError
from videomac.storage.storage import Storage

pytestmark = pytest.mark.integration

INLINE = {
    "key": "AKIAQ7INLINE0EXAMPLE",
    "secret": "inl1ne/Secret+of+forty/characters/at0all",
    "token": "inl1neSessionToken0",
}
BY_NAME = {
    "key": "AKIAQ7BYNAME0EXAMPLE",
    "secret": "nam3d/Secret+of+forty/characters/at0allx",
    "token": "nam3dSessionToken00",
}
SECRETS = [*INLINE.values(), *BY_NAME.values()]

# One process and one cluster for all commands. The secrets stand on the process's own command line.
DRIVER = textwrap.dedent("""
    import json, sys
    import ray
    from ray_jobs import cli
    folder, *commands = sys.argv[1:]
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=True, _temp_dir=folder)
    for command in commands:
        assert cli.main(json.loads(command)) == 0
    ray.shutdown()
""")


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="vmsec", dir="/tmp"))  # short: socket paths are limited to 107 bytes
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def options(prefix: str, endpoint: str, **values: str) -> list[str]:
    given = {"endpoint_url": endpoint, "region": "us-east-1", **values}
    return [f"{prefix}storage_options.{name}={value}" for name, value in given.items()]


def run(commands: list[list[str]], ray_folder: Path, tmp_path: Path) -> str:
    """What the commands printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RAY_"))}
    environment |= {f"MY_{name.upper()}": value for name, value in BY_NAME.items()}
    environment |= {
        "AWS_EC2_METADATA_DISABLED": "true", "RAY_AUTH_MODE": "disabled", "RAY_API_SERVER_ADDRESS": "http://127.0.0.1:9",
        "WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path / "wandb"), "WANDB_CACHE_DIR": str(tmp_path / "wandb"),
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    (tmp_path / "wandb").mkdir()
    words = [json.dumps(command) for command in commands]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(ray_folder), *words],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout + done.stderr


def files(*folders: Path) -> dict[str, bytes]:
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path): path.read_bytes() for path in found}


def objects(bucket: str) -> dict[str, bytes]:
    client = boto3.client("s3")
    names = [item["Key"] for item in client.list_objects_v2(Bucket=bucket)["Contents"]]
    content = {name: client.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}
    unpacked = {
        f"{n} (rows)": repr(pq.read_table(io.BytesIO(c)).to_pylist()).encode()
        for n, c in content.items()
        if n.endswith(".parquet")
    }
    return content | unpacked


def leaks(contents: dict[str, bytes]) -> list[str]:
    """Names of contents that hold a secret."""
    return [name for name, content in contents.items() if any(secret.encode() in content for secret in SECRETS)]


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_shards_training_probe_export_and_sweep_leave_no_secret(
    s3_server, s3_bucket, sample_clips, ray_folder, tmp_path
):
    pytest.importorskip("wandb")
    (tmp_path / "clips").mkdir()
    for clip in sorted(sample_clips.iterdir())[:3]:
        shutil.copy(clip, tmp_path / "clips")
    named = {f"{name}_env": f"MY_{name.upper()}" for name in BY_NAME}
    manifest = f"{s3_bucket}/shards/manifest.json"
    small = ["data.image_size=[64, 64]", "data.pairs_per_open=2", "model.decoder_dim=16",
             "train={batch_size: 4, micro_batch: 4, steps: 2}", "workers={count: 1, cpus: 0.5, threads: 1}",
             "checkpoint.every_steps=2"]  # fmt: skip
    scored = "{root: 'samples://davis', resolution: 240p, clips: [blackswan]}"
    probe = f"probe={{evaluate: {{preset: crw-240p, data: {scored}}}}}"

    shown = run(
        [
            ["build-shards", "clips", f"{s3_bucket}/shards", "reencode=true", "short_side=64",
             *options("", s3_server, **INLINE)],
            ["show-shards", manifest, "pairs=2", *options("", s3_server, **INLINE)],
            ["pretrain", "configs/pretrain/laptop.yaml", f"data.manifest={manifest}", "run.name=inline",
             "log.writers=[tensorboard, wandb]", *small, probe, *options("data.", s3_server, **INLINE)],
            ["pretrain", "configs/pretrain/laptop.yaml", f"data.manifest={manifest}", "run.name=named",
             *small, *options("data.", s3_server, **named)],
            ["export", "runs/inline", "exported"],
            ["tune", f"pretrain.data.manifest={manifest}", "name=sweep", "space={model.mask_ratio: [0.5]}",
             *(f"pretrain.{word}" for word in small), *options("pretrain.data.", s3_server, **INLINE)],
        ],
        ray_folder, tmp_path,
    )  # fmt: skip

    left = files(tmp_path, ray_folder) | objects(s3_bucket.removeprefix("s3://"))
    assert leaks(left) == []
    assert leaks({"printed": shown.encode()}) == []

    # The search sees what was written: the part of the same options that is not secret is everywhere.
    known = [name for name, content in left.items() if s3_server.encode() in content]
    for place in ("runs/inline/config.yaml", "state.json", ".wandb", "runs/sweep/trials"):
        assert any(place in name for name in known), place
    assert "secret: '***'" in (tmp_path / "runs/inline/config.yaml").read_text()
    assert "secret_env: MY_SECRET" in (tmp_path / "runs/named/config.yaml").read_text()
    for place in ("tensorboard/", "tune/tuner.pkl", "exported/card.json", "session_", "shards/index.parquet (rows)"):
        assert any(place in name for name in left), place


@pytest.fixture
def profiles(tmp_path, monkeypatch, s3_bucket):
    path = tmp_path / "credentials"
    path.write_text("[work]\naws_access_key_id = test\naws_secret_access_key = test\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))


def test_a_profile_opens_the_store(profiles, s3_bucket):
    storage = Storage(f"{s3_bucket}/a", StorageOptions(profile="work"))
    storage.write("name", b"content")

    assert storage.read("name") == b"content"


def test_a_profile_that_is_not_there_is_one_line_at_once(profiles, s3_bucket):
    storage = Storage(f"{s3_bucket}/a", StorageOptions(profile="home"))
    begin = time.monotonic()

    with pytest.raises(StorageError, match=r"no such profile on this machine; add it to ~/\.aws/credentials"):
        storage.read("name")
    assert time.monotonic() - begin < 5
