"""The frozen reference of a preference or reward run: the policy as it was when the run began."""

from typing import Any

from rung.engine.training.job import Job


def goes_on_in_an_adapter(job: Job) -> bool:
    """Whether the adapter that is trained is an earlier run's, so that the reference is not the bare base."""
    return job.start is not None and job.start.name == "adapter"


def freeze_reference(model: Any) -> None:
    """Add a copy of the adapter `default` under the name `ref`, where TRL looks for the reference."""
    model.add_adapter("ref", model.peft_config["default"])
    for name, parameter in model.named_parameters():
        if ".default." in name:
            model.get_parameter(name.replace(".default.", ".ref.")).data.copy_(parameter.data)
    model.set_adapter("default")
