"""Templates to pages: those of a room, with the pieces and the style sheet that all share."""

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def render(room: str, template: str, **values: object) -> str:
    """Fill a template; every value is escaped for HTML.

    Args:
        room: package whose folder `templates` holds it.
        values: what it names; macros that are imported "with context" see them too.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(room), PackageLoader("asr.pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values).lstrip()
