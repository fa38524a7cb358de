"""An exhaustive benchmark of the project's own: every NAS-Bench-201 cell trained on 8x8 images of digits."""
