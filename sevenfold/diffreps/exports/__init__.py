"""Export of samples as pictures, animations and meshes."""
