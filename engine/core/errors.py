"""The one error that a person can cause and can mend."""


class EngineError(Exception):
    """What went wrong, where, and what to do about it; shown without a traceback.

    `message` is one sentence; `details` names file, line and field, one a line; `hint` says what to do.
    """

    def __init__(self, message: str, details: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.hint = hint

    def __str__(self) -> str:
        parts = [self.message]
        if self.details:
            parts.append(self.details)
        if self.hint:
            parts.append(f"Hint: {self.hint}")
        return "\n".join(parts)
