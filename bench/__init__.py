"""Benchmarks, side by side with peers in the same run: ratios travel from machine to machine, times do not."""
