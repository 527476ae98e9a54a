"""TRL's RewardTrainer with our order of batches. Imports the training stack: only methods/reward.py loads it."""

from trl import RewardTrainer

from rung.engine.training.methods.batches import LengthBatched
from rung.engine.training.methods.row_averages import AveragedOverRows


class PairRewardTrainer(AveragedOverRows, LengthBatched, RewardTrainer):
    """RewardTrainer whose batches hold pairs of like length in random order."""
