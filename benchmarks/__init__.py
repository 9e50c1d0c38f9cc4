"""Side-by-side runs against peers: the same files, whole processes, wall seconds and peak memory."""
