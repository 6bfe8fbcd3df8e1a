"""track with elastix itself: it follows, it is the same on any number of cores, it fails aloud, and it leaves nothing behind."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

import rt4d
from rt4d.errors import ContourError, GeometryError, InputError, RegistrationError
from rt4d.motion import processes, read_recipe, track
from rt4d.motion.quality import checks
from rt4d.motion.tracking import _overlap
from rt4d.phases import FourDCT, Phase
from rt4d.resources import data_folder
from rt4d.volumes import Mask, Volume
from tests.conftest import POSES
from tests.motion.digest import SHARES, SMALL, digest, small_scene
from tests.motion.make import Scene, grid


def scene_on(geometry, **other):
    return Scene(tuple(geometry.to_patient((np.array(geometry.size) - 1) / 2)), shares=SHARES, **other)


@pytest.fixture(scope="session")
def quick(tmp_path_factory):
    """A recipe of a few iterations, for tests that ask how and not how well."""
    return own_recipe(tmp_path_factory.mktemp("quick"), "(MaximumNumberOfIterations 300)", "(MaximumNumberOfIterations 20)")


def own_recipe(folder: Path, old: str, new: str) -> Path:
    source = data_folder("registration") / "lung_focus"
    toml = source.joinpath("recipe.toml").read_text(encoding="utf-8").replace("margin_mm = 25.0", "margin_mm = 15.0")
    folder.joinpath("recipe.toml").write_text(toml, encoding="utf-8")
    text = source.joinpath("bspline.txt").read_text(encoding="utf-8")
    assert old in text
    folder.joinpath("bspline.txt").write_text(text.replace(old, new), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def small():
    return small_scene()


@pytest.fixture(scope="module")
def once(small, quick):
    _, ct, gtv = small
    return track(ct, focus=gtv, recipe=quick, workers=2)


def same_bits(one, other):
    return all(
        set(mine) == set(theirs) and all(np.array_equal(mine[label].vectors_mm, theirs[label].vectors_mm) for label in mine)
        for mine, theirs in ((one.fields, other.fields), (one.back, other.back))
    )


def test_the_tumour_is_followed_within_half_a_millimetre():
    g = grid()
    scene = scene_on(g)
    gtv = scene.tumour("50", g)
    ct = scene.four_d_ct(g)
    motion = track(ct, focus=gtv)
    for label in ("00", "80"):
        off = motion.reference_to_phase(label, gtv.points_mm) - scene.reference_to_phase(label, gtv.points_mm)
        assert np.linalg.norm(off, axis=-1).mean() < 0.6
        assert np.linalg.norm(off.mean(axis=0)) < 0.5
    found = checks(motion, ct, gtv)
    assert [check.sentence for check in found if check.verdict == "fail"] == []
    agreement = [check.value for check in found if check.name == "both_directions_mm"]
    assert len(agreement) == 2
    assert max(agreement) < 1.0


def test_of_the_way_back_no_more_is_kept_than_the_target_needs(once):
    assert set(once.back) == {"00", "80"}
    assert all(each.vectors_mm.size < 0.5 * once.fields[label].vectors_mm.size for label, each in once.back.items())


def test_a_recipe_may_go_one_way_only(small, quick, tmp_path):
    _, ct, gtv = small
    own = Path(shutil.copytree(quick, tmp_path / "one way"))
    toml = own.joinpath("recipe.toml").read_text(encoding="utf-8")
    own.joinpath("recipe.toml").write_text(re.sub(r"^back = \S+", "back = 0.0", toml, flags=re.MULTILINE), encoding="utf-8")
    motion = track(ct, focus=gtv, recipe=own)
    assert motion.back == {}
    assert {check.value for check in checks(motion, ct, gtv) if check.name == "both_directions_mm"} == {None}


@pytest.mark.slow
def test_the_result_turns_with_the_patient(small, quick, once):
    """The same voxels on an oblique grid: the same field, turned. elastix' own oblique grids go wrong, see elastix.py."""
    _, ct, gtv = small
    turned = replace(ct.geometry, direction=POSES["oblique"])
    phases = tuple(Phase(Volume(phase.volume.hu, turned), phase.identity, label=phase.label) for phase in ct)
    motion = track(FourDCT(phases, "50"), focus=Mask(gtv.inside, turned), recipe=quick)
    for label in ("00", "80"):
        expected = once.fields[label].vectors_mm @ turned.matrix.T
        np.testing.assert_allclose(motion.fields[label].vectors_mm, expected, atol=1e-4)


@pytest.mark.slow
def test_the_same_bits_with_one_process_or_two_again_and_in_another_order(small, quick, once):
    _, ct, gtv = small
    assert same_bits(once, track(ct, focus=gtv, recipe=quick, workers=1))
    backwards = FourDCT(ct.phases[::-1], "50")
    assert same_bits(once, track(backwards, focus=gtv, recipe=quick, workers=1))


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_same_bits_with_any_number_of_threads_and_after_another_registration(small, quick, once, threads):
    """Fields, masks and check values of a process whose libraries may use so many threads, and which has registered something else before."""
    _, ct, gtv = small
    env = os.environ | dict.fromkeys(processes.ONE_THREAD, str(threads))
    command = [sys.executable, "-m", "tests.motion.digest", str(quick), str(threads)]
    done = subprocess.run(command, check=False, cwd=Path(rt4d.__file__).parent.parent, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == digest(once, ct, gtv)


def test_the_quick_sum_of_splines_is_elastix_own_field(small, tmp_path):
    from rt4d.motion import elastix

    _, ct, _ = small
    parameters = tmp_path / "p.txt"
    text = read_recipe("lung_focus").parameter_maps[0].text()
    parameters.write_text(text.replace("(MaximumNumberOfIterations 300)", "(MaximumNumberOfIterations 5)"), encoding="utf-8")
    fixed, moving = (elastix.image(ct[label].volume.hu.astype(np.float32), (2.0, 2.0, 3.0), (0.0, 0.0, 0.0)) for label in ("50", "00"))
    transform = elastix.optimise(fixed, moving, [(parameters, None)], tmp_path)
    summed = elastix.bspline_field(dict(transform.GetParameterMap(0)), shape=ct.geometry.shape, spacing_mm=(2.0, 2.0, 3.0))
    np.testing.assert_allclose(summed, elastix.transformix_field(transform, moving, folder=tmp_path), atol=1e-4)
    assert np.abs(summed).max() > 0.5


AFFINE = """(Registration "MultiResolutionRegistration")
(FixedImageDimension 3)
(MovingImageDimension 3)
(NumberOfResolutions 2)
(Transform "AffineTransform")
(AutomaticScalesEstimation "true")
(Metric "AdvancedNormalizedCorrelation")
(Interpolator "LinearInterpolator")
(ImageSampler "RandomCoordinate")
(NumberOfSpatialSamples 1500)
(Optimizer "AdaptiveStochasticGradientDescent")
(MaximumNumberOfIterations 60)
(RandomSeed 1)
(WriteResultImage "false")
"""


@pytest.mark.slow
def test_a_recipe_of_two_stages_is_followed_to_its_end(small, tmp_path):
    """An affine everywhere, then B-splines near the target: the field is that of both, one after the other."""
    scene, ct, gtv = small
    own = own_recipe(tmp_path, "(MaximumNumberOfIterations 300)", "(MaximumNumberOfIterations 60)")
    own.joinpath("affine.txt").write_text(AFFINE, encoding="utf-8")
    toml = own.joinpath("recipe.toml").read_text(encoding="utf-8")
    stages = 'mask_from = 2\nparameter_maps = ["affine.txt", "bspline.txt"]'
    own.joinpath("recipe.toml").write_text(toml.replace('parameter_maps = ["bspline.txt"]', stages), encoding="utf-8")
    assert read_recipe(own).mask_from == 2
    motion = track(ct, focus=gtv, recipe=own)
    off = motion.reference_to_phase("00", gtv.points_mm) - scene.reference_to_phase("00", gtv.points_mm)
    assert np.linalg.norm(off, axis=-1).mean() < 1.0


@pytest.mark.slow
def test_one_that_was_stopped_before_it_arrived_fails_its_checks(small, tmp_path):
    _, ct, gtv = small
    own = own_recipe(tmp_path, "(MaximumStepLength 6 4 2 1)", "(MaximumStepLength 0.001 0.001 0.001 0.001)")
    toml = own.joinpath("recipe.toml")
    toml.write_text(toml.read_text(encoding="utf-8").replace("search_mm = 30.0", "search_mm = 0.0"), encoding="utf-8")
    found = checks(track(ct, focus=gtv, recipe=own), ct, gtv)
    assert {check.name for check in found if check.phase == "00" and check.verdict == "fail"} >= {"gtv_mean_hu_change", "residual_shift_mm"}


def test_what_elastix_says_reaches_the_user_in_one_line(small, tmp_path, capfd):
    _, ct, gtv = small
    own = own_recipe(tmp_path, "(RandomSeed", "(RequiredRatioOfValidSamples 1.0)\n(RandomSeed")
    toml = own.joinpath("recipe.toml").read_text(encoding="utf-8")
    own.joinpath("recipe.toml").write_text(toml.replace("reach_mm = 30.0", "reach_mm = 0.0"), encoding="utf-8")
    motion = track(ct, focus=gtv, recipe=own)
    assert set(motion.failed) == {"00", "80"}
    assert all("Too many samples map outside" in reason and "\n" not in reason for reason in motion.failed.values())
    assert motion.fields == {}
    with pytest.raises(RegistrationError, match="Too many samples"):
        motion.reference_to_phase("00", gtv.centroid_mm)
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""


def test_a_process_that_dies_is_a_phase_that_failed(small, quick, monkeypatch, tmp_path):
    _, ct, gtv = small
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\necho 'terribly sorry' >&2\nkill -9 $$\n", encoding="utf-8")
    dying.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dying))
    motion = track(ct, focus=gtv, recipe=quick, workers=1)
    assert set(motion.failed) == {"00", "80"}
    assert "killed by signal 9" in motion.failed["00"]
    assert "terribly sorry" in motion.failed["80"]


@pytest.fixture
def registration_folders(tmp_path, monkeypatch):
    """What registrations of this process leave behind: its temporary files lie where no other process puts any."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return lambda: set(tmp_path.glob("rt4d-registration-*"))


def test_progress_is_told_and_nothing_is_left_behind(small, quick, registration_folders):
    _, ct, gtv = small
    told = []
    motion = track(ct, focus=gtv, recipe=quick, workers=1, progress=lambda *said: told.append(said))
    assert told == [("registering phases", done, 2) for done in (0, 1, 2)]
    assert set(motion.seconds) == {"00", "80"}
    assert not registration_folders()
    assert [child for child in psutil.Process().children(recursive=True) if "rt4d.motion.worker" in " ".join(child.cmdline())] == []


@pytest.mark.slow
def test_an_interrupt_ends_at_once_and_leaves_nothing_behind(small, quick, registration_folders):
    _, ct, gtv = small

    def interrupt(stage, done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        track(ct, focus=gtv, recipe=quick, workers=2, progress=interrupt)
    assert not registration_folders()
    assert [child for child in psutil.Process().children(recursive=True) if "rt4d.motion.worker" in " ".join(child.cmdline())] == []


def test_a_process_that_registers_loads_no_torch():
    told = "import sys; sys.stdin = []; worker.main(); from itk import itkElastixRegistrationMethodPython; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", f"from rt4d.motion import worker; {told}"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_importing_motion_loads_no_itk():
    code = "import sys, rt4d.motion; sys.exit(any(name == 'itk' or name.startswith('itk.') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(rt4d.__file__).parent.parent).returncode == 0


def test_a_script_needs_no_main_guard_and_may_lie_anywhere(quick, tmp_path):
    """As a physicist writes it: run from another folder, everything at the top level."""
    script = tmp_path / "plan.py"
    script.write_text(
        "from rt4d.motion import track\nfrom tests.motion.make import Scene, grid\n"
        f"g = grid({SMALL})\ns = Scene(tuple(g.to_patient((19.5, 18.5, 11.5))), shares={{'50': 0.0, '80': 0.5}})\n"
        f"print(track(s.four_d_ct(g), focus=s.tumour('50', g), recipe={str(quick)!r}))\n",
        encoding="utf-8",
    )
    env = {**os.environ, "PYTHONPATH": str(Path(rt4d.__file__).parent.parent)}
    done = subprocess.run([sys.executable, str(script)], check=False, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "reference 50; up to mm: 80" in done.stdout


def test_calls_that_cannot_be_meant_are_refused(small):
    _, ct, gtv = small
    with pytest.raises(InputError, match="what to follow"):
        track(ct)
    with pytest.raises(ContourError, match="focus is empty"):
        track(ct, focus=Mask(np.zeros_like(gtv.inside), gtv.geometry))
    with pytest.raises(GeometryError, match="another grid"):
        track(ct, focus=gtv.crop((0, 0, 0), (20, 20, 20)))
    with pytest.raises(InputError, match="recipe for the lungs"):
        track(ct, whole_lung=True, recipe="lung_focus")
    with pytest.raises(InputError, match="At least one worker"):
        track(ct, focus=gtv, workers=0)


def test_an_uneven_grid_is_refused(small):
    _, ct, gtv = small
    offsets = (0.0, *(3.0 * k + 1.5 for k in range(1, SMALL[2])))
    uneven = replace(ct.geometry, slice_offsets_mm=offsets)
    phases = tuple(Phase(Volume(phase.volume.hu, uneven), phase.identity, label=phase.label) for phase in ct)
    with pytest.raises(GeometryError, match="Registration needs slices at even distances"):
        track(FourDCT(phases, "50"), focus=Mask(gtv.inside, uneven))


def test_cores_are_those_this_process_may_use():
    assert 1 <= processes.cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("back", [-9, -3, 0, 2, 7, 9])
def test_what_moves_out_of_the_grid_does_not_come_in_at_the_other_end(back):
    there, here = _overlap(back, 7)
    moved = np.zeros(7, int)
    moved[there] = np.arange(1, 8)[here]
    assert moved.tolist() == [n + back + 1 if 0 <= n + back < 7 else 0 for n in range(7)]
