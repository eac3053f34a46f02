"""The mathematics, as pure functions on arrays: each operation a pair, a forward beside its derivative.

`ops.numpy` is what a student reads. A CUDA twin of an operation has the same name and the same arguments.
"""
