"""What the catalogue says, and that it says it without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from latentsync_core import bundle_catalog
from latentsync_core.bundle_catalog import (
    OFFICIAL_BUNDLES,
    VERIFIED_SUFFIX,
    BundleConfig,
    bundle_folder,
    list_bundles,
    read_bundle_config,
)
from latentsync_core.errors import BadCheckpoint, BundleNotFound

FACTS = {"format": 1, "name": "n", "title": "t", "description": "d", "license_note": "l", "resolution": 64}


def test_the_catalogue_and_the_downloads_never_import_torch():
    code = (
        "import sys, latentsync_core.bundle_catalog, latentsync_core.bundle_download; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


def test_official_bundles_are_listed_as_absent_until_every_file_is_verified(tmp_path: Path):
    by_name = {info.name: info for info in list_bundles(tmp_path)}
    absent = by_name["latentsync-1.6"]
    assert not absent.is_available
    assert absent.resolution == 512
    assert absent.download_bytes > 5e9

    for file in OFFICIAL_BUNDLES["latentsync-1.6"].files:
        path = file.local_path(tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
        assert not file.is_verified(tmp_path)
        path.with_name(path.name + VERIFIED_SUFFIX).write_text(json.dumps({"size": 5}))
    assert {info.name: info.is_available for info in list_bundles(tmp_path)}["latentsync-1.6"]

    OFFICIAL_BUNDLES["latentsync-1.6"].unet.local_path(tmp_path).write_bytes(b"123")  # cut short afterwards
    assert not {info.name: info.is_available for info in list_bundles(tmp_path)}["latentsync-1.6"]


def test_home_trained_bundles_in_the_models_folder_are_offered_by_their_folders_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bundle_catalog, "MODELS_FOLDER", tmp_path)
    for name, facts in (("own", FACTS | {"name": "mini"}), ("mini", FACTS | {"name": "mini"}), ("broken", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "bundle.json").write_text(json.dumps(facts))
    listed = [(info.name, info.title) for info in list_bundles(tmp_path / "cache") if info.is_available]
    assert listed == [("mini", "t"), ("own", "t (own)")]
    assert bundle_folder("own") == tmp_path / "own"


def test_the_two_official_bundles_share_one_autoencoder(tmp_path: Path):
    first, second = (OFFICIAL_BUNDLES[name].vae.local_path(tmp_path) for name in ("latentsync-1.5", "latentsync-1.6"))
    assert first == second


@pytest.mark.parametrize("name", ["no-such-model", "", "/nowhere", "../models"])
def test_an_unknown_bundle_is_refused_with_the_known_names(name: str):
    with pytest.raises(BundleNotFound, match=r"mini, latentsync-1\.5, latentsync-1\.6"):
        bundle_folder(name)


@pytest.mark.parametrize(
    "change",
    [{"format": 2}, {"surplus": 1}, {"reference": "another"}, {"cpu_dtype": "int8"}],
)
def test_a_wrong_bundle_json_is_refused(tmp_path: Path, change: dict[str, object]):
    (tmp_path / "bundle.json").write_text(json.dumps({**FACTS, **change}))
    with pytest.raises(BadCheckpoint, match=r"bundle\.json"):
        read_bundle_config(tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_a_broken_bundle_json_is_named(tmp_path: Path, text: str):
    (tmp_path / "bundle.json").write_text(text)
    with pytest.raises(BadCheckpoint, match=r"bundle\.json"):
        read_bundle_config(tmp_path)


def test_what_a_bundle_json_leaves_out_is_official():
    assert BundleConfig.from_dict(FACTS, "facts").default_steps == 20
    with pytest.raises(BadCheckpoint, match="resolution"):
        BundleConfig.from_dict({key: FACTS[key] for key in FACTS if key != "resolution"}, "facts")
