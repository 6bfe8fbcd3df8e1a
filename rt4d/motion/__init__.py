"""How a tumour moves: registration of the phases of a 4D-CT (`track`), and what it found (`Motion`)."""

from rt4d.motion.fields import DisplacementField
from rt4d.motion.motion import Motion, PhaseMasks
from rt4d.motion.recipe import Limits, Recipe, read_recipe, recipe_names
from rt4d.motion.tracking import track

__all__ = ["DisplacementField", "Limits", "Motion", "PhaseMasks", "Recipe", "read_recipe", "recipe_names", "track"]
