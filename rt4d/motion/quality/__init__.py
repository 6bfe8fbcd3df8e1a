"""Whether the registration of each phase may be trusted around the target: figures, limits and verdicts (after AAPM TG-132).

No check asks the registration how well it did: images are compared afresh, and where they disagree by a shift, the shift is measured.
The limits stand in the recipe, their sources in its README.
"""

from rt4d.motion.quality.all_checks import checks
from rt4d.motion.quality.check import Check, limited
from rt4d.motion.quality.likeness import correlation, gained, similar
from rt4d.motion.quality.shift import remaining_shift_mm

__all__ = ["Check", "checks", "correlation", "gained", "limited", "remaining_shift_mm", "similar"]
