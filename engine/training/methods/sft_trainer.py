"""TRL's SFTTrainer with our order of batches. Imports the training stack: only methods/sft.py loads it."""

from trl import SFTTrainer

from rung.engine.training.methods.batches import LengthBatched


class LengthBatchedSFTTrainer(LengthBatched, SFTTrainer):
    """SFTTrainer whose batches hold rows of like length in random order."""
