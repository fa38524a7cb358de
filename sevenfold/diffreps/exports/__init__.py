"""Files made of samples: pictures, animations, meshes."""
