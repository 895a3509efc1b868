"""What a command printed."""


def last_line(capsys):
    """The last line of what it said to a human."""
    return capsys.readouterr().err.strip().splitlines()[-1]
