"""What benchmarks/gpu.py runs: proofs, timings and figures of the CUDA path. A part is a function (setting) → dict for JSON."""
