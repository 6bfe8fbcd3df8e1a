"""Bundles are read strictly: what is misspelt, missing, altered, foreign or leads elsewhere is refused, and nothing of them runs."""

from __future__ import annotations

import pickle
import shutil
import subprocess

import pytest

from rt4d.errors import InputError, NotFoundError
from rt4d.provenance import sha256
from rt4d.segmentation import bundle as bundles
from rt4d.segmentation.bundle import bundle_digest, read_bundle
from rt4d.segmentation.network import build, definition
from tests.segmentation.make import COARSE, FINE, a_bundle, change, write_bundle


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("models") / "tiny", members=2)


@pytest.fixture
def folder(written, tmp_path):
    """A copy to break."""
    return shutil.copytree(written, tmp_path / "tiny")


@pytest.fixture
def shipped(folder, monkeypatch):
    """The copy, as if it came with rt4d."""
    monkeypatch.setattr(bundles, "data_folder", lambda _: folder.parent)
    return folder


def named(folder):
    return f"{folder}@sha256:{bundle_digest(folder, ['models/fold0.pt', 'models/fold1.pt'])}"


def test_a_shipped_bundle_is_read_by_its_name(shipped):
    bundle = read_bundle("tiny")
    assert (bundle.name, bundle.space.spacing_mm, bundle.space.window_hu) == ("tiny", 2.5, (-1000.0, 400.0))
    assert bundle.patch_voxels == (32, 32, 32)
    assert [path.name for path in bundle.members] == ["fold0.pt", "fold1.pt"]
    assert bundle.network_definition["_target_"] == "monai.networks.nets.DynUNet"


def test_the_digest_is_what_sha256sum_prints(shipped):
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not here")
    files = ["configs/metadata.json", "configs/inference.json", "models/fold0.pt", "models/fold1.pt"]
    lines = subprocess.run(["sha256sum", *files], cwd=shipped, capture_output=True, check=True).stdout
    digest = subprocess.run(["sha256sum"], input=lines, capture_output=True, check=True).stdout.split()[0].decode()
    assert read_bundle("tiny").sha256 == digest


def test_a_foreign_bundle_is_refused_with_its_digest_told_and_taken_with_it(folder):
    with pytest.raises(InputError, match="named with its sha256") as refused:
        read_bundle(folder)
    assert named(folder) in str(refused.value)
    assert read_bundle(named(folder)).name == "tiny"


def test_another_digest_is_refused(folder, shipped):
    for path in (folder, "tiny"):
        with pytest.raises(InputError, match="not the bundle of that digest"):
            read_bundle(f"{path}@sha256:{'0' * 64}")


def test_an_unknown_name_lists_what_there_is(shipped):
    with pytest.raises(NotFoundError, match="tiny"):
        read_bundle("tinny")


@pytest.mark.parametrize("file", ["metadata.json", "inference.json"])
def test_what_changed_since_it_was_named_is_refused(folder, file):
    name = named(folder)
    change(folder, file, **({"threshold": 0.1} if file == "metadata.json" else {"imports": ["$import os"]}))
    with pytest.raises(InputError, match="not the bundle of that digest"):
        read_bundle(name)


def test_altered_weights_are_refused(shipped):
    with (shipped / "models" / "fold1.pt").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="not the one that the bundle was made with"):
        read_bundle("tiny")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"treshold": 0.4}, "Did you mean threshold"),
        ({"threshold": None}, "lacks a key.*expected threshold$"),
        ({"threshold": 0}, "threshold must be a share"),
        ({"threshold": "0.5"}, "threshold must be a share"),
        ({"threshold": 10**400}, "threshold must be a share"),
        ({"smallest_cm3": 10**400}, "smallest_cm3"),
        ({"spacing_mm": 10**400}, "spacing_mm"),
        ({"fine": FINE | {"to_cm3": 10**400}}, "fine must be null"),
        ({"threshold_at_point": float("nan")}, "threshold_at_point must be a share"),
        ({"candidate_score": 1.5}, "candidate_score must be a share"),
        ({"overlap": 0.95}, "overlap must be a share"),
        ({"overlap": True}, "overlap must be a share"),
        ({"smallest_cm3": -1}, "smallest_cm3"),
        ({"faint_threshold": 0}, "faint_threshold must be a share"),
        ({"coarse": 4}, "coarse must be null"),
        ({"coarse": {"spacing_mm": 4}}, "coarse must be null"),
        ({"coarse": {"spacing_mm": 4, "from_cm3": 20}}, "coarse must be null"),
        ({"coarse": COARSE | {"known": 0.5}}, "coarse must be null"),
        ({"coarse": COARSE | {"spacing_mm": 2.5}}, "larger voxels"),
        ({"coarse": COARSE | {"spacing_mm": 8}}, "larger voxels"),
        ({"coarse": COARSE | {"from_cm3": -1}}, "coarse must be null"),
        ({"coarse": COARSE | {"score_share": 1.5}}, "score_share must be a share"),
        ({"coarse": COARSE | {"known_from": -0.1}}, "known_from must be a share"),
        ({"coarse": COARSE | {"known_to": 1.1}}, "known_to must be a share"),
        ({"coarse": COARSE | {"known_from": 0.6}}, "known_from is too high.*at most known_to, 0.5, found 0.6"),
        ({"fine": 2}, "fine must be null"),
        ({"fine": FINE | {"from_cm3": 1}}, "fine must be null"),
        ({"fine": FINE | {"to_cm3": -1}}, "fine must be null"),
        ({"fine": FINE | {"spacing_mm": 2.5}}, "smaller voxels.*at least 1 and below 2.5"),
        ({"fine": FINE | {"spacing_mm": 0.9}}, "smaller voxels"),
        ({"fine": FINE | {"overlap": 1}}, "fine.overlap must be a share"),
        ({"fine": FINE | {"share": -0.1}}, "fine.share must be a share"),
        ({"patch": [32, 32]}, "patch must be three"),
        ({"patch": 32}, "patch must be three"),
        ({"patch": [32, 32, 1e9]}, "patch must be three"),
        ({"patch": [34, 32, 32]}, "multiples of 4, at least 8"),
        ({"spacing_mm": 0}, "spacing_mm"),
        ({"spacing_mm": "2.5"}, "spacing_mm"),
        ({"window_hu": [400, -1000]}, "window"),
        ({"window_hu": -1000}, "window_hu"),
        ({"members": []}, "nothing else"),
        ({"members": "models/fold0.pt"}, "members must be"),
        ({"members": ["models/fold0.pt"]}, "nothing else"),
        ({"members": ["models/fold0.pt", "models/fold9.pt"]}, "is missing"),
        ({"members": ["../tiny/models/fold0.pt"]}, "own folder"),
        ({"members": ["/etc/passwd"]}, "own folder"),
        ({"members": [["models/fold0.pt"]]}, "own folder"),
        ({"sha256": {"models/fold0.pt": 5, "models/fold1.pt": 5}}, "not the one"),
    ],
)
def test_what_metadata_may_not_say_is_refused(shipped, changed, said):
    change(shipped, "metadata.json", **changed)
    with pytest.raises(InputError, match=said):
        read_bundle("tiny")


STRIDES = {"strides": [1, [1, 2, 2], 2, 2, 2], "upsample_kernel_size": [[1, 2, 2], 2, 2, 2]}
"""A network that halves slices (z) once less than rows and columns."""


@pytest.mark.parametrize(("changed", "patch"), [({}, (32, 32, 32)), (STRIDES, (32, 32, 16))])
def test_the_smallest_patch_is_two_voxels_on_the_networks_coarsest_level(changed, patch):
    """The network itself is the oracle: it answers on the smallest patch, and on half of it cannot normalise."""
    import torch

    said = definition(filters=(4,) * 5) | changed
    network = build(said).eval()
    half = tuple(n // 2 for n in patch)
    assert a_bundle(network_definition=said, patch_voxels=patch).patch_voxels == patch
    for least in range(3):
        with pytest.raises(InputError, match="patch"):
            a_bundle(network_definition=said, patch_voxels=tuple(half[axis] if axis == least else n for axis, n in enumerate(patch)))
    with torch.inference_mode():
        assert network(torch.rand(1, 2, *patch[::-1])).isfinite().all()
        with pytest.raises(ValueError, match="more than 1 value"):
            network(torch.rand(1, 2, *half[::-1]))


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"strides": [1, 2, 4]}, "upsample_kernel_size"),
        ({"strides": [0, 2, 2]}, "strides"),
        ({"strides": [2, 2, 2]}, "strides"),
        ({"strides": [1, [2, 2], 2]}, "strides"),
        ({"strides": [1, -2, 2]}, "strides"),
        ({"strides": [1, 2.0, 2]}, "strides"),
        ({"strides": [1, "2", 2]}, "strides"),
        ({"strides": 2}, "strides"),
        ({"strides": [1, 2]}, "kernel_size"),
        ({"strides": [1, 5, 2], "upsample_kernel_size": [5, 2]}, "kernel_size"),
        ({"strides": [1, 10**400, 2]}, "upsample_kernel_size"),
        ({"kernel_size": [3, 2, 3]}, "kernel_size"),
        ({"kernel_size": [3, 0, 3]}, "kernel_size"),
        ({"kernel_size": None}, "kernel_size"),
        ({"upsample_kernel_size": [2, 3]}, "upsample_kernel_size"),
    ],
)
def test_levels_that_do_not_go_together_are_refused_when_the_bundle_is_read(shipped, changed, key):
    """They failed when the network was built or run, or gave an answer of half the CT's size."""
    change(shipped, "inference.json", network_def=definition(filters=(4, 4, 4)) | changed)
    with pytest.raises(InputError, match=rf"levels do not go together \(network_def\.{key}\)"):
        read_bundle("tiny")
    with pytest.raises(InputError, match="levels do not go together"):
        build(definition(filters=(4, 4, 4)) | changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"kernel_size": [1, 5, [3, 3, 1]]},
        {"strides": [1, 4, 3], "upsample_kernel_size": [4, 3]},
        {"strides": [[1, 1, 1], [1, 2, 2], 2], "upsample_kernel_size": [[1, 2, 2], 2]},
    ],
)
def test_levels_that_go_together_give_an_answer_of_the_patchs_size(changed):
    import torch

    said = definition(filters=(4, 4, 4)) | changed
    patch = a_bundle(network_definition=said, patch_voxels=(48, 24, 24)).patch_voxels
    with torch.inference_mode():
        assert build(said).eval()(torch.rand(1, 2, *patch[::-1])).shape == (1, 2, *patch[::-1])


def test_a_link_that_leads_out_is_refused(shipped, tmp_path):
    member = shipped / "models" / "fold0.pt"
    outside = tmp_path / "outside.pt"
    shutil.move(member, outside)
    member.symlink_to(outside)
    with pytest.raises(InputError, match="outside its folder"):
        read_bundle("tiny")


@pytest.mark.parametrize("content", ["", "[]", "{", "\xff", "[" * 100000])
def test_a_broken_metadata_file_is_refused(shipped, content):
    (shipped / "configs" / "metadata.json").write_bytes(content.encode("latin1"))
    with pytest.raises(InputError, match="Not a JSON file"):
        read_bundle("tiny")


def test_a_bundle_without_a_network_is_refused(shipped):
    change(shipped, "inference.json", network_def=None)
    with pytest.raises(InputError, match="defines no network"):
        read_bundle("tiny")


def test_a_bundle_of_monais_without_our_section_is_refused(shipped):
    (shipped / "configs" / "metadata.json").write_text('{"version": "0.1"}')
    with pytest.raises(InputError, match="says nothing for rt4d"):
        read_bundle("tiny")


class Harm:
    def __init__(self, mark) -> None:
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def test_weights_that_would_run_code_do_not(shipped, tmp_path):
    """A pickle with the right digest, as a malicious bundle would bring, is refused when it is loaded, and nothing happened."""
    from rt4d.segmentation.inference import members_of

    mark = tmp_path / "harm"
    for name in ("fold0.pt", "fold1.pt"):
        (shipped / "models" / name).write_bytes(pickle.dumps(Harm(mark)))
    files = ["models/fold0.pt", "models/fold1.pt"]
    change(shipped, "metadata.json", sha256={file: sha256(shipped / file) for file in files})
    with pytest.raises(InputError, match="weights"):
        list(members_of(read_bundle("tiny")))
    assert not mark.exists()


@pytest.mark.parametrize("target", ["os.system", "monai.networks.nets.UNet", "$__import__('os').system('true')"])
def test_a_network_that_is_not_on_the_list_is_not_made(shipped, target):
    from rt4d.segmentation.inference import members_of

    change(shipped, "inference.json", network_def={"_target_": target, "spatial_dims": 3})
    with pytest.raises(InputError, match="on the list"):
        list(members_of(read_bundle("tiny")))
