"""Lines of libraries that mean nothing to a person are not written into a worker's log; all others are.

A worker's log is shown on the Run screen: what stands there is to be of the run.
"""

import logging

# Logger -> how those lines begin. The first: a faster kernel that nobody has asked for isn't installed. The second: the
# next version of a library will want another name of an argument.
NO_NEWS: dict[str, tuple[str, ...]] = {
    "bitsandbytes.backends.cpu.ops": ("Failed to load CPU gemm_4bit_forward",),
    "transformers.utils.generic": ("`past_key_values`/`cache_params` are deprecated",),
}


def leave_out_no_news() -> None:
    """Drop those lines from now on; before the libraries are imported, as one of them speaks while it is."""
    for name, beginnings in NO_NEWS.items():
        logging.getLogger(name).addFilter(
            lambda record, beginnings=beginnings: not str(record.msg).startswith(beginnings)  # type: ignore[misc]
        )
