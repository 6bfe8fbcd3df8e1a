"""From disagreement to outcome: what the machine drew and the physician did not, and what happened to the patients."""

from rt4d.outcomes.analysis import Analysis, Question, analyse
from rt4d.outcomes.cox import Regression, cox
from rt4d.outcomes.curves import Curve, cumulative_incidence, kaplan_meier, log_rank
from rt4d.outcomes.discordance import Discordance, discordance
from rt4d.outcomes.failure_site import FailureSite, failure_site
from rt4d.outcomes.fine_gray import fine_gray
from rt4d.outcomes.gray import gray_test
from rt4d.outcomes.hazard_curve import HazardCurve, hazard_curve
from rt4d.outcomes.table import Cohort, cohort_from_table, where
from rt4d.tables import read_table

__all__ = [
    "Analysis",
    "Cohort",
    "Curve",
    "Discordance",
    "FailureSite",
    "HazardCurve",
    "Question",
    "Regression",
    "analyse",
    "cohort_from_table",
    "cox",
    "cumulative_incidence",
    "discordance",
    "failure_site",
    "fine_gray",
    "gray_test",
    "hazard_curve",
    "kaplan_meier",
    "log_rank",
    "read_table",
    "where",
]
