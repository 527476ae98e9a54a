"""rung cancel: ask a run to end without saving."""

import argparse

from rung.tui.commands.requests import add_request_arguments, ask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `rung cancel` takes."""
    add_request_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Leave the request; the worker ends at the end of its step."""
    return ask(args.run, "cancel", wait=args.wait)
