"""The parts of a benchmark side by side with another library: workloads, environments, workers, report.

Nothing here imports torch or a training library at the top but the workers (`prepare`, `ours`, `theirs`), each of
which runs as its own process: what the driver holds in memory would otherwise count in a worker's peak.
"""
