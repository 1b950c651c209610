from training.reading.recent import Recent


def test_the_values_that_were_asked_for_last_are_kept_and_room_is_made_before_another_is_read() -> None:
    recent: Recent[str, str] = Recent(2)
    seen: list[tuple[str, list[str]]] = []

    def read(key: str) -> str:
        seen.append((key, list(recent._values)))
        return key.upper()

    for key in ("a", "b", "a", "c", "a", "b"):
        assert recent.get(key, lambda key=key: read(key)) == key.upper()
    # (read again, what was kept meanwhile)
    assert seen == [("a", []), ("b", ["a"]), ("c", ["a"]), ("b", ["a"])]
