"""talking_portrait: one picture and one voice become a talking video, on the CPU and without model weights.

The face is found in the picture (``face``, ``lips``), the voice becomes a few numbers per frame (``voice``),
chance adds blinks and small movements (``motion``), the picture is warped and painted (``mouth``, ``eyes``,
``compose``), and frames become clips and clips a film (``encode``).  It is a preview, and never pretends to
be a diffusion model.
"""
