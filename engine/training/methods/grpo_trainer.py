"""TRL's GRPOTrainer on prompts that are encoded already. Imports the training stack: only methods/grpo.py loads it."""

from trl import GRPOTrainer

from rung.engine.training.methods.answering_trainer import AnsweringTrainer


class NumberedGRPOTrainer(AnsweringTrainer, GRPOTrainer):
    """GRPOTrainer that knows prompts by their number."""
