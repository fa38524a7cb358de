"""Multi-view worlds that need no download: cameras, ray marching, procedural scenes."""
