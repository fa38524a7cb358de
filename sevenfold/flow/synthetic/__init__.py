"""Synthetic image pairs and videos with exact flow: textured layers in closed-form motion.

Scenes of the first edition (:func:`draw_scene`) are computed one by one; rendered scenes (:func:`render`) as
batches, with richer textures, outlines, motion and light.
"""

from sevenfold.flow.synthetic.bank import Bank, scene_bank
from sevenfold.flow.synthetic.drift import FIRST_EDITION, Drift
from sevenfold.flow.synthetic.motion import DEFAULT_MOTION, MotionOptions
from sevenfold.flow.synthetic.rendered import Rendered, Scenes, draw_numbers, render
from sevenfold.flow.synthetic.scene import Scene, draw_scene
from sevenfold.flow.synthetic.textures import texture_bank

__all__ = [
    "DEFAULT_MOTION",
    "FIRST_EDITION",
    "Bank",
    "Drift",
    "MotionOptions",
    "Rendered",
    "Scene",
    "Scenes",
    "draw_numbers",
    "draw_scene",
    "render",
    "scene_bank",
    "texture_bank",
]
