"""The one base of all errors that a user can mend."""


class UserError(Exception):
    """Bad input or a fault of the surroundings: the message says what, where and what to do, in a line.

    Anything else that is raised is a bug of ours and keeps its traceback.
    """
