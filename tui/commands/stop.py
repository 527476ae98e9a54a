"""rung stop: ask a run to save, then end."""

import argparse

from rung.tui.commands.requests import add_request_arguments, ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung stop` takes."""
    add_request_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Leave the request; the worker saves at the end of its step."""
    return ask(args.run, "stop", wait=args.wait)
