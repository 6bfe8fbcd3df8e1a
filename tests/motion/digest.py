"""What a registration comes to, as one number; as a program, of a process with so many workers that has registered something else before.

    python -m tests.motion.digest RECIPE WORKERS
"""

import hashlib
import sys

import numpy as np

from rt4d.motion import track
from rt4d.motion.quality import checks
from tests.motion.make import Scene, grid

SMALL = (40, 38, 24)
SHARES = {"00": 1.0, "50": 0.0, "80": 0.5}


def small_scene(**other):
    g = grid(SMALL)
    scene = Scene(tuple(g.to_patient((np.array(g.size) - 1) / 2)), shares=SHARES, **other)
    return scene, scene.four_d_ct(g), scene.tumour("50", g)


def digest(motion, ct, gtv):
    masks = motion.carry(gtv)
    parts = [motion.fields[label].vectors_mm.tobytes() for label in sorted(motion.fields)]
    parts += [masks[label].inside.tobytes() for label in sorted(masks)]
    parts += [repr(sorted((check.phase, check.name, check.value) for check in checks(motion, ct, gtv, masks=masks))).encode()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


if __name__ == "__main__":
    recipe, workers = sys.argv[1], int(sys.argv[2])
    _, other, target = small_scene(amplitude_mm=(6.0, 0.0, 3.0))
    track(other, focus=target, recipe=recipe, workers=workers, skip={"80"})
    _, ct, gtv = small_scene()
    print(digest(track(ct, focus=gtv, recipe=recipe, workers=workers), ct, gtv))
