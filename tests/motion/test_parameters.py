"""elastix parameter maps: what elastix would pass over in silence is refused."""

from pathlib import Path

import pytest

from rt4d.errors import RecipeError
from rt4d.motion.parameters import ParameterMap, known_keys, read_parameter_map

SOUND = """
// a comment
(Transform "BSplineTransform")   // another
(Metric "AdvancedNormalizedCorrelation")
(Optimizer "AdaptiveStochasticGradientDescent")
(ImageSampler "RandomCoordinate")
(NumberOfResolutions 2)
(GridSpacingSchedule 2 1)
(RandomSeed 7)
"""


def read(tmp_path: Path, text: str) -> ParameterMap:
    path = tmp_path / "map.txt"
    path.write_text(text, encoding="utf-8")
    return read_parameter_map(path)


def test_a_map_is_read_and_written_back_as_elastix_reads_it(tmp_path):
    found = read(tmp_path, SOUND)
    assert found.entries["GridSpacingSchedule"] == ("2", "1")
    again = read(tmp_path, found.text())
    assert dict(again.entries) == dict(found.entries)
    assert '(Transform "BSplineTransform")' in found.text()
    assert "comment" not in found.text()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("(MaximumNumberOfIteration 9)", "map.txt, line 10.*Did you mean MaximumNumberOfIterations"),
        ("(Metric0Weigth 9)", "no such parameter"),
        ("(MaximumNumberOfIterations many)", "expected a whole number, found many"),
        ("(MaximumNumberOfIterations 2.5)", "a whole number"),
        ("(FinalGridSpacingInPhysicalUnits wide)", "expected a number"),
        ('(WriteResultImage "no")', "true or false"),
        ('(Interpolator "LinerInterpolator")', "expected LinearInterpolator"),
        ("(RandomSeed 8)", "stands twice"),
        ("MaximumNumberOfIterations 9", "Not a line of an elastix parameter map"),
        ("(MaximumNumberOfIterations 1 2 3)", "expected 1 or 2 values, found 3 values"),
    ],
)
def test_what_elastix_would_take_in_silence_is_refused(tmp_path, line, message):
    with pytest.raises(RecipeError, match=message):
        read(tmp_path, SOUND + line)


def test_a_map_without_a_seed_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"RandomSeed.*two runs differ"):
        read(tmp_path, SOUND.replace("(RandomSeed 7)", ""))


def test_numbered_weights_are_known(tmp_path):
    assert read(tmp_path, SOUND + "(Metric1Weight 0.05)").entries["Metric1Weight"] == ("0.05",)


def test_the_names_that_elastix_manuals_show_are_known():
    assert {"SP_alpha", "SampleRegionSize", "UseRandomSampleRegion", "RequiredRatioOfValidSamples", "ErodeMask"} <= known_keys()
