"""How messages say a number."""


def count_of(number: int, noun: str, one: str = "", many: str = "") -> str:
    """
    A number with its noun, and with the verb that fits: "1 record has", "1,296 records have".

    :param noun: in the singular; its plural ends in s, es or ies.
    :param one: what follows after one. :param many: what follows after none or several; by default the same.
    """
    if number == 1:
        return f"1 {noun} {one}".rstrip()
    plural = (
        f"{noun[:-1]}ies"
        if noun.endswith("y") and noun[-2] not in "aeiou"
        else f"{noun}es"
        if noun.endswith("ch")
        else f"{noun}s"
    )
    return f"{number:,} {plural} {many or one}".rstrip()
