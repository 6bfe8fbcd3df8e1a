"""elastix parameter maps: read, and refused where a key is unknown, because elastix itself passes over a misspelt key in silence.

The format is elastix's own: one `(Key value value …)` to a line, text in double quotes, `//` begins a comment. The known keys are those
that the components of elastix 5 read (elastix manual 5.2, chapters 3 to 6 and the reference of each component).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rt4d.errors import RecipeError

COMPONENTS = {
    "Registration": {"MultiResolutionRegistration", "MultiMetricMultiResolutionRegistration", "MultiResolutionRegistrationWithFeatures"},
    "Transform": {
        "BSplineTransform",
        "RecursiveBSplineTransform",
        "TranslationTransform",
        "EulerTransform",
        "SimilarityTransform",
        "AffineTransform",
    },
    "Optimizer": {
        "AdaptiveStochasticGradientDescent",
        "CMAEvolutionStrategy",
        "ConjugateGradient",
        "ConjugateGradientFRPR",
        "FiniteDifferenceGradientDescent",
        "PreconditionedStochasticGradientDescent",
        "QuasiNewtonLBFGS",
        "RegularStepGradientDescent",
        "StandardGradientDescent",
    },
    "Metric": {
        "AdvancedMeanSquares",
        "AdvancedNormalizedCorrelation",
        "AdvancedMattesMutualInformation",
        "NormalizedMutualInformation",
        "PatternIntensity",
        "GradientDifference",
        "NormalizedGradientCorrelation",
        "TransformBendingEnergyPenalty",
        "TransformRigidityPenalty",
        "DisplacementMagnitudePenalty",
        "DistancePreservingRigidityPenalty",
        "PolydataDummyPenalty",
        "StatisticalShapePenalty",
    },
    "ImageSampler": {"Full", "Grid", "Random", "RandomCoordinate", "RandomSparseMask", "MultiInputRandomCoordinate"},
    "Interpolator": {"LinearInterpolator", "BSplineInterpolator", "BSplineInterpolatorFloat", "NearestNeighborInterpolator", "RayCastInterpolator"},
    "ResampleInterpolator": {
        "FinalBSplineInterpolator",
        "FinalBSplineInterpolatorFloat",
        "FinalLinearInterpolator",
        "FinalNearestNeighborInterpolator",
    },
    "FixedImagePyramid": {
        "FixedGenericImagePyramid",
        "FixedRecursiveImagePyramid",
        "FixedShrinkingImagePyramid",
        "FixedSmoothingImagePyramid",
    },
    "MovingImagePyramid": {
        "MovingGenericImagePyramid",
        "MovingRecursiveImagePyramid",
        "MovingShrinkingImagePyramid",
        "MovingSmoothingImagePyramid",
    },
    "Resampler": {"DefaultResampler"},
    "HowToCombineTransforms": {"Compose", "Add"},
    "FixedInternalImagePixelType": {"float", "short"},
    "MovingInternalImagePixelType": {"float", "short"},
    "MaximumDisplacementEstimationMethod": {"95percentile", "2sigma"},
    "ASGDParameterEstimationMethod": {"Original", "DisplacementDistribution"},
    "AutomaticTransformInitializationMethod": {"GeometricalCenter", "CenterOfGravity", "Origins", "GeometryTop"},
    "ResultImageFormat": {"mhd", "mha", "nii", "nii.gz", "nrrd"},
    "ResultImagePixelType": {"char", "unsigned char", "short", "unsigned short", "int", "unsigned int", "float", "double"},
}

BOOLEANS = (
    "AutomaticParameterEstimation AutomaticScalesEstimation AutomaticTransformInitialization CheckNumberOfSamples CompressResultImage ErodeFixedMask "
    "ErodeMask ErodeMovingMask GenerateLineSearchIterations NewSamplesEveryIteration NoiseCompensation ShowExactMetricValue StopIfWolfeNotSatisfied "
    "SubtractMean UseAdaptiveStepSizes UseConstantStep UseCyclicTransform UseDirectionCosines UseExplicitPDFDerivatives UseFastAndLowMemoryVersion "
    "UseFiniteDifferenceDerivative UseJacobianPreconditioning UseMovingImageDerivativeScales UseMultiThreadingForEstimation "
    "UseMultiThreadingForMetrics UseNormalization UseRandomSampleRegion UseRelativeWeights WriteFinalTransformParameters WriteIterationInfo "
    "WriteParametersEachIteration WritePyramidImagesAfterEachResolution WriteResultImage WriteResultImageAfterEachIteration "
    "WriteResultImageAfterEachResolution WriteResultMeshAfterEachIteration WriteResultMeshAfterEachResolution WriteTransformParametersEachIteration "
    "WriteTransformParametersEachResolution"
)

INTEGERS = (
    "BSplineInterpolationOrder BSplineTransformSplineOrder FinalBSplineInterpolationOrder FixedImageBSplineInterpolationOrder FixedImageDimension "
    "FixedImagePyramidSchedule FixedKernelBSplineOrder ImagePyramidSchedule LBFGSUpdateAccuracy MaximumNumberOfIterations "
    "MaximumNumberOfLineSearchIterations MaximumNumberOfSamplingAttempts MovingImageDimension MovingImagePyramidSchedule MovingKernelBSplineOrder "
    "NumberOfBandStructureSamples NumberOfFixedHistogramBins NumberOfGradientMeasurements NumberOfHistogramBins NumberOfJacobianMeasurements "
    "NumberOfMovingHistogramBins NumberOfResolutions NumberOfSamplesForExactGradient NumberOfSamplesForNoiseCompensationFactor "
    "NumberOfSamplesForPrecondition NumberOfSpatialSamples PassiveEdgeWidth PopulationSize RandomSeed SampleGridSpacing"
)

NUMBERS = (
    "ConditionNumber DefaultPixelValue FinalGridSpacingInPhysicalUnits FinalGridSpacingInVoxels FixedImagePyramidRescaleSchedule "
    "FixedLimitRangeRatio GradientMagnitudeTolerance GridSpacingSchedule ImagePyramidRescaleSchedule LineSearchGradientTolerance "
    "LineSearchValueTolerance MaximumStepLength MaximumStepLengthRatio MinimumGradientMagnitude MinimumStepLength MinimumStepLengthRatio "
    "MovingImagePyramidRescaleSchedule MovingLimitRangeRatio RegularizationKappa RelaxationFactor RequiredRatioOfValidSamples SP_A SP_a SP_alpha "
    "SampleRegionSize Scales SigmoidInitialTime SigmoidMax SigmoidMin SigmoidScaleFactor StepLength ValueTolerance"
)

_BOOLEANS, _INTEGERS = frozenset(BOOLEANS.split()), frozenset(INTEGERS.split())
NUMBERED = re.compile(r"Metric\d+(Weight|RelativeWeight|Use)|ImageSampler\d+NumberOfSpatialSamples")
REQUIRED = ("Transform", "Optimizer", "Metric", "ImageSampler", "NumberOfResolutions", "RandomSeed")
PER_RESOLUTION = ("MaximumNumberOfIterations", "NumberOfSpatialSamples", "NumberOfHistogramBins", "SP_a", "SP_A", "SP_alpha", "MaximumStepLength")
PER_RESOLUTION_AND_AXIS = ("GridSpacingSchedule", "ImagePyramidSchedule", "FixedImagePyramidSchedule", "MovingImagePyramidSchedule")
LINE = re.compile(r"""\(\s*(?P<key>\w+)\s+(?P<values>(?:"[^"]*"|[^"()\s]+)(?:\s+(?:"[^"]*"|[^"()\s]+))*)\s*\)""")


@dataclass(frozen=True, slots=True)
class ParameterMap:
    """One elastix parameter map: `entries` by key, each a tuple of the values as text, in the order of the file."""

    name: str
    entries: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        for key, values in self.entries.items():
            _check_entry(key, values, where=self.name)
        if missing := [key for key in REQUIRED if key not in self.entries]:
            why = "Without a fixed RandomSeed two runs differ" if "RandomSeed" in missing else "State it: elastix's own default may change"
            raise RecipeError("An elastix parameter map lacks what rt4d requires", where=self.name, expected=", ".join(missing), do=why)
        self._check_lengths()

    def _check_lengths(self) -> None:
        levels = int(self.entries["NumberOfResolutions"][0])
        for keys, lengths in ((PER_RESOLUTION, {1, levels}), (PER_RESOLUTION_AND_AXIS, {levels, 3 * levels})):
            for key in keys:
                if key in self.entries and len(self.entries[key]) not in lengths:
                    expected = " or ".join(str(n) for n in sorted(lengths))
                    found = f"{len(self.entries[key])} values of {key}"
                    raise RecipeError("A value for each resolution is needed", where=self.name, expected=f"{expected} values", found=found)

    def with_grid_at_least(self, spacing_mm: Sequence[float]) -> ParameterMap:
        """The same map with control points at least so far apart along x, y, z; one without FinalGridSpacingInPhysicalUnits stays as it is."""
        if not (said := self.entries.get("FinalGridSpacingInPhysicalUnits")):
            return self
        given = [float(value) for value in (said * 3 if len(said) == 1 else said)]
        wider = tuple(f"{max(a, b):g}" for a, b in zip(given, spacing_mm, strict=True))
        return ParameterMap(self.name, {**self.entries, "FinalGridSpacingInPhysicalUnits": wider})

    def with_iterations(self, share: float) -> ParameterMap:
        """The same map with so much of its iterations; one without MaximumNumberOfIterations stays as it is."""
        if not (said := self.entries.get("MaximumNumberOfIterations")):
            return self
        fewer = tuple(str(max(1, round(share * int(each)))) for each in said)
        return ParameterMap(self.name, {**self.entries, "MaximumNumberOfIterations": fewer})

    def text(self) -> str:
        """The map as elastix reads it, comments left out: what runs is what was checked."""
        lines = (f"({key} {' '.join(_quoted(value) for value in values)})" for key, values in self.entries.items())
        return "\n".join(lines) + "\n"


def read_parameter_map(path: Path) -> ParameterMap:
    """The parameter map in a file; RecipeError names file and line of what is not one."""
    entries: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not (content := _without_comment(line).strip()):
            continue
        where = f"{path.name}, line {number}"
        if not (found := LINE.fullmatch(content)):
            raise RecipeError("Not a line of an elastix parameter map", where=where, expected='(Key "text" or number …)', found=content)
        if found["key"] in entries:
            raise RecipeError("An elastix parameter stands twice", where=where, found=found["key"])
        values = tuple(value.strip('"') for value in re.findall(r'"[^"]*"|[^"\s]+', found["values"]))
        _check_entry(found["key"], values, where=where)
        entries[found["key"]] = values
    return ParameterMap(path.name, entries)


def known_keys() -> frozenset[str]:
    """Every key that may stand in a parameter map (and `Metric0Weight` and its like)."""
    return frozenset({*COMPONENTS, *_BOOLEANS, *_INTEGERS, *NUMBERS.split()})


def _check_entry(key: str, values: tuple[str, ...], *, where: str) -> None:
    if key not in known_keys() and not NUMBERED.fullmatch(key):
        near = difflib.get_close_matches(key, known_keys(), n=1)
        do = f"Did you mean {near[0]}?" if near else "elastix would pass over it in silence"
        raise RecipeError("elastix has no such parameter", where=where, found=key, do=do)
    for value in values:
        if expected := _what_it_must_be(key, value):
            raise RecipeError(f"A wrong value of {key}", where=where, expected=expected, found=value)


def _what_it_must_be(key: str, value: str) -> str:
    """'' where the value is of the key's kind; else what is expected there."""
    if key in COMPONENTS:
        near = difflib.get_close_matches(value, COMPONENTS[key], n=1)
        return "" if value in COMPONENTS[key] else f"{near[0]}" if near else f"one of {', '.join(sorted(COMPONENTS[key]))}"
    if key in _BOOLEANS or re.fullmatch(r"Metric\d+Use", key):
        return "" if value in ("true", "false") else "true or false"
    if key in _INTEGERS:
        return "" if re.fullmatch(r"\d+", value) else "a whole number"
    try:
        float(value)
    except ValueError:
        return "a number"
    return ""


def _without_comment(line: str) -> str:
    return re.match(r'(?:"[^"]*"|(?!//).)*', line).group()  # type: ignore[union-attr]


def _quoted(value: str) -> str:
    try:
        float(value)
    except ValueError:
        return f'"{value}"'
    return value
