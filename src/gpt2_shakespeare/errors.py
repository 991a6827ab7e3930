"""The one base of all errors that a user can mend."""


class UserError(Exception):
    """Bad input or a fault of the surroundings: the message says what, where and what to do, in a line.

    Anything else that is raised is a bug of ours and keeps its traceback.
    """


class Interrupted(Exception):
    """A signal has asked a run to stop, and it has; the message says where, and what is kept."""

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal
