"""The one exception that means: what was given is at fault, not the program."""


class InputError(ValueError):
    """Report bad input in one line: what was given, what was expected, what to do.

    ``train.py`` prints the message alone and ends with status 2; everything else keeps its traceback.
    """
