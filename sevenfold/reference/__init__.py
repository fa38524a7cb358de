"""What the suite says about itself: its tables, every option of every component, defaults, a schema."""

import json as json_text


def answer(verb: str, topic: str | None, *, json: bool = False) -> str:
    """Return what ``list``, ``describe`` or ``schema`` prints.

    Args:
        verb: one of the three.
        topic: a table for ``list`` (none: all of them); a component, or ``zoo=NAME``, for
            ``describe``.
        json: whether to answer in JSON in place of text.
    """
    if verb == "schema":
        from sevenfold.reference.json_schema import config_schema

        return json_text.dumps(config_schema(), indent=1)
    if verb == "list":
        from sevenfold.reference.listing import as_text, listing

        rows = listing(topic)
        return json_text.dumps(rows, indent=1) if json else as_text(rows)
    if (topic or "").startswith("zoo="):
        from sevenfold.reference.listing import card_fields

        fields = card_fields(str(topic).removeprefix("zoo="))
        return (
            json_text.dumps(fields, indent=1) if json else "\n".join(f"{k}: {v}" for k, v in fields.items())
        )
    from sevenfold.reference.describe import as_page, description, lookup

    described = description(*lookup(topic or ""))
    return json_text.dumps(described, indent=1) if json else as_page(described)
