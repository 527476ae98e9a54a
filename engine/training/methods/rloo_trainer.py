"""TRL's RLOOTrainer on prompts that are encoded already. Imports the training stack: only methods/rloo.py loads it."""

from trl import RLOOTrainer

from rung.engine.training.methods.answering_trainer import AnsweringTrainer


class NumberedRLOOTrainer(AnsweringTrainer, RLOOTrainer):
    """RLOOTrainer that knows prompts by their number."""
