"""Benchmarks: methods on pairs with seeds, run as pipelines and reported from their results."""

from mmseg_uda.benchmark.config import Benchmark, Run, read_benchmark

__all__ = ['Benchmark', 'Run', 'read_benchmark']
