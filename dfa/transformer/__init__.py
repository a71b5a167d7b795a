"""Decoder-only causal Transformer in NumPy, forward and backward by hand, one layer a file.

`model.py` is the whole: blocks, head, where feedback enters; `embedding.py` is below, `attention.py` and
`feed_forward.py` are the two residual branches of a block, `layer_norm.py` is in front of each; `buffers.py` holds the
memory of a step, and `parallel.py` brings all cores to what is no matrix product.
"""

from dfa.transformer.model import ERROR_POINTS, INJECTIONS, Transformer

__all__ = ["ERROR_POINTS", "INJECTIONS", "Transformer"]
