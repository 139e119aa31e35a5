"""Ways to execute roll-outs and gradient steps: plain, compiled, or captured in CUDA graphs.

- ``choice``: the choice of a way, and the two wrappers that each of them consists of.
- ``compiled``: compilation by ``torch.compile``, and its time. ``graphs``: recording of kernels once for each shape.
- ``chunked_rollout``: roll-outs of fixed shape. ``fixed_batch_training``: gradient steps of fixed shape.
- ``side_by_side``: trainings that differ in their seed, all in one process.

The fixed shapes are the same on every device, so that a CPU tests what a GPU does. Random numbers are inputs of the
compiled functions. The ways differ in rounding only; plain roll-outs use random numbers in another order.
"""
