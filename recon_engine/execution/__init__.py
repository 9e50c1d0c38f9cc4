"""Who runs the partitions: in memory there is one, out of core there are N on disk, run one after another."""
