"""What became of each series over time, and what of it somebody must look at."""
